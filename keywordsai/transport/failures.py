"""The three ways a request can fail to be answered, worded once for both libraries.

The transports decide which of the three happened; the text is made here from the
request and the operating system's own error, so that it reads the same over
either library, is never empty, and never holds a key, a payload or a query.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator
from traceback import walk_tb
from urllib.parse import urlsplit

from keywordsai.errors import ConnectError, ProtocolError, ReadTimeout
from keywordsai.transport.base import HTTPRequest

__all__ = [
    "broken",
    "causes",
    "connect_failed",
    "timed_out",
    "while_connecting",
    "while_loading_certificates",
]

_HUNG_UP = {errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE}
_PROXY_REFUSED = re.compile(r"Tunnel connection failed: (\d{3})")


def connect_failed(
    request: HTTPRequest, error: BaseException, *, request_sent: bool | None = False
) -> ConnectError:
    """No connection: refused, unknown host, bad certificate, proxy, or too slow."""
    chain = tuple(causes(error))
    if any(isinstance(cause, TimeoutError) for cause in chain):
        limits = request.timeout
        reason = f"no connection within {min(limits.connect, limits.total):g} s"
    elif any(isinstance(cause, socket.gaierror) for cause in chain):
        reason = "unknown host name"
    else:
        reason = next(filter(None, map(_reason, chain)), "connection failed")
    return ConnectError(
        f"cannot connect to {_origin(request)}: {reason}", request_sent=request_sent
    )


def timed_out(request: HTTPRequest, *, request_sent: bool | None = True) -> ReadTimeout:
    """The answer, or the rest of it, did not come in time."""
    limits = request.timeout
    return ReadTimeout(
        f"{_origin(request)} did not answer in time (read timeout {limits.read:g} s, "
        f"{limits.total:g} s for the attempt)",
        request_sent=request_sent,
    )


def broken(request: HTTPRequest, *, response_started: bool) -> ProtocolError:
    """The connection ended early, or what came was no HTTP."""
    if response_started:
        text = f"the answer of {_origin(request)} broke off or was no valid HTTP"
    else:
        text = f"{_origin(request)} closed the connection without an answer"
    return ProtocolError(
        text,
        request_sent=True if response_started else None,
        response_started=response_started,
    )


def while_connecting(error: BaseException) -> bool:
    """Whether it happened before there was a connection to send anything over.

    Neither library says so: urllib3 calls a slow TLS handshake a read timeout, and
    a proxy that hangs up looks like a server that does. But both connect, proxy
    and handshake included, in a method called ``connect``: the traceback tells.
    """
    return any(
        frame.f_code.co_name == "connect"
        for cause in causes(error)
        for frame, _ in walk_tb(cause.__traceback__)
    )


def while_loading_certificates(error: BaseException) -> bool:
    """Whether it was raised where requests and urllib3 load what a path names."""
    return any(
        frame.f_code.co_name in {"cert_verify", "ssl_wrap_socket"}
        for cause in causes(error)
        for frame, _ in list(walk_tb(cause.__traceback__))[-1:]
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all it was made from, however its library nests them.

    Not its ``__context__``: a caller that logs while it handles an error of its
    own, as programs do, would have that error taken for ours.
    """
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        item = waiting.pop(0)
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        # urllib3 keeps causes in `reason` and `args`, aiohttp in `os_error`.
        waiting += [getattr(item, "reason", None), getattr(item, "os_error", None)]
        waiting += [*item.args, item.__cause__]


def _reason(error: BaseException) -> str:
    # aiohttp's own errors are ssl's too, but hold nothing: what is inside them does.
    if isinstance(error, ssl.SSLCertVerificationError):
        message = getattr(error, "verify_message", "")
        return f"certificate not trusted: {message}" if message else ""
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        reason = getattr(error, "reason", "")
        return f"TLS failed: {reason}" if reason else ""
    code = getattr(error, "errno", None)
    if code in _HUNG_UP or isinstance(error, ConnectionResetError | ssl.SSLEOFError):
        return "closed by the peer"  # by FIN or RST is a matter of luck
    if isinstance(error, OSError) and code:
        return os.strerror(code)
    tunnel = _PROXY_REFUSED.match(str(error))
    return f"the proxy answered {tunnel[1]}" if tunnel else ""


def _origin(request: HTTPRequest) -> str:
    url = urlsplit(request.url)
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
