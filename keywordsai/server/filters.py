"""Conditions of a list as SQL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import sqlalchemy as sa

from keywordsai.server.shapes import KNOWN_FIELDS
from keywordsai.server.tables import (
    INTEGER_COLUMNS,
    NUMBER_COLUMNS,
    TEXT_COLUMNS,
    attributes,
    canonical,
    clamp,
    exact_number,
    logs,
)
from keywordsai.server.times import parse_time

if TYPE_CHECKING:
    from keywordsai.server.query import Condition, Plain

__all__ = ["clause"]

# Names of one and the same column.
_ALIASES = {
    "unique_id": "id",
    "ttft": "time_to_first_token",
    "generation_time": "latency",
    "total_tokens": "total_request_tokens",
    "all_tokens": "total_request_tokens",
}
_NUMBER = re.compile(r"[+-]?[0-9]+|[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LONGEST_NUMBER = 400  # digits; Python refuses to read integers of some thousands


def _number_in(value: Plain) -> int | float | None:
    """The number that a value is, or that its text says."""
    if isinstance(value, bool):
        return None
    if not isinstance(value, str):
        return value
    found = _NUMBER.fullmatch(value.strip())
    if found is None or len(value) > _LONGEST_NUMBER:
        return None
    return float(value) if set(".eE") & set(value) else int(value)


def _texts_of(value: Plain) -> list[str]:
    """The stored texts that a value equals.

    From a URL everything is text: there, "True" is also the boolean.
    """
    texts = [canonical(value) or ""]
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        texts.append(value.lower())
    return texts


def _number_column(column: sa.Column[float], value: Plain) -> sa.ColumnElement[bool]:
    number = _number_in(value)
    if number is None:
        return sa.false()
    if isinstance(number, int):
        return column == clamp(number)
    return column == sa.literal(number, sa.Double)


def _attribute(name: str, value: Plain) -> sa.ColumnElement[bool]:
    equal: sa.ColumnElement[bool] = attributes.c.text.in_(_texts_of(value))
    number = exact_number(_number_in(value))
    if number is not None:
        equal = sa.or_(equal, attributes.c.number == number)
    named = sa.select(attributes.c.log_id).where(
        attributes.c.name == canonical(name), equal
    )
    return logs.c.id.in_(named)


def clause(condition: Condition) -> sa.ColumnElement[bool]:
    """The condition in SQL: of a column if there is one, else of an attribute.

    A field that is no field of a log is a key of its metadata.
    """
    (value,) = condition.values
    field = _ALIASES.get(condition.field, condition.field)
    if field == "id":
        return logs.c.id == str(value).replace("-", "").lower()
    if field == "timestamp":
        instant = parse_time(value)
        return sa.false() if instant is None else logs.c.timestamp == instant
    if field in TEXT_COLUMNS:
        return logs.c[field].in_(_texts_of(value))
    if field in INTEGER_COLUMNS or field in NUMBER_COLUMNS:
        return _number_column(logs.c[field], value)
    if field in KNOWN_FIELDS or field.startswith("metadata__"):
        return _attribute(field, value)
    return _attribute(f"metadata__{field}", value)
