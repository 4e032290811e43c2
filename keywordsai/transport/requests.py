"""The synchronous transport, over requests.

A prepared request goes straight to the mounted adapter: `requests.Session.send`
would read proxies, netrc and certificates from the environment again on every
call, follow redirects and keep cookies. `HTTPAdapter.send` is also what the
`responses` library patches.
The adapter is one of ours, whose connections keep the call's deadline.
"""

from __future__ import annotations

import http.client
import ssl
import time
import weakref
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError, InvalidHeader, ReadTimeoutError

from keywordsai.errors import ClosedError, TransportError
from keywordsai.transport.base import HTTPRequest, HTTPResponse
from keywordsai.transport.deadline import DeadlineAdapter, Limit
from keywordsai.transport.failures import (
    broken,
    causes,
    connect_failed,
    timed_out,
    while_connecting,
)
from keywordsai.transport.forks import watch_forks
from keywordsai.transport.network import Network

__all__ = ["RequestsTransport"]

_PIECE = 65536

_BROKEN_ANSWERS = (
    http.client.HTTPException,
    InvalidHeader,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


class RequestsTransport:
    """Sends requests over pooled, kept-alive connections, from any thread.

    Args:
        network: Proxy and certificates; by default neither.
        session: A session of yours to send over instead, with its adapters, its
            headers, proxies and certificates. It is never closed or changed, and
            its redirects, cookies, netrc and hooks are not used. Over it, a slow
            answer is bounded by the total timeout plus one read timeout, once
            its headers have come.

    Example:
        >>> transport = RequestsTransport()
        >>> transport.close()
    """

    def __init__(
        self, network: Network | None = None, *, session: requests.Session | None = None
    ) -> None:
        self._network = Network() if network is None else network
        self._session = session
        self._adapter = None if session is not None else DeadlineAdapter()
        self._finalizer = weakref.finalize(self, _close, self._adapter)
        self._closed = False
        watch_forks(self)

    def send(self, request: HTTPRequest) -> HTTPResponse:
        """Send the request once. See `keywordsai.transport.base.Transport`."""
        if self._closed:
            raise ClosedError("the client was closed; make a new one")
        limits = request.timeout
        deadline = time.monotonic() + limits.total
        adapter, options = self._route(request)
        answered = False
        try:
            response = adapter.send(
                self._prepared(request),
                stream=True,
                timeout=(
                    Limit.of(min(limits.connect, limits.total), deadline),
                    Limit.of(limits.read, deadline),
                ),
                **options,
            )
            answered = True
            try:
                body = self._read(response, deadline)
            except BaseException:
                response.close()  # what is left of the answer must not be waited for
                raise
        except (requests.RequestException, HTTPError) as error:
            raise _translate(error, request, answered=answered) from error
        except TimeoutError as error:
            raise timed_out(request) from error
        if self._adapter is not None and not self._finalizer.alive:
            # The program is at its exit, and past the hook that closes connections.
            self._adapter.close()
        return HTTPResponse(
            status=response.status_code, headers=response.headers, body=body
        )

    def sleep(self, seconds: float) -> None:
        """Wait, blocking this thread."""
        time.sleep(seconds)

    def close(self) -> None:
        """Close the connections; a session that was handed in stays open."""
        self._closed = True
        _close(self._adapter)

    def after_fork_in_child(self) -> None:
        """Leave the parent's sockets to the parent."""
        if self._adapter is not None:
            self._adapter = DeadlineAdapter()
            self._finalizer = weakref.finalize(self, _close, self._adapter)

    def _route(self, request: HTTPRequest) -> tuple[Any, dict[str, Any]]:
        """The adapter to send over, with the proxy and the certificates."""
        network = self._network
        secure = network.proxy is not None or request.url.startswith("https")
        # Looked up in the file system on every call, so only where it is needed.
        verify: bool | str = (network.ca_bundle or True) if secure else True
        proxies = {} if network.proxy is None else {"all": network.proxy}
        if self._adapter is not None:
            return self._adapter, {"verify": verify, "cert": None, "proxies": proxies}
        session = self._session
        assert session is not None  # noqa: S101  one of the two is always there
        return session.get_adapter(request.url), {
            "verify": verify if session.verify is True else session.verify,
            "cert": session.cert,
            "proxies": session.proxies or proxies,
        }

    def _prepared(self, request: HTTPRequest) -> requests.PreparedRequest:
        prepared = requests.PreparedRequest()
        prepared.method = request.method
        prepared.url = request.url
        headers: CaseInsensitiveDict[Any] = CaseInsensitiveDict(request.headers)
        if self._session is not None:
            for name, value in self._session.headers.items():
                headers.setdefault(name, value)
        if request.body is not None:
            headers["Content-Length"] = str(len(request.body))
        prepared.headers = headers
        prepared.body = request.body
        return prepared

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        read1 = getattr(response.raw, "read1", None)
        if self._adapter is not None or read1 is None:
            return response.content or b""
        pieces = []
        while piece := read1(_PIECE, decode_content=True):
            pieces.append(piece)
            if time.monotonic() > deadline:
                raise TimeoutError
        return b"".join(pieces)


def _close(adapter: HTTPAdapter | None) -> None:
    if adapter is not None:
        adapter.close()


def _translate(
    error: Exception, request: HTTPRequest, *, answered: bool
) -> TransportError:
    """Tell which of the three failures an exception of requests means."""
    chain = tuple(causes(error))

    def among(*classes: type[BaseException]) -> bool:
        return any(isinstance(cause, classes) for cause in chain)

    if isinstance(error, requests.ConnectTimeout):
        return connect_failed(request, TimeoutError())
    if while_connecting(error):
        return connect_failed(request, error)
    if among(ReadTimeoutError, requests.ReadTimeout):
        return timed_out(request)
    if answered:
        return broken(request, response_started=True)
    if among(TimeoutError, requests.Timeout):  # while sending: the server did not read
        return timed_out(request, request_sent=None)
    if among(ssl.SSLError, ConnectionError):
        return broken(request, response_started=False)
    if among(*_BROKEN_ANSWERS):
        return broken(request, response_started=True)
    # What follows comes from an adapter of the user's, or from a mock.
    refused = among(requests.exceptions.SSLError, requests.exceptions.ProxyError)
    return connect_failed(request, error, request_sent=False if refused else None)
