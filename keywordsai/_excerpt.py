"""What a message may show of a caller's value: little, on one line."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

__all__ = ["cut", "excerpt"]

_LONGEST = 40


def cut(text: str) -> str:
    """A text on one line, cut should it be long."""
    shown = text[: _LONGEST + 1]
    if not shown.isprintable():
        shown = str.__repr__(shown)[1:-1]
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def excerpt(value: Any) -> str:
    """A value and its type, or its type only where the value could be anything.

    Example:
        >>> excerpt("15"), excerpt(1.5), excerpt([1]), excerpt(None)
        ("'15' (str)", '1.5 (float)', 'list', 'null')
    """
    if value is None:
        return "null"
    kind = cut(type(value).__name__)
    if isinstance(value, str):
        return f"'{cut(str.__str__(value))}' ({kind})"
    if isinstance(value, bool):
        return f"{value} ({kind})"
    if isinstance(value, int):
        if abs(value) >= 10**_LONGEST:
            return f"a number of more than {_LONGEST} digits ({kind})"
        return f"{int.__repr__(value)} ({kind})"
    if isinstance(value, float):
        return f"{float.__repr__(value)} ({kind})"
    if isinstance(value, Decimal):
        return f"{cut(Decimal.__str__(value))} ({kind})"
    return kind
