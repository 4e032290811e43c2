"""What a transport is: one request out, one response in.

A transport sends exactly one request. It never retries, follows a redirect,
keeps a cookie or reads a netrc; it turns its library's exceptions into
`ConnectError`, `ReadTimeout` or `ProtocolError` and keeps the original as
``__cause__``. One generic protocol covers both colours: what ``send``,
``sleep`` and ``close`` return is a type parameter. Imports no HTTP library.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

import attrs

from keywordsai._excerpt import excerpt
from keywordsai.errors import ConfigurationError

__all__ = [
    "AsyncTransport",
    "HTTPRequest",
    "HTTPResponse",
    "SyncTransport",
    "Timeout",
    "Transport",
]

_LONGEST = 1e6  # seconds: more would overflow the clocks of some systems
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})


def _positive(_instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and 0 < value <= _LONGEST):
        raise ConfigurationError(
            f"timeout.{attribute.name} must be a number of seconds above 0, "
            f"got {excerpt(value)}"
        )


@attrs.frozen(kw_only=True)
class Timeout:
    """How long a call may take, in seconds.

    Attributes:
        connect: For a connection to stand, for each attempt. Default 5.
        read: Between two pieces of an answer, for each attempt. Default 10.
        total: For the whole call, with all its attempts and waits. Default 30.

    Raises:
        ConfigurationError: A value is no number above 0.

    Example:
        >>> Timeout(total=3)
        Timeout(connect=5.0, read=10.0, total=3.0)
        >>> Timeout.of(3)
        Timeout(connect=3.0, read=3.0, total=3.0)
    """

    connect: float = attrs.field(default=5.0, validator=_positive)
    read: float = attrs.field(default=10.0, validator=_positive)
    total: float = attrs.field(default=30.0, validator=_positive)

    def __attrs_post_init__(self) -> None:
        for name in ("connect", "read", "total"):
            object.__setattr__(self, name, float(getattr(self, name)))

    @classmethod
    def of(cls, value: float | Timeout | None) -> Timeout:
        """Read what a caller may give: seconds in all, a Timeout, or None."""
        if value is None:
            return cls()
        if isinstance(value, Timeout):
            return value
        return cls(total=value).within(value)

    def within(self, remaining: float) -> Timeout:
        """The same timeouts, none longer than the seconds that remain."""
        return Timeout(
            connect=min(self.connect, remaining),
            read=min(self.read, remaining),
            total=min(self.total, remaining),
        )


def _hide_secrets(headers: Mapping[str, str]) -> str:
    shown = {
        name: "***" if name.lower() in _SECRET_HEADERS else value
        for name, value in headers.items()
    }
    return repr(shown)


@attrs.frozen(kw_only=True, eq=False)
class HTTPRequest:
    """One request, complete: a transport adds nothing that changes its meaning.

    Attributes:
        method: ``GET`` or ``POST``.
        url: Absolute, already quoted.
        headers: All of them but ``Host`` and ``Content-Length``. Their ``repr``
            hides the API key.
        body: The bytes to send, None for a request without one. Not in ``repr``.
        timeout: The limits of this attempt; ``total`` is what remains of the call.
    """

    method: str
    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=_hide_secrets)
    body: bytes | None = attrs.field(default=None, repr=False)
    timeout: Timeout = Timeout()


@attrs.frozen(kw_only=True, eq=False)
class HTTPResponse:
    """One response, read to its end.

    Attributes:
        status: The HTTP status code.
        headers: In the letter case they came in; look them up by `header`.
        body: The decoded (decompressed) bytes. Not in ``repr``.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def header(self, name: str) -> str | None:
        """The header's value, whatever the case of its letters, else None."""
        wanted = name.lower()
        for key, value in self.headers.items():
            if key.lower() == wanted:
                return value
        return None


ResponseT_co = TypeVar("ResponseT_co", covariant=True)
NothingT_co = TypeVar("NothingT_co", covariant=True)


class Transport(Protocol[ResponseT_co, NothingT_co]):
    """Sends one request; the type parameters say whether to await the answer."""

    def send(self, request: HTTPRequest) -> ResponseT_co:
        """Send the request once and give its response, whatever its status.

        Raises:
            ConnectError: The request never left.
            ReadTimeout: ``request.timeout`` ran out on a standing connection.
            ProtocolError: The connection broke, or no HTTP came over it.
            ConfigurationError: There are no certificates where the settings say.
            ClosedError: The transport was closed.
        """
        ...

    def sleep(self, seconds: float) -> NothingT_co:
        """Wait between two attempts, in the transport's own colour."""
        ...

    def close(self) -> NothingT_co:
        """Close what the transport opened itself. Closing twice is fine."""
        ...


SyncTransport: TypeAlias = Transport[HTTPResponse, object]
AsyncTransport: TypeAlias = Transport[Awaitable[HTTPResponse], Awaitable[object]]
