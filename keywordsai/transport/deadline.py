"""Connections of requests that end when the call must end.

requests bounds each read, not the whole answer: a server that drips a byte now
and then would hold a caller for ever. Over these connections no operation on a
socket takes longer than what remains of the call. They are urllib3's own, with
the socket's timeout set anew before each operation.
"""

from __future__ import annotations

import http.client
import io
import socket
import sys
import time
from contextlib import suppress
from email.errors import MissingHeaderBodySeparatorDefect
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationParseError,
    NewConnectionError,
)
from urllib3.util import connection

from keywordsai.transport.network import split_credentials

if TYPE_CHECKING:
    _Base = HTTPConnection
else:
    _Base = object  # a mix-in: the class beside it brings the methods

__all__ = ["DeadlineAdapter", "Limit"]

# More threads than this on one client still work; their connections are not kept.
_POOL_SIZE = 100
_ONE_WRITE = 65536
_KNOWN_URLS = 64
_LEAST_TRY = 0.5  # seconds for an address, if there are that many
_TICK = 0.001


class Limit(float):
    """A timeout in seconds that also knows when the whole call must end.

    It travels through requests and urllib3 as the number that it is.
    """

    deadline: float

    @classmethod
    def of(cls, seconds: float, deadline: float) -> Limit:
        """A timeout, and the end by the monotonic clock."""
        limit = cls(seconds)
        limit.deadline = deadline
        return limit

    def remaining(self) -> float:
        """Seconds until the deadline; TimeoutError if there are none."""
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("timed out")
        return remaining


