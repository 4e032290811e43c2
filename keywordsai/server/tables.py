"""The tables, in SQLAlchemy Core, and what of a log goes into their columns.

A log's text is stored as it came. Beside it stand the columns that lists sort
and filter by, and one row in ``log_attributes`` for every other plain value that
a filter may ask for: this way a filter never reads bodies, and needs no JSON
functions, which differ from one database to the next.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from keywordsai.server.shapes import KNOWN_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "INTEGER_COLUMNS",
    "NUMBER_COLUMNS",
    "TEXT_COLUMNS",
    "attributes",
    "attributes_of",
    "canonical",
    "clamp",
    "columns_of",
    "exact_number",
    "logs",
    "metadata",
]

_INDEXED_TEXT = (
    *("model", "log_type", "customer_identifier", "custom_identifier"),
    *("group_identifier", "thread_identifier", "trace_unique_id"),
)
TEXT_COLUMNS = (*_INDEXED_TEXT, "status", "environment", "prompt_id")
INTEGER_COLUMNS = (
    *("status_code", "prompt_tokens", "completion_tokens", "total_request_tokens"),
)
NUMBER_COLUMNS = ("cost", "latency", "time_to_first_token", "tokens_per_second")

_COLUMNS = frozenset({*TEXT_COLUMNS, *INTEGER_COLUMNS, *NUMBER_COLUMNS})
_ATTRIBUTES = KNOWN_FIELDS - _COLUMNS - {"id", "unique_id", "timestamp"}

_LARGEST_INTEGER = 2**63 - 1
_LARGEST_EXACT = 2**53  # beyond it, different integers are the same float
_LONGEST_TEXT = 256

metadata = sa.MetaData()

logs = sa.Table(
    "logs",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("created", sa.BigInteger, nullable=False, index=True),
    sa.Column("timestamp", sa.BigInteger, nullable=False, index=True),
    sa.Column("idempotency", sa.String(64), unique=True),
    *(sa.Column(name, sa.Text) for name in TEXT_COLUMNS),
    *(sa.Column(name, sa.BigInteger) for name in INTEGER_COLUMNS),
    *(sa.Column(name, sa.Double) for name in NUMBER_COLUMNS),
    sa.Column("body", sa.Text, nullable=False),
    # With the timestamp, since every list is of a span of time.
    *(
        sa.Index(f"ix_logs_{name}_timestamp", name, "timestamp")
        for name in (*_INDEXED_TEXT, "status_code")
    ),
)

attributes = sa.Table(
    "log_attributes",
    metadata,
    sa.Column("log_id", sa.String(32), sa.ForeignKey("logs.id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("number", sa.Double),
    sa.Index("ix_log_attributes_name_text", "name", "text"),
    sa.Index("ix_log_attributes_name_number", "name", "number"),
)

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _storable(text: str) -> str:
    """Text that every database takes, and no longer than an index likes.

    Half of a surrogate pair and NUL are escaped. Of a long text the digest is
    kept, which is all that equality asks for. Filters go the same way.
    """
    if "\x00" in text or not text.isascii():
        text = _UNSTORABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    if len(text) <= _LONGEST_TEXT:
        return text
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def canonical(value: Any) -> str | None:
    """The one text that stands for a plain value, None for any other value."""
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _storable(str(value))
    return None


def clamp(value: int) -> int:
    """The integer, or the nearest one a column can hold."""
    return max(-_LARGEST_INTEGER - 1, min(_LARGEST_INTEGER, value))


def exact_number(value: Any) -> float | None:
    """The number as a float if no other integer is the same float, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT:
        return None
    return float(value)


def _as_float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _as_integer(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return clamp(value)


_READ: dict[str, Callable[[Any], str | float | None]] = {
    **dict.fromkeys(TEXT_COLUMNS, canonical),
    **dict.fromkeys(INTEGER_COLUMNS, _as_integer),
    **dict.fromkeys(NUMBER_COLUMNS, _as_float),
}


def columns_of(full: dict[str, Any]) -> dict[str, Any]:
    """What lists sort and filter by most, of a log as `rows.derived` gives it."""
    return {
        name: None if (value := full.get(name)) is None else read(value)
        for name, read in _READ.items()
    }


def attributes_of(full: dict[str, Any]) -> list[dict[str, Any]]:
    """Every other plain value a filter may name, the metadata's among them."""
    named = {name: value for name, value in full.items() if name in _ATTRIBUTES}
    for key, value in (full.get("metadata") or {}).items():
        named[f"metadata__{key}"] = value
    found = {}
    for name, value in named.items():
        text = canonical(value)
        if text is not None:
            stored = _storable(name)
            number = exact_number(value)
            found[stored] = {"name": stored, "text": text, "number": number}
    return list(found.values())
