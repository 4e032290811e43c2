"""What of a log goes into the columns and rows that lists sort and filter by."""

from __future__ import annotations

import functools
import hashlib
import math
import re
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from keywordsai.server.shapes import KNOWN_FIELDS
from keywordsai.server.tables import (
    INTEGER_COLUMNS,
    NUMBER_COLUMNS,
    TEXT_COLUMNS,
    TIME_COLUMNS,
)
from keywordsai.server.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BIN_RATIO",
    "BODY_FIELDS",
    "EMPTY",
    "FULL",
    "LONGEST_TEXT",
    "MARK",
    "Index",
    "as_float",
    "canonical",
    "clamp",
    "index_of",
    "name_of",
    "storable",
    "text_of",
]

COLUMNS = frozenset({*TEXT_COLUMNS, *INTEGER_COLUMNS, *NUMBER_COLUMNS, *TIME_COLUMNS})

BODY_FIELDS = frozenset(
    {
        *("input", "output", "prompt_messages", "messages", "completion_message"),
        *("completion_messages", "full_request", "full_response", "metadata"),
        *("customer_params", "embedding", "base64_embedding", "prompt", "prompt_text"),
        *("system_text", "full_text", "completion_text", "ideal_output"),
        "cache_request_content",
    }
)
"""Long ones that have no row of their own: a filter by one of them reads bodies."""

_ATTRIBUTES = KNOWN_FIELDS - COLUMNS - BODY_FIELDS - {"id", "unique_id", "timestamp"}

MARK = "\uffff"
"""In no text of a log: it says that what is stored is not the text itself."""

EMPTY, FULL = MARK, f"{MARK}full"
"""Stand for an array or object without, and with, members."""

LONGEST_TEXT = 256
"""Of a longer one an index has the start and a digest."""

_START = LONGEST_TEXT - 64
_LARGEST_INTEGER = 2**63 - 1
_MOST_MEMBERS = 100  # of an array in the metadata
_MOST_ATTRIBUTES = 1000  # of a log

BIN_RATIO = 1.01
"""How far apart two latencies of one bin can be."""

_PER_BIN = 1 / math.log(BIN_RATIO)
_LEAST_LATENCY = 1e-6  # seconds; faster is as fast

_UNSTORABLE = re.compile("[\x00\ud800-\udfff\uffff]")

Attribute: TypeAlias = "tuple[int, str, float | None]"
Text: TypeAlias = "tuple[int, int, str]"


@attrs.frozen
class Index:
    """What a log is found by.

    Attributes:
        columns: Values of the columns of ``logs``, by name.
        attributes: Name, text and number of every row of ``log_attributes``.
        texts: Name, whether folded, and text of every row of ``log_texts``.
    """

    columns: dict[str, Any]
    attributes: list[Attribute]
    texts: list[Text]


@functools.lru_cache(maxsize=4096)
def name_of(field: str) -> int:
    """The number that stands for a field's name in an index: a short digest."""
    raw = field.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(raw, digest_size=6).digest(), "big")


def storable(text: str) -> str:
    """Text that every database takes: NUL and half of a surrogate pair are escaped."""
    if text.isascii() and "\x00" not in text:
        return text
    return _UNSTORABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def canonical(text: str) -> str:
    """Text as an index takes it: of a long one its start and a digest.

    Filters go the same way.
    """
    text = storable(text)
    if len(text) <= LONGEST_TEXT:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{text[:_START]}{MARK}{digest}"


def text_of(value: Any) -> str | None:
    """The one text that stands for a plain value, None for any other value.

    Equal numbers have the same, whether they are integers or not.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    return str(value) if isinstance(value, int) else None


def clamp(value: int) -> int:
    """The integer, or the nearest one a column can hold."""
    return max(-_LARGEST_INTEGER - 1, min(_LARGEST_INTEGER, value))


def as_float(value: Any) -> float | None:
    """The nearest float of a number, None of anything else."""
    if type(value) is float:
        return value
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


_READ: dict[str, Callable[[Any], float | None]] = {
    **dict.fromkeys(INTEGER_COLUMNS, _as_integer),
    **dict.fromkeys(NUMBER_COLUMNS, as_float),
    **dict.fromkeys(TIME_COLUMNS, parse_time),
}


def _bin_of(latency: float | None) -> int | None:
    if latency is None:
        return None
    return round(math.log(min(max(latency, _LEAST_LATENCY), 1e300)) * _PER_BIN)


def index_of(full: dict[str, Any]) -> Index:
    """What a log is found by, of a log as `keywordsai.server.rows.derived` gives it."""
    texts: list[Text] = []

    def put(field: str, text: str) -> str:
        """The text as an index has it; what that lacks goes to the texts."""
        whole = storable(text)
        folded = whole.casefold()
        if len(whole) > LONGEST_TEXT:
            texts.append((name_of(field), 0, whole))
        if folded != _lower(whole):
            texts.append((name_of(field), 1, folded))
        return canonical(text)

    columns: dict[str, Any] = {}
    for field in TEXT_COLUMNS:
        said = full.get(field)
        if said is not None and type(said) is not str:
            said = text_of(said)
        if said is not None and not _is_simple(said):
            said = put(field, said)
        columns[field] = said
    for field, read in _READ.items():
        value = full.get(field)
        columns[field] = None if value is None else read(value)
    columns["latency_bin"] = _bin_of(columns["latency"])
    attributes: dict[tuple[int, str], float | None] = {}
    for field, value in _named(full)[:_MOST_ATTRIBUTES]:
        number = None
        if type(value) is str:  # nearly always
            said = value
        else:
            said, number = text_of(value), as_float(value)
        if said is None:
            said = FULL if value else EMPTY
        elif not _is_simple(said):
            said = put(field, said)
        attributes[name_of(field), said] = number
    rows = [(name, text, number) for (name, text), number in attributes.items()]
    return Index(columns, rows, texts)


def _is_simple(text: str) -> bool:
    """Whether an index takes a text as it is."""
    return len(text) <= LONGEST_TEXT and text.isascii() and "\x00" not in text


_ASCII_UPPER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _lower(text: str) -> str:
    """As ``lower()`` of both databases has it: of ASCII only."""
    return text.translate(_ASCII_UPPER)


def _named(full: dict[str, Any]) -> list[tuple[str, Any]]:
    """Every value that has a row: of known fields, and all within the metadata."""
    found = [
        (name, value)
        for name, value in full.items()
        if value is not None and name in _ATTRIBUTES
    ]
    for key, value in (full.get("metadata") or {}).items():
        _put_within(f"metadata__{key}", value, found)
    return found


def _put_within(name: str, value: Any, found: list[tuple[str, Any]]) -> None:
    if value is None:
        return
    if isinstance(value, dict):
        found.append((name, value))
        for key, member in value.items():
            _put_within(f"{name}__{key}", member, found)
    elif isinstance(value, list):
        # Its members say that it is there, unless they say nothing themselves.
        if not (value and isinstance(value[0], str | int | float) and value[0] != ""):
            found.append((name, value))
        for member in value[:_MOST_MEMBERS]:
            _put_within(name, member, found)
    else:
        found.append((name, value))
