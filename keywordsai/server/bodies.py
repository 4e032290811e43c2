"""What may be posted as a log: JSON objects, of nearly any shape.

The hosted service takes values far looser than it documents, and so does this
server: it refuses only what it could not sort, filter or show afterwards.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from keywordsai.server.answers import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_BODY", "MAX_DEPTH", "TOO_LARGE", "check_log", "parse_object"]

MAX_BODY = 20 * 1024**2
"""The largest body taken, in bytes; this many are still fine."""

TOO_LARGE = "Request body too large: a log is at most 20 MiB"
"""What is said of a larger one."""

MAX_DEPTH = 400
"""How deep a body may nest. Python's json reads about 1,000 levels, but a log that
was once taken must also be answered, as part of a page and from a deeper stack."""


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _too_deep(value: Any, text: str) -> bool:
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return False  # the usual case, without a walk
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for container in level:
            members = container.values() if isinstance(container, dict) else container
            inner += [member for member in members if isinstance(member, dict | list)]
        if not inner:
            return False
        level = inner
    return True


def parse_object(raw: bytes) -> tuple[str, dict[str, Any]]:
    """Read a body.

    Returns:
        The text just as it came, and the object it holds.

    Raises:
        Refusal: 400, it is no UTF-8, no JSON, no object or nests too deep.
    """
    try:
        text = raw.decode()
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refusal(400, "Invalid request format") from None
    if not isinstance(value, dict) or _too_deep(value, text):
        raise Refusal(400, "Invalid request format")
    return text, value


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_Check = tuple["Callable[[Any], bool]", str]
_INTEGER: _Check = (_is_integer, "A valid integer is required.")
_NUMBER: _Check = (_is_number, "A valid number is required.")
_BOOLEAN: _Check = (lambda value: isinstance(value, bool), "Must be a valid boolean.")
_OBJECT: _Check = (lambda value: isinstance(value, dict), "Expected an object.")
_ARRAY: _Check = (lambda value: isinstance(value, list), "Expected an array.")

_CHECKS: dict[str, _Check] = {
    "prompt_tokens": _INTEGER,
    "completion_tokens": _INTEGER,
    "total_tokens": _INTEGER,
    "status_code": _INTEGER,
    "cost": _NUMBER,
    "latency": _NUMBER,
    "generation_time": _NUMBER,
    "ttft": _NUMBER,
    "time_to_first_token": _NUMBER,
    "metadata": _OBJECT,
    "prompt_messages": _ARRAY,
    "stream": _BOOLEAN,
    "positive_feedback": _BOOLEAN,
}


def check_log(body: dict[str, Any]) -> None:
    """Refuse a log that could not be used; null is fine everywhere.

    Raises:
        Refusal: 422, with every field that is wrong.
    """
    errors = {
        name: [message]
        for name, (fits, message) in _CHECKS.items()
        if body.get(name) is not None and not fits(body[name])
    }
    if errors:
        raise Refusal(422, "Validation error", errors=errors)
