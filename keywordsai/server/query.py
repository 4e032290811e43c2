"""What a list request asks for: the page, the order, the time, the filters.

Knows no database. Only equality is read so far; a condition with any other
operator is refused by name, and `conditions_from_body` is where the rest of the
service's filter language will be read.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import attrs

from keywordsai.server.answers import Refusal
from keywordsai.server.times import parse_time

__all__ = ["Condition", "ListQuery", "Plain", "Selection", "read_list_query"]

Plain: TypeAlias = str | float | bool
"""What a field can be compared with; int is among float, as everywhere in typing."""

_HOUR = 3_600_000_000  # microseconds
_LARGEST_PAGE_SIZE = 1000
_DEFAULT_PAGE_SIZE = 100

_SORTABLE = {
    **{name: name for name in ("id", "timestamp", "cost", "latency")},
    **{name: name for name in ("time_to_first_token", "tokens_per_second")},
    **{name: name for name in ("prompt_tokens", "completion_tokens")},
    "all_tokens": "total_request_tokens",
    "total_request_tokens": "total_request_tokens",
}
# Read by name, or accepted for the service's sake: none of them is a filter.
_OPTIONS = frozenset(
    {
        *("page", "page_size", "sort_by", "start_time", "end_time"),
        *("is_test", "all_envs", "fetch_filters", "include_fields"),
    }
)
_QUICK_FILTER = re.compile(r"(.+?)(?:\[(value|operator)\])?", re.DOTALL)

_MOST_CONDITIONS = 100  # databases limit how deep an expression may be


@attrs.frozen(kw_only=True)
class Condition:
    """One condition of a list; all of them must hold.

    Attributes:
        field: The field as the request names it.
        values: Strings, numbers or booleans. From a URL they are always strings.
        operator: ``""`` is equality, the only one there is so far.
    """

    field: str
    values: tuple[Plain, ...] = attrs.field(repr=False)
    operator: str = ""


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


def _whole(options: dict[str, str], name: str, default: int, largest: int) -> int:
    text = options.get(name, "")
    if not text:
        return default
    if re.fullmatch(r"[0-9]{1,12}", text) is None or not 1 <= int(text) <= largest:
        raise Refusal(400, f"{name}: expected a whole number from 1 to {largest}")
    return int(text)


def _instant(options: dict[str, str], name: str, default: int) -> int:
    text = options.get(name, "")
    if not text:
        return default
    instant = parse_time(text)
    if instant is None:
        raise Refusal(400, f"{name}: expected an ISO 8601 time")
    return instant


def _refuse_operator(field: str, operator: Any) -> Refusal:
    return Refusal(
        400,
        f"{field[:100]}: this server knows no operator but equality (an empty "
        f"one) yet, got {str(operator)[:50]!r}",
    )


def _quick_filters(pairs: list[tuple[str, str]]) -> list[Condition]:
    """Read ``field=value``, and ``field[value]=`` with ``field[operator]=``."""
    conditions = []
    for name, value in pairs:
        found = _QUICK_FILTER.fullmatch(name)
        if found is None:
            continue  # a parameter without a name
        field, part = found.groups()
        if part == "operator":
            if value:
                raise _refuse_operator(field, value)
        else:
            conditions.append(Condition(field=field, values=(value,)))
    return conditions


def _condition(field: str, stated: Any) -> Condition:
    if isinstance(stated, dict):
        operator = stated.get("operator") or ""
        if operator != "":
            raise _refuse_operator(field, operator)
        value = stated.get("value")
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, str | int | float):
            return Condition(field=field, values=(value,))
    raise Refusal(
        400,
        f"filters.{field[:100]}: expected an object with an operator and a value, "
        "the value an array of one string, number or boolean",
    )


def conditions_from_body(body: dict[str, Any]) -> list[Condition]:
    """Read ``{"filters": {field: condition, or a list of them}}``.

    Raises:
        Refusal: 400, it is no such object or has an operator unknown here.
    """
    filters = body.get("filters")
    if filters is None:
        return []
    if not isinstance(filters, dict):
        raise Refusal(400, "filters: expected an object of conditions by field")
    return [
        _condition(field, stated)
        for field, value in filters.items()
        for stated in (value if isinstance(value, list) else [value])
    ]


def _bounded(conditions: list[Condition]) -> tuple[Condition, ...]:
    if len(conditions) > _MOST_CONDITIONS:
        raise Refusal(400, f"filters: more than {_MOST_CONDITIONS} conditions")
    return tuple(conditions)


def read_list_query(url: str, body: dict[str, Any], *, now: int) -> ListQuery:
    """Read a list request.

    Args:
        url: The request's, absolute.
        body: The posted object, empty for a GET.
        now: The present instant, microseconds.

    Raises:
        Refusal: 400, with what is wrong.
    """
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    options = {name: value for name, value in pairs if name in _OPTIONS}
    sort_by = options.get("sort_by") or "-id"
    column = _SORTABLE.get(sort_by.removeprefix("-"))
    if column is None:
        known = ", ".join(sorted(_SORTABLE))
        raise Refusal(400, f"sort_by: expected one of {known}, with - for descending")
    wanted = options.get("include_fields", "")
    fields = frozenset(name.strip() for name in wanted.split(",")) - {""}
    quick = _quick_filters([pair for pair in pairs if pair[0] not in _OPTIONS])
    return ListQuery(
        selection=Selection(
            start=_instant(options, "start_time", now - _HOUR),
            end=_instant(options, "end_time", now),
            conditions=_bounded([*quick, *conditions_from_body(body)]),
        ),
        page=_whole(options, "page", 1, 10**9),
        page_size=_whole(options, "page_size", _DEFAULT_PAGE_SIZE, _LARGEST_PAGE_SIZE),
        sort_by=column,
        descending=sort_by.startswith("-"),
        include_fields=fields or None,
        url=url,
    )
