"""What the service answers: a log as it stored it, and a page of logs.

The service's rows vary in what they hold, so everything is optional and nothing
is refused: keys without a field here are kept in ``extra`` and can be reached as
items and as attributes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

import attrs

from keywordsai.logs._published import PUBLISHED_NAMES

__all__ = ["Log", "LogPage"]


@functools.cache
def _iso() -> re.Pattern[str]:
    """A date, alone or with a time and an offset. Compiled when first needed."""
    return re.compile(
        r"(\d{4})-?(\d\d)-?(\d\d)"
        r"(?:[T ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?"
        r"\s*(Z|[+-]\d\d(?::?\d\d)?)?)?",
        re.IGNORECASE | re.ASCII,
    )


def parse_moment(value: Any) -> Any:
    """ISO 8601 text as an aware datetime; anything else as it is.

    A moment without an offset is UTC, in which the service keeps its times, and a
    date alone its beginning there; digits beyond microseconds are cut.
    """
    match = _iso().fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return value
    *numbers, fraction, offset = match.groups("")
    year, month, day, hour, minute, second = (number or "00" for number in numbers)
    time = f"{hour}:{minute}:{second}.{fraction[:6]:0<6}"
    if offset in "Zz":
        offset = "+00:00"
    else:
        digits = offset[1:].replace(":", "").ljust(4, "0")
        offset = f"{offset[0]}{digits[:2]}:{digits[2:]}"
    try:
        moment = datetime.fromisoformat(f"{year}-{month}-{day}T{time}{offset}")
    except ValueError:  # such as a 13th month
        return value
    return moment.astimezone(timezone.utc) if offset == "+00:00" else moment


@attrs.frozen(kw_only=True, repr=False)
class Log:
    """A log as read back from the service.

    Attributes:
        id: The service's id, 32 hex digits.
        unique_id: The id to get it by; often the same.
        model: The model used.
        prompt_messages: The messages that went in, as plain objects.
        completion_message: The message that came out, as a plain object.
        input: What went in; the service gives objects as JSON text.
        output: What came out; the service gives objects as JSON text.
        prompt_tokens: Tokens of the prompt.
        completion_tokens: Tokens of the completion.
        total_request_tokens: Tokens in all; `total_tokens` answers the same.
        cost: US dollars.
        latency: Seconds in all.
        time_to_first_token: Seconds until the first token.
        tokens_per_second: Speed of the generation.
        timestamp: When it was completed: an aware datetime (text if the service
            gives what is no ISO 8601).
        start_time: When it began; as ``timestamp``.
        status: ``success`` or ``failed``.
        status_code: HTTP status of the model's call.
        error_message: What went wrong with the model's call.
        warnings: Text; objects as JSON text.
        customer_identifier: Whose call it was.
        customer_email: That customer's email address.
        customer_name: That customer's name.
        custom_identifier: An id of the caller's own.
        group_identifier: The group of logs it belongs to.
        thread_identifier: The conversation it belongs to.
        trace_unique_id: The trace it belongs to.
        span_unique_id: Its own id in that trace.
        span_parent_id: The span above it.
        span_name: Its name in that trace.
        prompt_id: The stored prompt used.
        prompt_name: That prompt's name.
        metadata: The caller's own keys and values.
        log_type: chat, completion, embedding, …
        log_method: The way it came to the service.
        environment: Where it was made.
        stream: Whether the answer was streamed.
        temperature: The sampling temperature.
        tools: The tools the model was offered.
        full_request: The whole request, an object.
        full_response: The whole response.
        sent: The log exactly as it was sent, where the server keeps that (the
            local server does, for ``get``), else None.
        extra: Every other key of the answer.

    Example:
        >>> log = Log.from_row({"id": "a1", "total_tokens": 3, "score": 0.9})
        >>> log.total_request_tokens, log["score"], log.score
        (3, 0.9, 0.9)
    """

    id: str | None = None
    unique_id: str | None = None
    model: str | None = None
    prompt_messages: Any = None
    completion_message: Any = None
    input: Any = None
    output: Any = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_request_tokens: int | None = None
    cost: float | None = None
    latency: float | None = None
    time_to_first_token: float | None = None
    tokens_per_second: float | None = None
    timestamp: Any = attrs.field(default=None, converter=parse_moment)
    start_time: Any = attrs.field(default=None, converter=parse_moment)
    status: str | None = None
    status_code: int | None = None
    error_message: str | None = None
    warnings: Any = None
    customer_identifier: Any = None
    customer_email: str | None = None
    customer_name: str | None = None
    custom_identifier: Any = None
    group_identifier: Any = None
    thread_identifier: Any = None
    trace_unique_id: Any = None
    span_unique_id: Any = None
    span_parent_id: Any = None
    span_name: str | None = None
    prompt_id: Any = None
    prompt_name: str | None = None
    metadata: Any = None
    log_type: str | None = None
    log_method: str | None = None
    environment: str | None = None
    stream: bool | None = None
    temperature: float | None = None
    tools: Any = None
    full_request: Any = None
    full_response: Any = None
    sent: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)

    @classmethod
    def from_row(
        cls,
        row: Mapping[str, Any],
        *,
        sent: Mapping[str, Any] | None = None,
        changed: Iterable[str] = (),
    ) -> Log:
        """Make a log of an answer's row.

        Args:
            row: The decoded object.
            sent: What was sent, where the server gives it: it then stands in
                place of what the server made of it, ids excepted.
            changed: The keys that were changed since: the row has what they are now.
        """
        values = {**row, **(sent or {})}
        for key in changed:
            values.pop(key, None)
        kept = ("id", "unique_id", *changed)
        values.update((key, row[key]) for key in kept if key in row)
        known = {key: values.pop(key) for key in _NAMES if key in values}
        total = values.pop("total_tokens", None)
        if known.get("total_request_tokens") in _ABSENT:
            known["total_request_tokens"] = None if total in _ABSENT else total
        elif total not in _ABSENT:
            values["total_tokens"] = total
        return cls(**known, sent=sent, extra=values)

    @property
    def total_tokens(self) -> int | None:
        """Tokens in all: as ``total_request_tokens``, unless the answer has both."""
        total: int | None = self.extra.get("total_tokens", self.total_request_tokens)
        return total

    def keys(self) -> list[str]:
        """The keys that have a value, so that ``dict(log)`` works."""
        named = [name for name in sorted(_NAMES) if getattr(self, name) is not None]
        return [*named, *(key for key in self.extra if key not in _NAMES)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, as ``log[key]``, or the default."""
        try:
            return self[key]
        except KeyError:
            return default

    def __getitem__(self, key: str) -> Any:
        if key in self.extra:
            return self.extra[key]
        if key in _NAMES or key in _ALSO_READ or key in PUBLISHED_NAMES:
            return getattr(self, key)
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.get(key) is not None

    def __getattr__(self, name: str) -> Any:
        # Asked only for what is no field. While a copy or a pickle is being put
        # together there is no `extra` to look into yet.
        if not name.startswith("__") and name != "extra":
            if name in self.extra:
                return self.extra[name]
            if name in PUBLISHED_NAMES:
                return None
        raise AttributeError(f"this log has no {name!r}")

    def __repr__(self) -> str:
        return f"Log(id={self.id!r}, model={self.model!r}, status={self.status!r})"


_NAMES = frozenset(field.name for field in attrs.fields(Log)) - {"sent", "extra"}
_ALSO_READ = frozenset({"sent", "total_tokens"})
_ABSENT = (None, "")


@attrs.frozen(kw_only=True, repr=False)
class LogPage:
    """A page of logs: iterate over it, or read its ``results``.

    Attributes:
        results: The logs of this page.
        count: What the service gives as the number of logs. Some answers hold
            the number of all, others that of this page: follow ``next``, or ask
            for pages until one is empty.
        next: URL of the next page, or None.
        previous: URL of the page before, or None.

    Example:
        >>> page = LogPage(results=[Log(model="gpt-4")], count=1)
        >>> [log.model for log in page]
        ['gpt-4']
    """

    results: list[Log]
    count: int
    next: str | None = None
    previous: str | None = None

    def __iter__(self) -> Iterator[Log]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __repr__(self) -> str:
        return f"LogPage({len(self.results)} logs, count={self.count})"