class _Reader(io.RawIOBase):
    """A socket's raw reader; each read waits no longer than the call may last."""

    def __init__(self, sock: Any, limit: Limit) -> None:
        self._sock = sock
        self._raw: Any = sock.makefile("rb", buffering=0)
        self._limit = limit
        self.ended = False

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The one thing that `http.client.HTTPResponse` asks of a socket."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(min(self._limit, self._limit.remaining()))
        count: int | None = self._raw.readinto(buffer)
        self.ended = count == 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer that keeps the deadline, and whose head is whole and final.

    `http.client` takes the end of the connection for the end of the head, a broken
    header for the start of the body, and an early hint (103) for the answer; a length
    beside chunks, and a chunk of less than nothing, are fine for it.
    """

    def __init__(self, limit: Limit, sock: Any, *args: Any, **options: Any) -> None:
        reader: Any = _Reader(sock, limit)
        self._reader: _Reader = reader
        super().__init__(reader, *args, **options)

    def begin(self) -> None:
        super().begin()
        while 100 <= self.status < 200 and self.status != 101:
            headers: Any = None  # with headers, begin() has nothing left to do
            self.headers = headers
            super().begin()
        if (
            self._reader.ended
            or (self.length is None and self.headers.get("Content-Length") is not None)
            or any(
                isinstance(defect, MissingHeaderBodySeparatorDefect)
                for defect in self.headers.defects
            )
        ):
            raise http.client.HTTPException("incomplete or broken head")

    def _safe_read(self, amt: int) -> bytes:
        if amt < 0:
            raise http.client.HTTPException("a chunk of less than nothing")
        data: bytes = super()._safe_read(amt)  # type: ignore[misc]  # not in typeshed
        return data


class _Bounded(_Base):
    """What both kinds of connections add to urllib3's.

    They keep the deadline, and send head and body together: two writes are two
    system calls, and two packets.
    """

    _holding = False
    _head = b""
    _wrote = False

    def connect(self) -> None:
        self._bound()  # a proxy's answer to CONNECT is read in here
        super().connect()

    def _new_conn(self) -> socket.socket:
        """Connect; urllib3 would give each address of the host the whole time."""
        host, port = self._dns_host, self.port
        try:
            sock = _connected(_look_up(host, port), self._limit(), self.socket_options)
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"{host} did not connect") from error
        except OSError as error:
            raise NewConnectionError(self, f"no connection: {error}") from error
        sys.audit("http.client.connect", self, self.host, port)
        return sock

    def request(self, *args: Any, **options: Any) -> None:
        self._wrote = False
        super().request(*args, **options)
        self._send_head()  # unless it went with a body

    def endheaders(self, *args: Any, **options: Any) -> None:
        self._holding = True
        try:
            super().endheaders(*args, **options)
        finally:
            self._holding = False

    def send(self, data: Any) -> None:
        """Send head and body in one write, where the body is short."""
        if self._holding:
            self._head += data
        elif self._head and len(data) <= _ONE_WRITE:
            head, self._head = self._head, b""
            self._send_now(head + data)
        else:
            self._send_head()
            self._send_now(data)

    def _send_head(self) -> None:
        head, self._head = self._head, b""
        if head:
            self._send_now(head)

    def _send_now(self, data: bytes) -> None:
        """Send under the deadline; urllib3 allows it the connect timeout only."""
        if self.sock is None:
            self.connect()
        sock: Any = self.sock
        try:
            sock.settimeout(self._limit().remaining())
        except TimeoutError as error:
            if self._wrote:
                raise
            raise ConnectTimeoutError(self, "too late to send anything") from error
        self._wrote = True
        super().send(data)

    def getresponse(self) -> Any:
        self._bound()
        return super().getresponse()

    def _bound(self) -> None:
        response_class: Any = partial(_Response, self._limit())
        self.response_class = response_class

    def _limit(self) -> Limit:
        limit: Any = self.timeout  # as our transport gave it to our adapter
        return cast("Limit", limit)


def _look_up(host: str, port: int) -> list[Any]:
    family = connection.allowed_gai_family()
    try:
        return socket.getaddrinfo(host.strip("[]"), port, family, socket.SOCK_STREAM)
    except UnicodeError:
        raise LocationParseError(f"{host!r}, label empty or too long") from None


def _connected(found: list[Any], limit: Limit, options: Any) -> socket.socket:
    """A socket that is connected to the first address that answers in time.

    Each may take its part of what time is left, so that one that is dead leaves
    some to the next.
    """
    end = min(time.monotonic() + limit, limit.deadline)
    errors = [OSError("the host has no address")]
    for number, address in enumerate(found):
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        part = max(left / (len(found) - number), min(left, _LEAST_TRY))
        try:
            sock = _connect(address, part, options)
        except OSError as error:
            errors = [error]
        else:
            # What is left is for a proxy's answer and the handshake.
            sock.settimeout(max(end - time.monotonic(), _TICK))
            return sock
    raise errors.pop()  # out of this frame, which it refers to


def _connect(address: Any, seconds: float, options: Any) -> socket.socket:
    family, kind, protocol, _name, place = address
    sock = socket.socket(family, kind, protocol)
    try:
        for option in options or ():
            sock.setsockopt(*option)
        sock.settimeout(seconds)
        sock.connect(place)
    except BaseException:
        sock.close()
        raise
    return sock


class _Connection(_Bounded, HTTPConnection):
    pass


class _SecureConnection(_Bounded, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class DeadlineAdapter(HTTPAdapter):
    """The adapter of requests, with connections that keep the deadline."""

    def __init__(self) -> None:
        self._pools: dict[Any, Any] = {}
        super().__init__(pool_maxsize=_POOL_SIZE)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing: a pool was made with the certificates that it trusts.

        requests would look for the file on every call, and for an http URL switch
        checks off, an https proxy's among them.
        """

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """The credentials in a proxy's URL; requests sends none without a name."""
        return dict(split_credentials(proxy)[1])

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """The pool of a URL, looked up once: parsing it each time takes its time."""
        known = (request.url, verify, cert)
        if proxies or known not in self._pools:
            pool = super().get_connection_with_tls_context(
                request, verify, proxies=proxies, cert=cert
            )
            if proxies:
                return pool
            if len(self._pools) >= _KNOWN_URLS:
                self._pools.clear()
            self._pools[known] = pool
        return self._pools[known]

    def request_url(self, request: Any, proxies: Any) -> str:
        """The path to ask for; only a proxy has to be told the host."""
        if proxies:
            return super().request_url(request, proxies)
        path: str = request.path_url
        return path

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """The response, without what nobody asks for here: no cookies are kept."""
        response = requests.Response()
        response.status_code = resp.status
        response.headers = resp.headers
        response.raw = resp
        response.reason = resp.reason
        response.url = req.url
        response.request = req
        return response

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **options)
        _use_bounded_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        """The pools of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **options)
        _use_bounded_pools(manager)
        return manager

    def close(self) -> None:
        """Close the connections now, not when the garbage collector comes by."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118  it is no dict
                with suppress(KeyError):
                    manager.pools[key].close()
        self._pools.clear()
        super().close()


def _use_bounded_pools(manager: Any) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
