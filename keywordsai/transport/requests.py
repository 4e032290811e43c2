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
from urllib3 import HTTPResponse as RawResponse
from urllib3.exceptions import HTTPError, InvalidHeader, ReadTimeoutError

from keywordsai.errors import ClosedError, ConfigurationError, TransportError
from keywordsai.transport.base import HTTPRequest, HTTPResponse
from keywordsai.transport.deadline import DeadlineAdapter, Limit
from keywordsai.transport.failures import (
    broken,
    causes,
    connect_failed,
    timed_out,
    while_connecting,
    while_loading_certificates,
)
from keywordsai.transport.forks import watch_forks
from keywordsai.transport.network import Network, load_certificates, no_certificates

__all__ = ["RequestsTransport"]

_PIECE = 65536
# Nobody asked for these; without a decoder urllib3 would give the body as it is.
_UNREADABLE = frozenset({"br", "zstd"}.difference(RawResponse.CONTENT_DECODERS))

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
        self._trusted: str | None = None
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
        except TimeoutError as error:
            raise timed_out(request) from error
        except (requests.RequestException, HTTPError, OSError) as error:
            if while_loading_certificates(error):
                raise self._no_certificates() from error
            raise _translate(error, request, answered=answered) from error
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
        proxy = self._network.proxy
        proxies = {} if proxy is None else {"all": proxy}
        verify: Any
        if self._adapter is not None:
            verify = self._verify(request.url)
            return self._adapter, {"verify": verify, "cert": None, "proxies": proxies}
        session = self._session
        assert session is not None  # noqa: S101  one of the two is always there
        verify = session.verify
        if verify is True and self._network.ca_bundle is not None:
            verify = self._verify(request.url)
        return session.get_adapter(request.url), {
            "verify": verify,
            "cert": session.cert,
            "proxies": session.proxies or proxies,
        }

    def _verify(self, url: str) -> bool | str:
        """The path of the certificates to trust, those given looked into once."""
        if self._trusted is None:
            if not self._network.encrypts(url):
                return True
            trusted = self._network.trusted
            if self._network.ca_bundle is not None:
                load_certificates(trusted)
            self._trusted = trusted
        return self._trusted

    def _no_certificates(self) -> ConfigurationError:
        """They went away since, or are those of a session."""
        if self._session is None:
            return no_certificates(self._network.trusted)
        return ConfigurationError(
            "the certificates that verify= or cert= of the requests.Session names "
            "cannot be loaded; point it at PEM files"
        )

    def _prepared(self, request: HTTPRequest) -> requests.PreparedRequest:
        prepared = requests.PreparedRequest()
        prepared.method = request.method
        prepared.url = request.url
        headers: CaseInsensitiveDict[Any] = CaseInsensitiveDict(request.headers)
        if self._session is not None:
            for name, value in self._session.headers.items():
                if value is not None:
                    headers.setdefault(name, value)
        if request.body is not None:
            headers["Content-Length"] = str(len(request.body))
        prepared.headers = headers
        prepared.body = request.body
        return prepared

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        encoding = response.headers.get("Content-Encoding")
        if encoding is not None and encoding.lower() in _UNREADABLE:
            raise requests.exceptions.ContentDecodingError(encoding)
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
