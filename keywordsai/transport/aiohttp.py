"""The asynchronous transport, over aiohttp.

A session belongs to the event loop it was made in, so there is one for each loop,
made on first use (`sessions`); one watchdog a loop sees to the deadlines.
"""

from __future__ import annotations

import asyncio
import functools
import io
import weakref
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from keywordsai.errors import ClosedError, ConfigurationError, TransportError
from keywordsai.transport.base import HTTPRequest, HTTPResponse, Timeout
from keywordsai.transport.failures import (
    broken,
    connect_failed,
    timed_out,
    while_connecting,
)
from keywordsai.transport.forks import watch_forks
from keywordsai.transport.network import (
    Network,
    load_certificates,
    split_credentials,
)
from keywordsai.transport.sessions import (
    Held,
    Loop,
    abandon,
    close_all,
    forget_closed_loops,
    hold,
)
from keywordsai.transport.watchdog import Flight, Watchdog

if TYPE_CHECKING:
    import ssl

__all__ = ["AiohttpTransport"]

_LARGE = 2**20
_TICK = 0.001
_ONE_WRITE = 2**16
_HTTP_2 = aiohttp.HttpVersion(2, 0)
_FAILURES = (
    aiohttp.ClientError,
    TimeoutError,
    asyncio.TimeoutError,  # the same from Python 3.11 on
    UnicodeError,  # a host that cannot be a name
)
_NEVER_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
)


