"""Instants as the service writes them: ISO 8601 text in, microseconds out.

Stored instants are integers, microseconds since 1970 in UTC: they sort, compare
and index alike in every database. Imports nothing of the package.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone
from typing import Any

__all__ = ["format_time", "parse_time", "to_microseconds"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)

# A blank before the offset is a "+" that somebody forgot to quote in a URL.
_ISO = re.compile(
    r"""(\d{4})-?(\d\d)-?(\d\d)
        (?:[Tt\ ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?
        \ ?(?:([Zz])|([+\-\ ])(\d\d):?(\d\d)?)?)?""",
    re.VERBOSE | re.ASCII,
)

# Numbers above this are milliseconds: as seconds they would be past the year 5100.
_LARGEST_SECONDS = 1e11


def to_microseconds(instant: datetime) -> int:
    """The instant as stored; a naive one is taken as UTC."""
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=timezone.utc)
    return (instant - _EPOCH) // _MICROSECOND


def format_time(microseconds: int) -> str:
    """The stored instant as the service writes it, UTC with a ``Z``."""
    instant = _EPOCH + timedelta(microseconds=microseconds)
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(value: Any) -> int | None:
    """Microseconds since 1970 of what a caller sent, None if it is no instant.

    Takes ISO 8601 text with ``Z``, an offset or neither (then it is UTC), with
    any number of decimals (those beyond microseconds are cut), a date alone,
    and numbers: seconds since 1970, or milliseconds where they are that large.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _parse_number(value)
    if not isinstance(value, str):
        return None
    found = _ISO.fullmatch(value.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction = found.group(1, 2, 3, 4, 5, 6, 7)
    sign, offset_hours, offset_minutes = found.group(9, 10, 11)
    zone = timezone.utc
    try:
        if sign is not None:
            offset = timedelta(
                hours=int(offset_hours), minutes=int(offset_minutes or 0)
            )
            zone = timezone(-offset if sign == "-" else offset)
        instant = datetime(
            int(year),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int((fraction or "0")[:6].ljust(6, "0")),
            tzinfo=zone,
        )
    except ValueError:
        return None
    return _within_calendar(to_microseconds(instant))


def _parse_number(value: float) -> int | None:
    if not abs(value) < 1e15 or not math.isfinite(value):
        return None
    seconds = value / 1000 if abs(value) > _LARGEST_SECONDS else value
    return _within_calendar(round(seconds * 1_000_000))


def _within_calendar(microseconds: int) -> int | None:
    """Leave out what UTC cannot write as a year from 1 to 9999."""
    try:
        format_time(microseconds)
    except OverflowError:
        return None
    return microseconds
