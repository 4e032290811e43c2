"""What follows from a log that was sent: the service fills it in, and so do we.

Nothing that was sent is changed or lost; a value that was sent always wins over one
that could be worked out, but for ``status``, where "error" reads "failed". Where
something cannot be worked out, as from numbers that no float can hold, it is left
out: nothing here raises, whatever JSON a log is.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from keywordsai.server.bodies import read_json, too_deep
from keywordsai.server.shapes import as_text
from keywordsai.server.times import format_time, parse_time

__all__ = ["derived", "indexed"]

_FAILED_FROM = 400  # the status codes of failed calls
_CHATS = (
    None,
    "",
    "chat",
)  # the log types of chats: one without a type is taken for one


def _first(*values: Any) -> Any:
    """The first value that says something, else None."""
    for value in values:  # not next(): a generator would cost more than all else
        if value is not None:
            return value
    return None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _sum(prompt_tokens: Any, completion_tokens: Any) -> Any:
    parts = [prompt_tokens, completion_tokens]
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


def _price(*counted: tuple[Any, Any]) -> float | None:
    """What tokens cost, of pairs of a price and a number of tokens."""
    parts = []
    for price, tokens in counted:
        count = _count(tokens)
        if count is None or isinstance(price, bool):
            continue
        if isinstance(price, int) or (
            isinstance(price, float) and math.isfinite(price)
        ):
            # In decimals, as prices are written: 0.1 times 3 is 0.3.
            exact = price if isinstance(price, int) else Decimal(repr(price))
            parts.append(Decimal(exact) * count)
    total = float(sum(parts)) if parts else math.inf
    return total if math.isfinite(total) else None


def _read(value: Any) -> Any:
    """A value, or what it holds as JSON text if that might be messages."""
    if not isinstance(value, str):
        return value
    if '"role"' not in value:  # so that other texts, long ones too, cost one look
        return None
    try:
        found = read_json(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict | list) or too_deep(found, value):
        return None
    return found


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("role"), str)


def _messages_in(value: Any) -> list[Any] | None:
    """The messages that the input of a chat is, or holds as JSON."""
    found = _read(value)
    if isinstance(found, dict):
        found = [found]
    if isinstance(found, list) and found and all(map(_is_message, found)):
        return found
    return None


def _message_in(value: Any) -> Any:
    """The one message that the output of a chat is, or holds as JSON."""
    found = _messages_in(value)
    return found[0] if found is not None and len(found) == 1 else None


def derived(body: dict[str, Any], *, log_id: str, timestamp: int) -> dict[str, Any]:
    """The log with what follows from it; nothing that was sent is missing.

    Args:
        body: What was sent, checked.
        log_id: The id it is stored under.
        timestamp: Its instant in microseconds, sent or else that of its arrival.
    """
    full = indexed(body)
    asked, answered = body.get("input"), body.get("output")
    if asked is None:
        asked = _first(body.get("prompt_messages"), body.get("messages"))
    if answered is None:
        answered = _first(
            body.get("completion_message"), body.get("completion_messages")
        )
    if asked is not None:
        full["input"] = as_text(asked)
    if answered is not None:
        full["output"] = as_text(answered)
    full["id"] = full["unique_id"] = log_id
    full["timestamp"] = format_time(timestamp)
    if "start_time" in full:
        started = parse_time(full["start_time"])
        # No reader could make an instant of what is none.
        full["start_time"] = None if started is None else format_time(started)
    return full


def indexed(body: dict[str, Any]) -> dict[str, Any]:
    """The same without what only readers need: all that a log can be found by."""
    full = dict(body)
    full.update(_course(body))
    for part in (_amounts(body), _messages(body), _customer(body)):
        full.update({name: it for name, it in part.items() if it is not None})
    if full.get("log_method") is None:
        full["log_method"] = "logging_api"
    return full


def _course(body: dict[str, Any]) -> dict[str, Any]:
    """How the call went, and how long it took."""
    get = body.get
    code = _first(get("status_code"), 200)
    failed = code >= _FAILED_FROM or bool(get("error_message"))
    status = _first(get("status"), "failed" if failed else "success")
    course = {
        "status_code": code,
        "status": "failed" if status == "error" else status,
    }
    latency = _first(get("latency"), get("generation_time"))
    if latency is not None:
        course["latency"] = latency
    first = _first(get("time_to_first_token"), get("ttft"))
    if first is not None:
        course["time_to_first_token"] = first
    return course


def _amounts(body: dict[str, Any]) -> dict[str, Any]:
    """Tokens and what they cost; the provider's usage says what nothing else does."""
    get = body.get
    usage = get("usage")
    usage = usage if isinstance(usage, dict) else {}
    prompt = _first(get("prompt_tokens"), _count(usage.get("prompt_tokens")))
    completion = _first(
        get("completion_tokens"), _count(usage.get("completion_tokens"))
    )
    amounts = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_request_tokens": _first(
            get("total_request_tokens"),
            get("total_tokens"),
            _count(usage.get("total_tokens")),
            _sum(prompt, completion),
        ),
        "tokens_per_second": _first(
            get("tokens_per_second"),
            _speed(completion, _first(get("latency"), get("generation_time"))),
        ),
    }
    if get("cost") is None and (
        "prompt_unit_price" in body or "completion_unit_price" in body
    ):
        amounts["cost"] = _price(
            (get("prompt_unit_price"), prompt),
            (get("completion_unit_price"), completion),
        )
        if amounts["cost"] is not None:
            amounts["cost_derived"] = True
    return amounts


def _messages(body: dict[str, Any]) -> dict[str, Any]:
    """The messages that a chat's input and output are, or hold."""
    get = body.get
    if get("log_type") not in _CHATS:
        return {}
    found: dict[str, Any] = {}
    asked, answered = get("input"), get("output")
    if asked is not None and _first(get("prompt_messages"), get("messages")) is None:
        found["prompt_messages"] = _messages_in(asked)
    if (
        answered is not None
        and _first(get("completion_message"), get("completion_messages")) is None
    ):
        found["completion_message"] = _message_in(answered)
    return found


def _customer(body: dict[str, Any]) -> dict[str, Any]:
    """Who the customer is, said by itself or among the customer's parameters."""
    get = body.get
    customer = get("customer_params")
    if not isinstance(customer, dict):
        return {}
    return {
        "customer_identifier": _first(
            get("customer_identifier"), customer.get("customer_identifier")
        ),
        "customer_email": _first(get("customer_email"), customer.get("email")),
        "customer_name": _first(get("customer_name"), customer.get("name")),
    }
