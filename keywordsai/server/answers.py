"""How the server says things: JSON answers, and refusals as exceptions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from keywordsai.transport.base import HTTPResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Refusal",
    "answer",
    "disk_full",
    "internal_error",
    "not_now",
    "to_json",
]


class Refusal(Exception):
    """The request is answered with an error.

    Attributes:
        status: The HTTP status.
        payload: The answer's JSON object.
        headers: Headers the answer needs beside its content type.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.payload: dict[str, Any] = {"detail": detail, **more}
        self.headers: Mapping[str, str] = headers or {}

    def response(self) -> HTTPResponse:
        """The refusal as it goes out."""
        return answer(self.status, self.payload, headers=self.headers)


def to_json(value: Any) -> bytes:
    """JSON in ASCII, so that half of a surrogate pair survives as an escape.

    A number too large for a float has been read as infinity, which JSON cannot
    write: it becomes null. What was sent is kept elsewhere, untouched.
    """
    try:
        return json.dumps(value, allow_nan=False).encode()
    except ValueError:
        # By way of text: a walk in Python would need more stack than json does.
        finite = json.loads(json.dumps(value), parse_constant=lambda _: None)
        return json.dumps(finite).encode()


def answer(
    status: int, payload: Any, *, headers: Mapping[str, str] | None = None
) -> HTTPResponse:
    """A JSON answer; ``payload`` may be JSON bytes already."""
    return HTTPResponse(
        status=status,
        headers={"Content-Type": "application/json", **(headers or {})},
        body=payload if isinstance(payload, bytes) else to_json(payload),
    )


def disk_full() -> HTTPResponse:
    """The answer when there is no room for what was to be stored."""
    detail = "The server's disk is full; nothing was stored"
    return answer(503, {"detail": detail}, headers={"Retry-After": "30"})


def not_now() -> HTTPResponse:
    """The answer when the database cannot be used, or not in time."""
    detail = "The server's database cannot be used now; try again"
    return answer(503, {"detail": detail}, headers={"Retry-After": "2"})


def internal_error() -> HTTPResponse:
    """The answer when the server itself failed."""
    return answer(
        500, {"detail": "Internal server error", "error_code": "INTERNAL_ERROR"}
    )
