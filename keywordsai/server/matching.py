"""What only a body tells: free text, and conditions on fields that have no column.

Bodies are gone through one by one, the newest first, so a search has a time limit.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import attrs

from keywordsai.server.fields import Kind, resolve
from keywordsai.server.indexing import storable
from keywordsai.server.rows import full_log
from keywordsai.server.shapes import as_text
from keywordsai.server.values import COMPARE, OPPOSITES, texts_of

if TYPE_CHECKING:
    from keywordsai.server.finding import StoredLog
    from keywordsai.server.query import Condition, Selection

__all__ = ["Matching", "spoken"]

_PATIENCE = 2.0  # seconds that a search may take
_ESCAPED = re.compile(r'["\\/\x00-\x1f\x7f]')  # what JSON may write otherwise

_TESTS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda text, asked: asked in text,
    "icontains": lambda text, asked: asked.casefold() in text.casefold(),
    "iexact": lambda text, asked: asked.casefold() == text.casefold(),
    "startswith": str.startswith,
    "endswith": str.endswith,
    **COMPARE,
}


@attrs.define
class Matching:
    """What the body of a log has to say.

    Attributes:
        conditions: On fields that only bodies have.
        words: To be found in what was asked or answered, whatever their case.
        until: When to give up, of the monotonic clock.
    """

    conditions: tuple[Condition, ...]
    words: str
    until: float

    @classmethod
    def of(cls, selection: Selection) -> Matching | None:
        """What a selection asks of bodies; None if nothing."""
        conditions = tuple(
            condition
            for condition in selection.conditions
            if resolve(condition.field)[0] is Kind.BODY
        )
        words = selection.text.strip().casefold()
        if not conditions and not words:
            return None
        return cls(conditions, words, time.monotonic() + _PATIENCE)

    def exhausted(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self.until

    def holds(self, log: StoredLog) -> bool:
        """Whether a log is one of those meant."""
        if self.words and not _may_say(log.body, self.words):
            return False
        full = full_log(log)
        if self.words and not any(
            self.words in said.casefold() for said in spoken(full)
        ):
            return False
        return all(_holds(condition, full) for condition in self.conditions)


def _may_say(text: str, words: str) -> bool:
    """A quick look at the JSON: false if it surely says no such thing."""
    longest = max(_ESCAPED.split(words), key=len)
    return longest in text.casefold() or "\\u" in text


def _say(full: dict[str, Any], words: str) -> bool:
    return any(words in said.casefold() for said in spoken(full))


def _holds(condition: Condition, full: dict[str, Any]) -> bool:
    name = condition.operator
    value = full.get(resolve(condition.field)[1])
    opposite = name in OPPOSITES or (name == "isnull" and condition.values == (False,))
    return _says(OPPOSITES.get(name, name), value, condition) != opposite


def _says(name: str, value: Any, condition: Condition) -> bool:
    if name == "isnull":
        return value is None
    if name == "empty":
        return value is None or value in ("", [], {})
    if value is None:
        return False
    text = storable(as_text(value))
    asked = list(map(storable, texts_of(condition.values)))
    if name in {"", "in"}:
        return text in asked
    return _TESTS[name](text, asked[0])


def spoken(full: dict[str, Any]) -> Iterator[str]:
    """All that was said in a log: by messages, or else as its input and output."""
    for several, one, other in (
        ("prompt_messages", "messages", "input"),
        ("completion_message", "completion_messages", "output"),
    ):
        value = next((v for n in (several, one) if (v := full.get(n))), None)
        yield from _said(full.get(other) if value is None else value)


_SPOKEN = frozenset({"content", "text", "tool_calls", "function", "name", "arguments"})


def _said(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for member in value:
            yield from _said(member)
    elif isinstance(value, dict):
        members: Iterable[Any] = value.values()
        if "role" in value or "type" in value or "function" in value:
            members = [value[name] for name in _SPOKEN.intersection(value)]
        for member in members:
            yield from _said(member)
