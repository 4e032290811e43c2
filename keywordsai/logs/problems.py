"""What is wrong with a log, and where: collected on the way out of it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any, TypeAlias

from keywordsai._excerpt import cut

__all__ = ["Mismatch", "Problem", "cannot_become_json", "step_of"]

Problem: TypeAlias = tuple[str, str]
"""A path such as ``prompt_messages[1].role``, and what is wrong there."""


class Mismatch(Exception):
    """What does not fit: pairs of a path below the value, and what is wrong."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__("the value does not fit its field")
        self.problems = list(problems)

    @classmethod
    def of(cls, text: str) -> Mismatch:
        """One problem, of the value itself."""
        return cls([("", text)])

    def under(self, step: str) -> list[Problem]:
        """The problems as the object or list around the value has them.

        Args:
            step: A key, as `step_of` writes it, or an index in brackets.
        """
        return [
            (f"{step}{'' if path[:1] in ('', '[') else '.'}{path}", text)
            for path, text in self.problems
        ]


def step_of(key: Any) -> str:
    """A key as a step of a path."""
    if isinstance(key, Enum):
        key = key.value
    try:
        text = str.__str__(key) if isinstance(key, str) else str(key)
    except Exception:  # noqa: BLE001  whatever a caller's own key raises
        return type(key).__name__
    return cut(text) or "''"


def cannot_become_json(value: Any) -> Mismatch:
    """The problem of an object that has no natural JSON."""
    return Mismatch.of(f"cannot become JSON: {cut(type(value).__name__)}")