class AiohttpTransport:
    """Sends requests from any number of event loops, one after another or at once.

    Args:
        network: Proxy and certificates; by default neither.
        session: A session of yours to send over instead, on its own loop, with
            its connector, headers and cookies: what its jar holds is sent, and it
            keeps what it is answered, unless it is an `aiohttp.DummyCookieJar`. It
            is never closed, and not changed otherwise. One with ``trust_env`` must
            not find our host in a netrc: aiohttp before 3.14 would send that login
            in place of the key, later ones raise ConfigurationError here.

    Example:
        >>> import asyncio
        >>> transport = AiohttpTransport()  # outside a loop is fine
        >>> asyncio.run(transport.close())
    """

    def __init__(
        self,
        network: Network | None = None,
        *,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        self._network = Network() if network is None else network
        self._session = session
        self._held: dict[Loop, Held] = {}
        self._left_to_parent: list[Any] = []
        self._ssl_context: ssl.SSLContext | None = None
        self._dog: Watchdog | None = None
        self._closed = False
        # When this is collected or the program ends, close what is still open.
        self._finalizer = weakref.finalize(self, close_all, self._held)
        watch_forks(self)

    async def send(self, request: HTTPRequest) -> HTTPResponse:
        """Send the request once. See `keywordsai.transport.base.Transport`."""
        if self._closed:
            raise ClosedError("the client was closed; make a new one")
        if self._session is None:
            held = await self._own()
            session, dog = held.session, held.dog
        else:
            session, dog = self._session, self._handed_in(self._session)
        proxy = self._network.proxy
        answered = False
        try:
            with Flight(dog, request.timeout.total):
                async with session.request(
                    request.method,
                    _url(request.url),
                    data=_payload(request.body),
                    allow_redirects=False,
                    raise_for_status=False,
                    timeout=_client_timeout(request.timeout, proxied=bool(proxy)),
                    **self._options(session, request, proxy),
                ) as response:
                    answered = True
                    if response.status < 100 or response.version == _HTTP_2:
                        raise aiohttp.ClientPayloadError("no answer in HTTP/1")
                    body = await response.read()
        except _FAILURES as error:
            cause = error.args[0] if isinstance(error, _Dropped) else error
            raise _translate(cause, request, answered=answered) from cause
        except ValueError as error:
            if "AUTHORIZATION" not in str(error):
                raise
            raise ConfigurationError(
                "the aiohttp.ClientSession has credentials of its own, from auth= or, "
                "by trust_env, from a netrc; hand in one without"
            ) from error
        return HTTPResponse(status=response.status, headers=response.headers, body=body)

    async def sleep(self, seconds: float) -> None:
        """Wait, letting the loop go on."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Close the sessions of all loops; one that was handed in stays open."""
        self._closed = True
        held = self._held.pop(asyncio.get_running_loop(), None)
        if held is not None:
            await held.holder.aclose()
        close_all(self._held)

    def stay_open_at_exit(self) -> None:
        """Whoever made this closes it, later than the program's end would."""
        self._finalizer.atexit = False

    def close_from_sync(self) -> None:
        """Close without awaiting: each session is closed by its own loop."""
        self._closed = True
        close_all(self._held)

    def after_fork_in_child(self) -> None:
        """Leave the parent's loops and sockets to the parent.

        They are kept, not closed: closing would reach into the selector both share.
        """
        for held in list(self._held.values()):
            # Without its connector a session counts as closed.
            self._left_to_parent += [held, held.session.connector]
            held.session.detach()
            abandon(held)
        self._held.clear()

    async def _own(self) -> Held:
        """Our session of the running loop."""
        loop = asyncio.get_running_loop()
        held = self._held.get(loop)
        if held is None:
            forget_closed_loops(self._held)
            held = self._held[loop] = await hold(loop, weakref.ref(self))
        return held

    def _handed_in(self, session: aiohttp.ClientSession) -> Watchdog:
        """The watchdog over a session that was handed in; it has one loop."""
        if session.closed:
            raise ClosedError("the aiohttp.ClientSession was closed; hand in another")
        loop = asyncio.get_running_loop()
        if self._dog is None or self._dog.loop is not loop:
            self._dog = Watchdog(loop)
        return self._dog

    def _options(
        self, session: aiohttp.ClientSession, request: HTTPRequest, proxy: str | None
    ) -> dict[str, Any]:
        """The headers, and what most requests need not say: it takes its time."""
        options: dict[str, Any] = {"headers": request.headers}
        if request.method == "GET" and session is not self._session:
            options["middlewares"] = (_once,)
        if proxy is not None and not getattr(session, "_default_proxy", None):
            options["proxy"], credentials = split_credentials(proxy)
            if request.url.startswith("https"):
                options["proxy_headers"] = credentials  # with CONNECT
            else:
                options["headers"] = {**request.headers, **credentials}
        certificates = self._certificates(request.url)
        if certificates is not True:
            options["ssl"] = certificates
        return options

    def _certificates(self, url: str) -> ssl.SSLContext | bool:
        """The certificates to trust; a session that was handed in has its own."""
        if self._session is not None or not self._network.encrypts(url):
            return True
        if self._ssl_context is None:
            self._ssl_context = load_certificates(self._network.trusted)
        return self._ssl_context


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from silently sending a GET again on a stale connection.

    It does so for two of its own exceptions; in another's clothes they pass.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Dropped(error) from error


class _Dropped(aiohttp.ClientError):
    """The connection ended before an answer."""


@functools.lru_cache(maxsize=16)
def _url(text: str) -> URL:
    # It is quoted already; to quote it again would change it.
    return URL(text, encoded=True)


@functools.lru_cache(maxsize=16)
def _client_timeout(limits: Timeout, *, proxied: bool) -> aiohttp.ClientTimeout:
    """All limits but the total, to which the watchdog sees."""
    # A little less than the total, so that of two as long this one comes first.
    connect = min(limits.connect, limits.total - min(_TICK, limits.total / 2))
    return aiohttp.ClientTimeout(
        total=None,
        # The proxy's answer to CONNECT is bounded by this one only.
        connect=connect if proxied else None,
        sock_connect=connect,
        sock_read=limits.read,
    )


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    # aiohttp warns of large bytes objects, which it would write in one go.
    large = body is not None and len(body) > _LARGE
    return io.BytesIO(body) if large and body is not None else body


def _translate(
    error: BaseException, request: HTTPRequest, *, answered: bool
) -> TransportError:
    """Tell which of the three failures an exception of aiohttp means."""
    timeout = isinstance(error, TimeoutError | asyncio.TimeoutError)
    if isinstance(error, _NEVER_CONNECTED) or while_connecting(error):
        if timeout:
            error = TimeoutError()
        elif isinstance(error, aiohttp.ServerDisconnectedError):
            error = ConnectionResetError()  # the proxy
        elif isinstance(error, aiohttp.ClientHttpProxyError):
            error = OSError(f"Tunnel connection failed: {error.status}")
        return connect_failed(request, error)
    if timeout:
        # One write takes what is this short; of a longer body nobody knows.
        short = len(request.body or b"") <= _ONE_WRITE
        sent = answered or isinstance(error, aiohttp.SocketTimeoutError) or short
        return timed_out(request, request_sent=sent or None)
    if answered:
        return broken(request, response_started=True)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        started = error.message not in (None, "Server disconnected")
        return broken(request, response_started=started)
    if isinstance(error, aiohttp.ClientOSError):
        return broken(request, response_started=False)
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ClientResponseError):
        return broken(request, response_started=True)
    return connect_failed(request, error, request_sent=None)
