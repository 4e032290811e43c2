"""Reads what a response other than 2xx says: pure, no HTTP library.

The service answers errors in the manner of Django REST framework: its words
under ``detail``, else ``error``, else ``message``; problems of single fields
under ``errors`` or as lists beside each other.
"""

from __future__ import annotations

import json
import math
import re
import time
from datetime import timezone
from typing import Any

from keywordsai import errors
from keywordsai.transport.base import HTTPResponse

__all__ = ["retry_after", "status_error"]

_DETAIL_LIMIT = 200
_DEEPEST = 5
# A shorter key is a made-up one, and would be found in the middle of words: it is
# taken out where it is a word of its own, and the shortest not even there.
_SHORTEST_KEY = 8
_SHORTEST_WORD = 4
_CLASSES: dict[int, type[errors.APIStatusError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    413: errors.PayloadTooLargeError,
    422: errors.UnprocessableLogError,
    429: errors.RateLimitError,
}
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-amzn-requestid")


def status_error(
    response: HTTPResponse, *, attempts: int, secret: str = ""
) -> errors.APIStatusError:
    """Build the typed error for a response that is no success.

    Args:
        response: The answer, its body read.
        attempts: How often the request was tried.
        secret: The API key, taken out of the message should the server echo it.

    Returns:
        The error, to be raised; its class follows from the status.
    """
    body = _body(response)
    detail = _detail(body)
    shown = _without(secret, " ".join(detail.split()))
    if len(shown) > _DETAIL_LIMIT:
        shown = shown[: _DETAIL_LIMIT - 1] + "…"
    return _class_of(response.status)(
        f"{response.status}: {shown or _reason(response.status)}",
        status=response.status,
        detail=detail,
        body=body,
        retry_after=retry_after(response),
        request_id=_request_id(response),
        attempts=attempts,
    )


def retry_after(response: HTTPResponse, *, now: float | None = None) -> float | None:
    """Seconds the server asks to wait, from whichever place it says so.

    In this order: ``retry-after-ms``, ``Retry-After`` (seconds or an HTTP date),
    the body's ``retry_after``, ``X-RateLimit-Reset`` (seconds, or a Unix time).

    Args:
        response: The answer.
        now: The Unix time dates are measured from; by default the answer's own
            ``Date``, so that a wrong clock here does no harm, else this clock.
    """
    milliseconds = _number(response.header("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    header = response.header("retry-after")
    if header is not None:
        seconds = _number(header)
        if seconds is not None:
            return seconds
        date = _http_date(header)
        if date is not None:
            return max(0.0, date - _present(response, now))
    body = _body(response)
    if isinstance(body, dict):
        seconds = _number(body.get("retry_after"))
        if seconds is not None:
            return seconds
    reset = _number(response.header("x-ratelimit-reset"))
    if reset is not None and reset > 1_000_000_000:  # a Unix time, no duration
        return max(0.0, reset - _present(response, now))
    return reset


def _class_of(status: int) -> type[errors.APIStatusError]:
    if status in _CLASSES:
        return _CLASSES[status]
    if 300 <= status < 400:
        return errors.UnexpectedRedirectError
    return errors.ServerError if status >= 500 else errors.APIStatusError


def _reason(status: int) -> str:
    from http import HTTPStatus  # noqa: PLC0415  needed for errors only

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no detail given"


def _without(secret: str, text: str) -> str:
    if len(secret) >= _SHORTEST_KEY:
        return text.replace(secret, "***")
    if len(secret) >= _SHORTEST_WORD:
        return re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
    return text


def _body(response: HTTPResponse) -> Any:
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        text = response.body.decode("utf-8", "replace").strip()
        return text or None


def _detail(body: Any) -> str:
    if isinstance(body, str):
        # An HTML page says nothing to a reader of a log line.
        return "" if body.startswith("<") else body
    if not isinstance(body, dict):
        return ""
    named = [body.get(key) for key in ("detail", "error", "message")]
    text = next((_text(value) for value in named if value), "")
    fields = body.get("errors")
    if fields is None and not text:
        fields = {name: value for name, value in body.items() if value}
    if not fields:
        return text
    return f"{text}: {_text(fields)}" if text else _text(fields)


def _text(value: Any, depth: int = 0) -> str:
    if isinstance(value, str):
        return value
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, dict):
        inside = (f"{name}: {_text(item, depth + 1)}" for name, item in value.items())
        return "; ".join(inside)
    if isinstance(value, list):
        return ", ".join(_text(item, depth + 1) for item in value)
    return json.dumps(value)


def _request_id(response: HTTPResponse) -> str | None:
    values = (response.header(name) for name in _REQUEST_ID_HEADERS)
    return next((value for value in values if value), None)


def _number(value: Any) -> float | None:
    """A duration: finite and not negative; anything else is no duration."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _http_date(value: str) -> float | None:
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  rarely needed, slow

    try:
        date = parsedate_to_datetime(value)
        # Dates of HTTP are GMT, said or not; without a zone this one would be local.
        return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def _present(response: HTTPResponse, now: float | None) -> float:
    if now is not None:
        return now
    date = response.header("date")
    present = _http_date(date) if date else None
    return time.time() if present is None else present
