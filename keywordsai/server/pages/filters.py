"""Which logs a page shows, in its URL: the filter language of the API's lists.

On top of it come what only pages have: a window of time by its name, words to be
found, and the form's two fields for a key of the metadata. A URL of the form is
made one of the API's by `canonical`, which is also the one to be shared.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias
from urllib.parse import parse_qsl, quote, urlencode

import attrs

from keywordsai.server.answers import Refusal
from keywordsai.server.pages.formats import utc
from keywordsai.server.query import Condition, Selection, read_list_query
from keywordsai.server.times import parse_time

__all__ = ["FIELDS", "WINDOWS", "Chip", "Filters", "canonical", "read_filters"]

Pairs: TypeAlias = tuple[tuple[str, str], ...]

_MINUTE = 60_000_000  # microseconds

WINDOWS = {
    "15m": ("Last 15 minutes", 15 * _MINUTE),
    "1h": ("Last hour", 60 * _MINUTE),
    "24h": ("Last 24 hours", 24 * 60 * _MINUTE),
    "7d": ("Last 7 days", 7 * 24 * 60 * _MINUTE),
    "30d": ("Last 30 days", 30 * 24 * 60 * _MINUTE),
}
"""Windows of time by their names in a URL: how they are called, how long they are."""

FIELDS = {
    "model": "Model",
    "status": "Status",
    "customer_identifier": "Customer",
    "thread_identifier": "Thread",
    "trace_unique_id": "Trace",
    "prompt_id": "Prompt",
}
"""The fields that have a name of their own on the page."""

_CURSORS = ("before", "after", "rows")
_OWN = frozenset({"time", "q", "start_time", "end_time", *_CURSORS})
_OPERATORS = {
    "": "is",
    "not": "is not",
    "iexact": "is, in any case,",
    "lt": "<",
    "lte": "≤",
    "gt": ">",
    "gte": "≥",
    "in": "is one of",
    "not_in": "is none of",
    "icontains": "contains, in any case,",
    "startswith": "starts with",
    "endswith": "ends with",
    "isnull": "is absent:",
    "not_empty": "is not empty",
}


@attrs.frozen
class Chip:
    """One filter in words, and the query of the page without it."""

    label: str
    value: str
    query: str


def _encoded(pairs: Iterable[tuple[str, str]]) -> str:
    query = urlencode(list(pairs), quote_via=quote, safe="", errors="replace")
    return f"?{query}" if query else ""


@attrs.frozen(kw_only=True)
class Filters:
    """What a page's URL asks for.

    Attributes:
        pairs: The parameters that choose logs, in their order.
        selection: The logs they choose.
        window: The name of the window; "custom" with times of its own, "all".
        start: The custom window's first moment as the form takes it, or "".
        end: Its last one.
        before: The id that the page's logs come before, or "".
        after: The id that they come after, or "".
    """

    pairs: Pairs
    selection: Selection
    window: str
    start: str = ""
    end: str = ""
    before: str = ""
    after: str = ""

    def value(self, field: str) -> str:
        """What a field must equal, or ""."""
        return next((value for name, value in self.pairs if name == field), "")

    def query(self, **changes: str) -> str:
        """The query of a page with the same filters, with parameters put or taken."""
        kept = [pair for pair in self.pairs if pair[0] not in changes]
        return _encoded([*kept, *((n, v) for n, v in changes.items() if v)])

    @property
    def others(self) -> Pairs:
        """The parameters that the form has no field for."""
        shown = {"time", "q", "start_time", "end_time", "model", "status"}
        shown |= {"customer_identifier", "thread_identifier"}
        return tuple(pair for pair in self.pairs if pair[0] not in shown)

    @property
    def excludes(self) -> bool:
        """Whether anything but the time is asked for."""
        return bool(self.selection.conditions or self.selection.text)

    @property
    def chips(self) -> tuple[Chip, ...]:
        """Every filter that is set, each with the way to take it off."""
        found = []
        if self.window in WINDOWS and self.value("time"):
            query = self.query(time="")
            found.append(Chip("Time", WINDOWS[self.window][0].lower(), query))
        for name, label in (("start_time", "From"), ("end_time", "To")):
            instant = parse_time(self.value(name)) if self.value(name) else None
            if instant is not None:
                query = self.query(**{name: ""})
                found.append(Chip(label, f"{utc(instant)} UTC", query))
        if self.selection.text:
            found.append(Chip("Text", self.selection.text, self.query(q="")))
        for condition in self.selection.conditions:
            label, value = _in_words(condition)
            found.append(Chip(label, value, self._without(condition)))
        return tuple(found)

    def _without(self, condition: Condition) -> str:
        """The query without a condition, in whichever way it is written there."""
        field = condition.field
        written = {field, f"{field}[value]", f"{field}[operator]"}
        alike = [c for c in self.selection.conditions if c.field == field]
        values = {str(value) for value in condition.values}
        kept = [
            (name, value)
            for name, value in self.pairs
            if name not in written
            or (len(alike) > 1 and value not in values and name == field)
        ]
        return _encoded(kept)


def _in_words(condition: Condition) -> tuple[str, str]:
    field = condition.field
    label = FIELDS.get(field) or field.removeprefix("metadata__").replace("__", ".")
    operator = _OPERATORS.get(condition.operator, condition.operator)
    values = ", ".join(str(value) for value in condition.values)
    return label, values if operator == "is" else f"{operator} {values}"


def canonical(query: str) -> str | None:
    """The query that says the same in the shortest way, None if it is that already.

    A form sends every field, empty ones too, and the metadata's key apart.
    """
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    key, value = given.get("meta_key", "").strip(), given.get("meta_value", "")
    custom = any(given.get(name) for name in ("start_time", "end_time"))
    kept = []
    for name, text in pairs:
        if name in ("meta_key", "meta_value") or not text:
            continue
        if name == "time" and (text == "custom" or custom):
            continue  # its own times say it, whatever else the form had
        kept.append((name, text))
    if key and value:
        kept.append((f"metadata__{key}", value))
    return None if kept == pairs else _encoded(kept)


def read_filters(query: str, *, now: int, window: str = "all") -> Filters:
    """Read a page's query.

    Args:
        query: The URL's, without its question mark.
        now: The present instant, microseconds.
        window: The window where the query names none.

    Raises:
        Refusal: 400, with what is wrong.
    """
    given = parse_qsl(query, keep_blank_values=True)
    options = dict(given)
    conditions = [pair for pair in given if pair[0] not in _OWN]
    read = read_list_query(f"/{_encoded(conditions)}", {}, now=now)
    start, end = _instant(options, "start_time"), _instant(options, "end_time")
    name = options.get("time", window)
    if start is not None or end is not None:
        name = "custom"
    elif name in WINDOWS:
        start = now - WINDOWS[name][1]
    elif name != "all":
        known = ", ".join([*WINDOWS, "all"])
        raise Refusal(400, f"time: expected one of {known}")
    text = " ".join(options.get("q", "").split())
    conditions_read = read.selection.conditions
    return Filters(
        pairs=tuple(pair for pair in given if pair[0] not in _CURSORS),
        selection=Selection(
            start=start, end=end, conditions=conditions_read, text=text
        ),
        window=name,
        start=_in_form(start) if name == "custom" else "",
        end=_in_form(end) if name == "custom" else "",
        before=_cursor(options, "before"),
        after=_cursor(options, "after"),
    )


def _in_form(instant: int | None) -> str:
    return "" if instant is None else utc(instant).replace(" ", "T")


def _instant(options: dict[str, str], name: str) -> int | None:
    if not options.get(name):
        return None
    instant = parse_time(options[name])
    if instant is None:
        raise Refusal(400, f"{name}: expected a time such as 2026-01-31T09:30, in UTC")
    return instant


def _cursor(options: dict[str, str], name: str) -> str:
    text = options.get(name, "").lower()
    if text and not (text.isalnum() and len(text) <= 32):
        raise Refusal(400, f"{name}: expected the id of a log")
    return text
