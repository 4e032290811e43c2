"""How bodies are read: JSON objects, within bounds of size and depth.

What a log may hold is another matter: `keywordsai.server.validation`.
"""

from __future__ import annotations

import json
from typing import Any

import attrs

from keywordsai.server.answers import Refusal

__all__ = [
    "BULK_BODY",
    "DECODERS",
    "LOG_BODY",
    "MAX_DEPTH",
    "TOO_DEEP",
    "BodyLimit",
    "LongInteger",
    "misshapen",
    "parse_object",
    "read_json",
    "too_deep",
]


@attrs.frozen
class BodyLimit:
    """How large a body may be.

    Attributes:
        size: In bytes; this many are still fine.
        rule: The limit in words.
    """

    size: int
    rule: str

    def refusal(self) -> Refusal:
        """What a larger body is answered with."""
        return Refusal(413, f"Request body too large: {self.rule}")


LOG_BODY = BodyLimit(20 * 1024**2, "a log is at most 20 MiB")
"""Of a log, in a bulk too, and of whatever else is no bulk."""

BULK_BODY = BodyLimit(100 * 1024**2, "a bulk of logs is at most 100 MiB")
"""Of a bulk."""

MAX_DEPTH = 400
"""How deep a body may nest. Python's json reads about 1,000 levels, but a log that
was once taken must also be answered, as part of a page and from a deeper stack."""

TOO_DEEP = f"Nested more than {MAX_DEPTH} levels deep."
"""What is said of one log that is, among others."""


def _no_constant(name: str) -> Any:
    """Stop Python's json where it would take what JSON has no number for."""
    raise ValueError(f"{name} is no JSON")


class LongInteger(float):
    """An integer of more digits than Python reads at once: infinite, to all here."""


def _integer(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:
        return LongInteger(digits)


DECODERS = (
    json.JSONDecoder(parse_constant=_no_constant),
    json.JSONDecoder(parse_constant=_no_constant, parse_int=_integer),
)
"""The quick one, and one for what it stumbles over: integers of any length."""


def read_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: It is no JSON.
    """
    quick, patient = DECODERS
    try:
        return quick.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return patient.decode(text)


def too_deep(value: Any, text: str) -> bool:
    """Whether a value nests deeper than `MAX_DEPTH`; ``text`` is its JSON."""
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return False  # the usual case, without a walk
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for container in level:
            members = container.values() if isinstance(container, dict) else container
            inner += [member for member in members if isinstance(member, dict | list)]
        if not inner:
            return False
        level = inner
    return True


def misshapen(value: Any, text: str) -> str:
    """What keeps a value from being a log, whatever its fields; "" if nothing does.

    Args:
        value: The value as it was parsed.
        text: The JSON it was parsed from.
    """
    if not isinstance(value, dict):
        return "Expected an object."
    if too_deep(value, text):
        return TOO_DEEP
    return ""


def parse_object(raw: bytes) -> tuple[str, dict[str, Any]]:
    """Read a body.

    Returns:
        The text just as it came, and the object it holds.

    Raises:
        Refusal: 400, it is no UTF-8, no JSON, no object or nests too deep.
    """
    try:
        text = raw.decode()
        value = read_json(text)
    except (ValueError, RecursionError):
        raise Refusal(400, "Invalid request format") from None
    if misshapen(value, text):
        raise Refusal(400, "Invalid request format")
    return text, value
