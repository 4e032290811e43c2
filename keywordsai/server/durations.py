"""Spans of time as people write them: ``30d``, ``12h``, ``90m``, ``45s``, ``200ms``."""

from __future__ import annotations

import re

__all__ = ["EXPECTED", "parse_duration"]

_SECONDS = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
    "w": 604_800.0,
}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|[smhdw])")

#: What an error says is allowed.
EXPECTED = "expected a span of time such as 30d, 12h, 90m, 45s or 200ms"


def parse_duration(text: str) -> float:
    """Read a span of time: a number and its unit.

    Args:
        text: A number, whole or decimal, and ``ms``, ``s``, ``m``, ``h``, ``d`` or
            ``w``: milliseconds, seconds, minutes, hours, days, weeks.

    Returns:
        Seconds, above 0.

    Raises:
        ValueError: It is none; the message says what is expected.

    Example:
        >>> parse_duration("90m")
        5400.0
    """
    found = _DURATION.fullmatch(text.strip())
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not seconds > 0:
        raise ValueError(f"{EXPECTED}, got {text[:30]!r}")
    return seconds
