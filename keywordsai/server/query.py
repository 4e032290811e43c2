"""What a list request asks for: the page, the order, the time, the filters.

Knows no database; the filters are read in `keywordsai.server.language`.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import attrs

from keywordsai.server.answers import Refusal
from keywordsai.server.language import (
    Condition,
    Plain,
    conditions_of_body,
    quick_filters,
)
from keywordsai.server.times import parse_time

__all__ = [
    "OPTIONS",
    "SORTABLE",
    "Condition",
    "ListQuery",
    "Plain",
    "Selection",
    "read_list_query",
]

_LARGEST_PAGE_SIZE = 1000
_DEFAULT_PAGE_SIZE = 100

SORTABLE = {
    **{name: name for name in ("id", "timestamp", "cost", "latency")},
    **{name: name for name in ("time_to_first_token", "tokens_per_second")},
    **{name: name for name in ("prompt_tokens", "completion_tokens")},
    "all_tokens": "total_request_tokens",
    "total_request_tokens": "total_request_tokens",
}
"""What lists are sorted by: the column, by the name that it is asked for by."""

OPTIONS = frozenset(
    {
        *("page", "page_size", "sort_by", "start_time", "end_time"),
        *("is_test", "all_envs", "fetch_filters", "include_fields"),
    }
)
"""Read by name, or accepted for the service's sake: none of them is a filter."""


@attrs.frozen(kw_only=True)
class Selection:
    """Which logs are meant: those of a span of time that meet every condition.

    Attributes:
        start: The earliest timestamp, microseconds; None for no bound.
        end: The latest timestamp, microseconds; None for no bound.
        conditions: All that must hold.
        text: Words to be found in what was asked or answered; empty for any.
    """

    start: int | None = None
    end: int | None = None
    conditions: tuple[Condition, ...] = ()
    text: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True)
class ListQuery:
    """A list request, read.

    Attributes:
        selection: Which logs.
        page: From 1.
        page_size: From 1 to 1000.
        sort_by: The column to sort by; ties are in the order of the ids.
        descending: Whether the largest comes first.
        include_fields: The only keys wanted of a row, None for all.
        url: The URL of the request, for the links to other pages.
    """

    selection: Selection
    page: int
    page_size: int
    sort_by: str
    descending: bool
    include_fields: frozenset[str] | None
    url: str

    @property
    def offset(self) -> int:
        """How many logs come before the page."""
        return (self.page - 1) * self.page_size

    def link(self, page: int) -> str:
        """The URL of another page of the same list."""
        parts = urlsplit(self.url)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        kept = [(name, value) for name, value in pairs if name != "page"]
        query = urlencode([*kept, ("page", page)])
        return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))


def _whole(options: dict[str, Any], name: str, default: int, largest: int) -> int:
    text = str(options.get(name, ""))
    if not text:
        return default
    if re.fullmatch(r"[0-9]{1,12}", text) is None or not 1 <= int(text) <= largest:
        raise Refusal(400, f"{name}: expected a whole number from 1 to {largest}")
    return int(text)


def _instant(options: dict[str, Any], name: str, default: int | None) -> int | None:
    given = options.get(name, "")
    if given == "":
        return default
    instant = parse_time(given)
    if instant is None:
        raise Refusal(400, f"{name}: expected an ISO 8601 time")
    return instant


def _order(options: dict[str, Any]) -> tuple[str, bool]:
    sort_by = str(options.get("sort_by") or "-id")
    column = SORTABLE.get(sort_by.removeprefix("-"))
    if column is None:
        known = ", ".join(sorted(SORTABLE))
        raise Refusal(400, f"sort_by: expected one of {known}, with - for descending")
    return column, sort_by.startswith("-")


def _fields(options: dict[str, Any]) -> frozenset[str] | None:
    wanted = options.get("include_fields", "")
    names = wanted.split(",") if isinstance(wanted, str) else wanted
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise Refusal(400, "include_fields: expected names with commas between")
    return (frozenset(name.strip() for name in names) - {""}) or None


def read_list_query(
    url: str, body: dict[str, Any], *, now: int, window: int | None = None
) -> ListQuery:
    """Read a list request.

    Args:
        url: The request's, absolute. What it says goes before what the body says,
            so that a link to the next page can be posted with the same body.
        body: The posted object, empty for a GET: ``filters``, and any of the options.
        now: The present instant, microseconds.
        window: How far back a list goes that names no start, microseconds; None
            for all logs.

    Raises:
        Refusal: 400, with what is wrong.
    """
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    posted = {name: body[name] for name in OPTIONS.intersection(body)}
    given = {name: value for name, value in posted.items() if value is not None}
    options = {**given, **{name: value for name, value in pairs if name in OPTIONS}}
    column, descending = _order(options)
    quick = quick_filters(pair for pair in pairs if pair[0] not in OPTIONS)
    earliest = None if window is None else now - window
    return ListQuery(
        selection=Selection(
            start=_instant(options, "start_time", earliest),
            end=_instant(options, "end_time", now),
            conditions=(*quick, *conditions_of_body(body)),
        ),
        page=_whole(options, "page", 1, 10**9),
        page_size=_whole(options, "page_size", _DEFAULT_PAGE_SIZE, _LARGEST_PAGE_SIZE),
        sort_by=column,
        descending=descending,
        include_fields=_fields(options),
        url=url,
    )
