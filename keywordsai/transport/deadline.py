"""Connections of requests that end when the call must end.

requests bounds each read, not the whole answer: a server that drips a byte now
and then would hold a caller for ever. Over these connections no operation on a
socket takes longer than what remains of the call. They are urllib3's own, with
the socket's timeout set anew before each operation.
"""

from __future__ import annotations

import http.client
import io
import time
from contextlib import suppress
from email.errors import MissingHeaderBodySeparatorDefect
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    _Base = HTTPConnection
else:
    _Base = object  # a mix-in: the class beside it brings the methods

__all__ = ["DeadlineAdapter", "Limit"]

# More threads than this on one client still work; their connections are not kept.
_POOL_SIZE = 100
_ONE_WRITE = 65536
_KNOWN_URLS = 64


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
    header for the start of the body, and an early hint (103) for the answer.
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
        no_number = self.length is None and not self.chunked
        if (
            self._reader.ended
            or (no_number and self.headers.get("Content-Length") is not None)
            or any(
                isinstance(defect, MissingHeaderBodySeparatorDefect)
                for defect in self.headers.defects
            )
        ):
            raise http.client.HTTPException("incomplete or broken head")


class _Bounded(_Base):
    """What both kinds of connections add to urllib3's.

    They keep the deadline, and send head and body together: two writes are two
    system calls, and two packets.
    """

    _holding = False
    _head = b""

    def connect(self) -> None:
        self._bound()  # a proxy's answer to CONNECT is read in here
        super().connect()

    def request(self, *args: Any, **options: Any) -> None:
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
        sock.settimeout(self._limit().remaining())
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
        """Settle which certificates a pool trusts."""
        # For an http URL it would switch checks off, an https proxy's among them.
        url = f"{conn.scheme}://" if conn.scheme == "https" else url
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]  # in requests

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
        response.headers = CaseInsensitiveDict(resp.headers)
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
