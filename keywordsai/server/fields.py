"""The fields that a filter may name, and how the values of each compare."""

from __future__ import annotations

import enum

from keywordsai.server.indexing import BODY_FIELDS
from keywordsai.server.shapes import KNOWN_FIELDS
from keywordsai.server.tables import (
    INTEGER_COLUMNS,
    NUMBER_COLUMNS,
    TEXT_COLUMNS,
    TIME_COLUMNS,
)

__all__ = ["Kind", "resolve"]


class Kind(enum.Enum):
    """Where a field's values are, and how they compare."""

    ID = enum.auto()
    TEXT = enum.auto()  # in columns, as the next three
    INTEGER = enum.auto()
    NUMBER = enum.auto()
    TIME = enum.auto()
    ATTRIBUTE = enum.auto()  # in rows beside the log: plain values of any kind
    BODY = enum.auto()  # nowhere but in the body


# Names of one and the same column.
_ALIASES = {
    "unique_id": "id",
    "ttft": "time_to_first_token",
    "generation_time": "latency",
    "total_tokens": "total_request_tokens",
    "all_tokens": "total_request_tokens",
}
_KINDS = {
    **dict.fromkeys(KNOWN_FIELDS, Kind.ATTRIBUTE),
    **dict.fromkeys(BODY_FIELDS, Kind.BODY),
    **dict.fromkeys(TEXT_COLUMNS, Kind.TEXT),
    **dict.fromkeys(INTEGER_COLUMNS, Kind.INTEGER),
    **dict.fromkeys(NUMBER_COLUMNS, Kind.NUMBER),
    **dict.fromkeys((*TIME_COLUMNS, "timestamp"), Kind.TIME),
    "id": Kind.ID,
}


def resolve(field: str) -> tuple[Kind, str]:
    """How a field compares, and its name in the store.

    A field that is no field of a log is a key of its metadata.

    Example:
        >>> resolve("ttft")
        (<Kind.NUMBER: 4>, 'time_to_first_token')
        >>> resolve("session")
        (<Kind.ATTRIBUTE: 6>, 'metadata__session')
    """
    field = _ALIASES.get(field, field)
    kind = _KINDS.get(field)
    if kind is not None:
        return kind, field
    if not field.startswith("metadata__"):
        field = f"metadata__{field}"
    return Kind.ATTRIBUTE, field
