"""Every exception this package raises, in one tree.

::

    KeywordsAIError
    ├── ConfigurationError (also ValueError)   a setting or an argument is wrong
    ├── InvalidLogError    (also ValueError)   the log itself is wrong; .problems
    ├── ClosedError                            the client was closed
    ├── TransportError                         no answer; .request_sent, .attempts
    │   ├── ConnectError                       it never left
    │   ├── ReadTimeout    (also TimeoutError) the answer did not come in time
    │   └── ProtocolError                      the answer was cut short or no HTTP
    └── APIStatusError                         an answer other than 2xx; .status
        ├── UnexpectedRedirectError            3xx
        ├── BadRequestError                    400
        ├── AuthenticationError                401
        ├── PermissionDeniedError              403
        ├── NotFoundError                      404
        ├── PayloadTooLargeError               413
        ├── UnprocessableLogError              422
        ├── RateLimitError                     429
        └── ServerError                        5xx

Errors carry data as attributes, can be pickled, and hold no API key; their
messages quote at most a short excerpt of a log. This module imports nothing
of the package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "APIStatusError",
    "AuthenticationError",
    "BadRequestError",
    "ClosedError",
    "ConfigurationError",
    "ConnectError",
    "InvalidLogError",
    "KeywordsAIError",
    "NotFoundError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimitError",
    "ReadTimeout",
    "ServerError",
    "TransportError",
    "UnexpectedRedirectError",
    "UnprocessableLogError",
]


def _rebuild(
    cls: type[KeywordsAIError], args: tuple[Any, ...], state: dict[str, Any]
) -> KeywordsAIError:
    """Make an error again from its pickle, past keyword-only constructors."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


_SHOWN = 20
_LONGEST_PATH = 120


def _line(path: str, text: str) -> str:
    if len(path) > _LONGEST_PATH:
        half = _LONGEST_PATH // 2
        path = f"{path[:half]}…{path[-half:]}"
    return f"{path}: {text}" if path else text


class KeywordsAIError(Exception):
    """The base of every exception of this package."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class ConfigurationError(KeywordsAIError, ValueError):
    """A setting, an environment variable or a call's argument is wrong.

    The message names it and says what to set. Nothing was sent.
    """


class InvalidLogError(KeywordsAIError, ValueError):
    """The log cannot be sent as it is. Nothing was sent.

    Attributes:
        problems: Every problem found, as ``(path, message)`` pairs in the order
            of the log's keys, such as ``("prompt_messages[1].role", "required")``.
            The path is empty where the log as a whole is meant. Problems with
            the schema come first, then parts that cannot become JSON. The message
            shows the first 20.
    """

    problems: tuple[tuple[str, str], ...]

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        lines = [_line(path, text) for path, text in self.problems[:_SHOWN]]
        if len(self.problems) > _SHOWN:
            lines.append(f"and {len(self.problems) - _SHOWN} more problems")
        super().__init__("; ".join(lines))


class ClosedError(KeywordsAIError):
    """The client was closed; make a new one."""


class TransportError(KeywordsAIError):
    """The request was not answered. The HTTP library's error is ``__cause__``.

    Attributes:
        request_sent: Did the request leave? False: certainly not. True: all of
            it did. None: unknown, the server may have got it.
        attempts: How often it was tried.
    """

    request_sent: bool | None
    attempts: int

    def __init__(self, message: str, *, request_sent: bool | None = None) -> None:
        super().__init__(message)
        self.request_sent = request_sent
        self.attempts = 1


class ConnectError(TransportError):
    """No connection came about: the request never left."""

    def __init__(self, message: str, *, request_sent: bool | None = False) -> None:
        super().__init__(message, request_sent=request_sent)


class ReadTimeout(TransportError, TimeoutError):
    """The connection stood, but the answer did not come in time."""


class ProtocolError(TransportError):
    """The connection broke, or what came over it was not HTTP.

    Attributes:
        response_started: Whether at least one byte of an answer had come. False
            most often means that a kept-alive connection had gone stale.
    """

    response_started: bool

    def __init__(
        self,
        message: str,
        *,
        request_sent: bool | None = None,
        response_started: bool = True,
    ) -> None:
        super().__init__(message, request_sent=request_sent)
        self.response_started = response_started


class APIStatusError(KeywordsAIError):
    """The service answered with another status than 2xx.

    ``str()`` gives the status and the server's own words, cut at 200 characters.

    Attributes:
        status: The HTTP status code.
        detail: The server's own words, uncut; empty if it gave none.
        body: The decoded JSON of the answer, else its text, else None.
        retry_after: Seconds the server asked to wait, else None.
        request_id: The id the server gave the request, else None.
        attempts: How often the request was tried.
    """

    status: int
    detail: str
    body: Any
    retry_after: float | None
    request_id: str | None
    attempts: int

    def __init__(
        self,
        message: str,
        *,
        status: int,
        detail: str = "",
        body: Any = None,
        retry_after: float | None = None,
        request_id: str | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail
        self.body = body
        self.retry_after = retry_after
        self.request_id = request_id
        self.attempts = attempts


class UnexpectedRedirectError(APIStatusError):
    """3xx: never followed, since a redirected POST becomes a GET."""


class BadRequestError(APIStatusError):
    """400: the service could not read the request."""


class AuthenticationError(APIStatusError):
    """401: the API key is invalid or expired."""


class PermissionDeniedError(APIStatusError):
    """403: the API key may not do this."""


class NotFoundError(APIStatusError):
    """404: no such log (yet: a new log takes some seconds to appear)."""


class PayloadTooLargeError(APIStatusError):
    """413: the log is larger than the service takes."""


class UnprocessableLogError(APIStatusError):
    """422: the service read the log and refused its content."""


class RateLimitError(APIStatusError):
    """429: too many requests; see ``retry_after``."""


class ServerError(APIStatusError):
    """5xx: the service failed."""
