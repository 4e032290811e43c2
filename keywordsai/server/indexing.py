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
_TEXT_COLUMNS = frozenset(TEXT_COLUMNS)
_NO_COLUMNS = dict.fromkeys((*COLUMNS, "latency_bin"))

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

_ATTRIBUTES = (
    KNOWN_FIELDS
    - COLUMNS
    - BODY_FIELDS
    - {"id", "unique_id", "timestamp"}
    - {"ttft", "generation_time", "total_tokens"}  # other names of columns
)

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

Text: TypeAlias = "tuple[int, int, str]"


@attrs.frozen
class Index:
    """What a log is found by.

    Attributes:
        columns: Values of the columns of ``logs``, by name.
        attributes: Of every row of ``log_attributes`` the number, by name and text.
        texts: Name, whether folded, and text of every row of ``log_texts``.
    """

    columns: dict[str, Any]
    attributes: dict[tuple[int, str], float | None]
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
    if -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER:  # nearly always
        return value
    return _LARGEST_INTEGER if value > 0 else -_LARGEST_INTEGER - 1


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
    """What a log is found by, of one as `keywordsai.server.derive.indexed` gives it."""
    texts: list[Text] = []
    columns: dict[str, Any] = dict(_NO_COLUMNS)
    named: list[tuple[str, Any]] = []
    for field, value in full.items():
        if value is None:
            continue
        if field in _TEXT_COLUMNS:
            columns[field] = value if _is_simple(value) else _put(field, value, texts)
        elif field in _READ:
            columns[field] = _READ[field](value)
        elif field in _ATTRIBUTES:
            named.append((field, value))
    columns["latency_bin"] = _bin_of(columns["latency"])
    data = full.get("metadata")
    if data:
        _put_members("metadata__", data, named)
    # As a dict, for arrays may say the same more than once.
    attributes: dict[tuple[int, str], float | None] = {}
    for field, value in named[:_MOST_ATTRIBUTES]:
        if _is_simple(value):
            attributes[name_of(field), value] = None
        elif isinstance(value, dict | list):
            attributes[name_of(field), FULL if value else EMPTY] = None
        else:
            text = _put(field, value, texts)
            attributes[name_of(field), text] = as_float(value)
    return Index(columns, attributes, texts)


def _put(field: str, value: Any, texts: list[Text]) -> Any:
    """A value as an index has it, None if it is not plain.

    What the index lacks goes to the texts.
    """
    said = text_of(value)
    if said is None or not isinstance(value, str):
        return said and canonical(said)  # a number's text lacks nothing
    whole = storable(said)
    folded = whole.casefold()
    if len(whole) > LONGEST_TEXT:
        texts.append((name_of(field), 0, whole))
    if folded != _lower(whole):
        texts.append((name_of(field), 1, folded))
    return canonical(said)


def _is_simple(value: Any) -> bool:
    """Whether it is a text that an index takes as it is."""
    return (
        isinstance(value, str)
        and len(value) <= LONGEST_TEXT
        and value.isascii()
        and "\x00" not in value
    )


_ASCII_UPPER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _lower(text: str) -> str:
    """As ``lower()`` of both databases has it: of ASCII only."""
    return text.translate(_ASCII_UPPER)


def _put_members(
    prefix: str, members: dict[str, Any], found: list[tuple[str, Any]]
) -> None:
    """Find every value within an object of the metadata."""
    for key, value in members.items():
        if isinstance(value, dict | list):
            _put_within(prefix + key, value, found)
        elif value is not None:
            found.append((prefix + key, value))


def _put_within(name: str, value: Any, found: list[tuple[str, Any]]) -> None:
    if isinstance(value, dict):
        found.append((name, value))
        _put_members(f"{name}__", value, found)
    elif isinstance(value, list):
        # Its members say that it is there, unless they say nothing themselves.
        if not (value and isinstance(value[0], str | int | float) and value[0] != ""):
            found.append((name, value))
        for member in value[:_MOST_MEMBERS]:
            _put_within(name, member, found)
    elif value is not None:
        found.append((name, value))
