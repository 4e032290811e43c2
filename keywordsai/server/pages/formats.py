"""Times, money, tokens and durations as people read them.

What is no finite number is a dash: columns may hold whatever was sent.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from keywordsai.server.indexing import MARK
from keywordsai.server.times import format_time, to_microseconds

__all__ = [
    "NOTHING",
    "compact",
    "count",
    "duration",
    "exact",
    "excerpt",
    "iso",
    "money",
    "percent",
    "size",
    "utc",
]

NOTHING = "–"  # noqa: RUF001 - the dash is meant
"""What stands where there is no value."""

_FIRST, _LAST = (
    to_microseconds(instant)
    for instant in (datetime.min, datetime.max)  # noqa: DTZ901
)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _calendar(microseconds: int) -> str:
    """The instant, or the nearest that has a year: a span may reach beyond."""
    return format_time(min(max(microseconds, _FIRST), _LAST))


def excerpt(text: str) -> str:
    """A text as an index has it: of a long one the start, which says that it is.

    Example:
        >>> excerpt("gpt-4o")
        'gpt-4o'
    """
    start, cut, _ = text.partition(MARK)
    return f"{start}…" if cut else start


def iso(microseconds: int) -> str:
    """The instant for a ``datetime`` attribute: UTC, to the millisecond.

    Example:
        >>> iso(1_700_000_000_123_456)
        '2023-11-14T22:13:20.123Z'
    """
    return _calendar(microseconds)[:23] + "Z"


def exact(microseconds: int) -> str:
    """The instant to the microsecond, for a link that must not miss a log.

    Example:
        >>> exact(59_999_999)
        '1970-01-01T00:00:59.999999Z'
    """
    return _calendar(microseconds)


def utc(microseconds: int) -> str:
    """The instant as text: UTC, to the second.

    Example:
        >>> utc(1_700_000_000_123_456)
        '2023-11-14 22:13:20'
    """
    return _calendar(microseconds)[:19].replace("T", " ")


def money(dollars: Any) -> str:
    """US dollars, small ones with as many digits as tell something.

    Example:
        >>> [money(value) for value in (0, 0.0008, 0.0312, 12.5, 1234.5)]
        ['$0', '$0.0008', '$0.0312', '$12.50', '$1,234.50']
    """
    number = _number(dollars)
    if number is None:
        return NOTHING
    sign, number = ("-" if number < 0 else ""), abs(number)
    if number == 0:
        return "$0"
    if number < 0.000001:
        return f"{sign}<$0.000001"
    if number >= 1e15:
        return f"{sign}${number:.3g}"
    if number >= 1:
        return f"{sign}${number:,.2f}"
    digits = min(6, 2 - math.floor(math.log10(number)))  # three that tell
    whole, _, decimals = f"{number:.{digits}f}".partition(".")
    return f"{sign}${whole}.{decimals.rstrip('0').ljust(2, '0')}"


def count(value: Any) -> str:
    """A whole number with commas.

    Example:
        >>> count(1234567)
        '1,234,567'
    """
    number = _number(value)
    if number is None:
        return NOTHING
    if abs(number) >= 1e15:
        return f"{number:.3g}"
    return f"{number:,.0f}" if number.is_integer() else f"{number:,.1f}"


def compact(value: float) -> str:
    """A number where there is little room.

    Example:
        >>> [compact(value) for value in (0, 0.5, 950, 1500, 2_000_000)]
        ['0', '0.5', '950', '1.5k', '2M']
    """
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit * 0.9995:  # what rounds to it, too
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def duration(seconds: Any) -> str:
    """How long something took.

    Example:
        >>> [duration(value) for value in (0.0004, 0.34, 2.345, 75, 7500)]
        ['<1 ms', '340 ms', '2.35 s', '1 min 15 s', '2 h 5 min']
    """
    number = _number(seconds)
    if number is None:
        return NOTHING
    if number <= 0:
        return "0 s" if number == 0 else NOTHING
    if number < 0.001:
        return "<1 ms"
    if number < 0.9995:
        return f"{number * 1000:.0f} ms"
    if number < 59.995:
        return f"{number:.2f} s"
    if number < 3599.5:
        minutes, rest = divmod(round(number), 60)
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(round(number / 60), 60)
    return f"{hours:,} h {minutes} min" if number < 1e9 else f"{number:.3g} s"


def percent(part: float, whole: float) -> str:
    """A share.

    Example:
        >>> percent(3, 400), percent(0, 0)
        ('0.75%', '0%')
    """
    return f"{100 * part / whole:.3g}%" if whole else "0%"


def size(characters: int) -> str:
    """How long a text is.

    Example:
        >>> size(950), size(3_200_000)
        ('950 characters', '3.2M characters')
    """
    return f"{compact(characters)} characters"
