"""What Python objects become in JSON: the unstructure hooks of the converter.

Each hook takes one step only: a dataclass becomes a dict of its fields as they
are, and whoever writes the JSON asks again for those that need it. What is not
listed here cannot become JSON; nothing is ever sent as its ``repr``.

==========================  ===============================================
datetime, date, time        RFC 3339 text; a naive datetime is local time
timedelta                   a number of seconds
UUID, UserString            text
path, URL, IP address       text
Enum                        its value
Decimal                     the exact number; NaN and infinities null
bytes, bytearray            the UTF-8 text they are, else base64
set, deque, namedtuple, …   a list
mapping                     an object
attrs object                an object of the fields that are not None
dataclass, pydantic model   an object of all its fields
numpy scalar or array       the number, or lists of numbers
==========================  ===============================================
"""

from __future__ import annotations

import base64
import dataclasses
import os
from collections import UserString
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import attrs
from cattrs import Converter

from keywordsai.logs._open import OpenObject

__all__ = ["ExactNumber", "register_hooks"]


class ExactNumber(str):
    """The digits of a number that a float could not hold exactly."""

    __slots__ = ()


def register_hooks(converter: Converter) -> None:
    """Teach a converter the table above."""
    by_class = converter.register_unstructure_hook
    by_class(datetime, _datetime)
    by_class(date, date.isoformat)
    by_class(time, time.isoformat)
    by_class(timedelta, timedelta.total_seconds)
    by_class(Decimal, _decimal)
    for text in (bytes, bytearray):
        by_class(text, _text)
    by_kind = converter.register_unstructure_hook_func
    # The converter asks the last one first.
    by_kind(_is_numpy, _numpy)
    by_kind(_is(Sequence), list)
    by_kind(_is(UserString), str)
    by_kind(_is(AbstractSet), list)
    by_kind(_is(Mapping), dict)
    by_kind(lambda cls: cls is memoryview, _text)
    by_kind(lambda cls: hasattr(cls, "model_dump"), _pydantic)
    by_kind(dataclasses.is_dataclass, _dataclass)
    by_kind(_is(os.PathLike), os.fspath)
    by_kind(_is_address, str)
    converter.register_unstructure_hook_factory(attrs.has, _attrs_hook)
    by_class(UUID, str)
    by_kind(_is(Enum), lambda member: member.value)


def _is(base: type) -> Callable[[Any], bool]:
    return lambda cls: isinstance(cls, type) and issubclass(cls, base)


def _is_address(cls: Any) -> bool:
    # Known by name: nobody should pay for importing what few send.
    return getattr(cls, "__module__", "") == "ipaddress" or hasattr(
        cls, "unicode_string"
    )


def _is_numpy(cls: Any) -> bool:
    return getattr(cls, "__module__", "") == "numpy" and hasattr(cls, "tolist")


def _datetime(value: datetime) -> str | None:
    if value != value:  # noqa: PLR0124  pandas' NaT is a datetime, and no moment
        return None
    if value.utcoffset() is None:
        value = value.astimezone()
    offset = value.utcoffset()
    if offset is not None and offset.total_seconds() % 60:
        # RFC 3339 knows no seconds in an offset, old local times do.
        value = value.astimezone(timezone.utc)
    return value.isoformat()


def _decimal(value: Decimal) -> ExactNumber | None:
    return ExactNumber(value) if value.is_finite() else None


def _text(value: bytes | bytearray | memoryview) -> str:
    data = bytes(value)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(data).decode("ascii")


def _numpy(value: Any) -> Any:
    if type(value).__name__ == "datetime64":
        # Nanosecond times become plain integers there; their text says what they are.
        text = str(value)
        return None if text == "NaT" else text
    plain = value.tolist()
    return float(plain) if type(plain).__name__ == "longdouble" else plain


def _pydantic(value: Any) -> Any:
    # "python" leaves values as they are, for the rules above; its own JSON would
    # write Decimals as text and naive datetimes without an offset.
    return value.model_dump(mode="python", warnings=False)


def _dataclass(value: Any) -> dict[str, Any]:
    return {
        field.name: getattr(value, field.name) for field in dataclasses.fields(value)
    }


def _attrs_hook(cls: type[attrs.AttrsInstance]) -> Callable[[Any], dict[str, Any]]:
    names = tuple(field.name for field in attrs.fields(cls))
    is_open = issubclass(cls, OpenObject)
    if is_open:
        names = tuple(name for name in names if name != "extra")

    def unstructure(value: Any) -> dict[str, Any]:
        fields = {
            name: item for name in names if (item := getattr(value, name)) is not None
        }
        if is_open:
            fields.update(value.extra)
        return fields

    return unstructure
