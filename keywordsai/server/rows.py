"""A stored log as the service answers it: a row.

`derived` fills in what the service fills in; `row` makes that readable for the
published SDK; `detail` adds what was sent, byte for byte, under ``as_sent``.
"""

from __future__ import annotations

from typing import Any

from keywordsai.server.answers import to_json
from keywordsai.server.excerpts import excerpts
from keywordsai.server.shapes import as_text, presentable
from keywordsai.server.times import format_time, parse_time

__all__ = ["derived", "detail", "excerpts", "row"]

_FAILED_FROM = 400  # the status codes of failed calls


def _first(*values: Any) -> Any:
    """The first value that says something, else None."""
    for value in values:  # not next(): a generator would cost more than all else
        if value is not None:
            return value
    return None


def _total_tokens(body: dict[str, Any]) -> Any:
    sent = _first(body.get("total_request_tokens"), body.get("total_tokens"))
    if sent is not None:
        return sent
    parts = [body.get("prompt_tokens"), body.get("completion_tokens")]
    counts = [part for part in parts if part is not None]
    total = sum(counts) if counts else None
    try:
        str(total)  # two of the longest that Python writes may be more than that
    except ValueError:
        return None
    return total


def _speed(tokens: Any, seconds: Any) -> float | None:
    if tokens is None or not seconds or seconds < 0:
        return None
    try:
        return float(tokens / seconds)
    except OverflowError:
        return None


def _text_of(*values: Any) -> str | None:
    value = _first(*values)
    return None if value is None else as_text(value)


def derived(body: dict[str, Any], *, log_id: str, timestamp: int) -> dict[str, Any]:
    """The log with what follows from it; nothing that was sent is missing.

    Args:
        body: What was sent, checked.
        log_id: The id it is stored under.
        timestamp: Its instant in microseconds, sent or else that of its arrival.
    """
    customer = body.get("customer_params")
    customer = customer if isinstance(customer, dict) else {}
    latency = _first(body.get("latency"), body.get("generation_time"))
    code = _first(body.get("status_code"), 200)
    failed = code >= _FAILED_FROM or bool(body.get("error_message"))
    found = {
        "status_code": code,
        "status": _first(body.get("status"), "failed" if failed else "success"),
        "latency": latency,
        "time_to_first_token": _first(
            body.get("time_to_first_token"), body.get("ttft")
        ),
        "total_request_tokens": _total_tokens(body),
        "tokens_per_second": _first(
            body.get("tokens_per_second"),
            _speed(body.get("completion_tokens"), latency),
        ),
        "log_method": _first(body.get("log_method"), "logging_api"),
        "input": _first(
            body.get("input"),
            _text_of(body.get("prompt_messages"), body.get("messages")),
        ),
        "output": _first(
            body.get("output"),
            _text_of(body.get("completion_message"), body.get("completion_messages")),
        ),
        "customer_identifier": _first(
            body.get("customer_identifier"), customer.get("customer_identifier")
        ),
        "customer_email": _first(body.get("customer_email"), customer.get("email")),
        "customer_name": _first(body.get("customer_name"), customer.get("name")),
    }
    said = {name: value for name, value in found.items() if value is not None}
    full = {**body, **said, "id": log_id, "unique_id": log_id}
    full["timestamp"] = format_time(timestamp)
    started = parse_time(body.get("start_time"))
    if started is not None:
        full["start_time"] = format_time(started)
    elif "start_time" in full:
        full["start_time"] = None  # no reader could make an instant of it
    return full


def row(body: dict[str, Any], *, log_id: str, timestamp: int) -> dict[str, Any]:
    """The log as one of a list's results; see `derived` for the arguments."""
    return presentable(derived(body, log_id=log_id, timestamp=timestamp))


def detail(text: str, body: dict[str, Any], *, log_id: str, timestamp: int) -> bytes:
    """The log as ``get`` answers it: its row, and ``as_sent``, the text as it came."""
    shown = row(body, log_id=log_id, timestamp=timestamp)
    shown.pop("as_sent", None)  # that key is ours here; theirs is inside it
    return to_json(shown)[:-1] + b', "as_sent": ' + text.encode() + b"}"
