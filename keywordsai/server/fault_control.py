"""``/_faults``: see, replace and clear the faults in force, while tests run.

Only for whoever is on this machine, and with the key if there is one. Imports
neither aiohttp nor a driver.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from keywordsai.errors import ConfigurationError
from keywordsai.server.answers import Refusal, answer
from keywordsai.server.bodies import parse_object
from keywordsai.server.faults import GRAMMAR, Fault, Faults, parse_fault
from keywordsai.server.headers import bearer, header
from keywordsai.server.hosts import is_loopback
from keywordsai.server.signin import is_known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keywordsai.transport.base import HTTPRequest, HTTPResponse

__all__ = ["FAULTS_PATH", "answer_of", "control_faults"]

FAULTS_PATH = re.compile(r"(?:/api)?/_faults/?")

_METHODS = ("GET", "HEAD", "PUT", "DELETE")
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host")
_MOST = 100


def control_faults(
    faults: Faults,
    request: HTTPRequest,
    *,
    peer: str,
    keys: Sequence[str],
    now: float,
) -> HTTPResponse:
    """Answer a request to ``/_faults``.

    Args:
        faults: The faults in force.
        request: The request, with its body.
        peer: The address it came from.
        keys: The server's keys; without any, none is asked for.
        now: The present moment on the faults' clock.
    """
    try:
        _admit(request, peer, keys)
        if request.method == "PUT":
            faults.replace(_asked(request.body or b""), now=now)
        elif request.method == "DELETE":
            faults.replace((), now=now)
    except Refusal as refusal:
        return refusal.response()
    shown = faults.shown(now)
    texts, hits = [text for text, _ in shown], [count for _, count in shown]
    return answer(200, {"faults": texts, "hits": hits})


def _admit(request: HTTPRequest, peer: str, keys: Sequence[str]) -> None:
    if request.method not in _METHODS:
        headers = {"Allow": ", ".join(_METHODS)}
        raise Refusal(405, "Method not allowed", headers=headers)
    proxied = any(header(request.headers, name) for name in _FORWARDED)
    if proxied or not is_loopback(peer):
        raise Refusal(403, "Faults are set from the server's own machine only")
    if keys and not is_known(bearer(request.headers), keys):
        headers = {"WWW-Authenticate": "Bearer"}
        raise Refusal(
            401, "Faults are set with an API key of the server", headers=headers
        )


def _asked(body: bytes) -> list[Fault]:
    texts = parse_object(body)[1].get("faults")
    if not isinstance(texts, list) or len(texts) > _MOST:
        raise Refusal(
            400, f'expected {{"faults": ["…"]}} with at most {_MOST} texts; {GRAMMAR}'
        )
    try:
        return [parse_fault(text) for text in texts]
    except ConfigurationError as error:
        raise Refusal(400, str(error)) from None


def answer_of(fault: Fault) -> HTTPResponse:
    """The answer that a fault with a status gives."""
    headers = {}
    payload = {"detail": f"A fault on demand: {fault.text}"}
    if fault.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(fault.retry_after))
        if fault.retry_after % 1:
            headers["retry-after-ms"] = str(round(fault.retry_after * 1000))
    return answer(fault.status, payload, headers=headers)
