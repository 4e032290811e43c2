"""A request as aiohttp has it, read into the values that the rest works on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from keywordsai.server.answers import Refusal
from keywordsai.server.inflating import PIECE, inflater_of
from keywordsai.transport.base import HTTPRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from keywordsai.server.bodies import BodyLimit

__all__ = ["head_of", "is_gone", "read_body"]


def head_of(request: web.Request, body: bytes | None = None) -> HTTPRequest:
    """The request, under the URL as the client wrote it.

    Links to other pages are made of that URL.
    """
    target = request.raw_path
    if not target.startswith("/"):  # a proxy's form, with scheme and host
        target = request.rel_url.raw_path_qs
    host = request.headers.get("Host", "localhost")
    url = f"{request.scheme}://{host}{target}"
    return HTTPRequest(
        method=request.method, url=url, headers=request.headers, body=body
    )


def is_gone(request: web.Request) -> bool:
    """Whether the client has left."""
    return request.transport is None or request.transport.is_closing()


async def read_body(request: web.Request, limit: BodyLimit) -> bytes:
    """Read the body, inflate it, and never hold more of it than is allowed.

    Raises:
        Refusal: 413, it is longer; 400, it ended early or cannot be unpacked; 415,
            it is packed in another way.
    """
    if (request.content_length or 0) > limit.size:
        raise limit.refusal()
    body = bytearray()
    try:
        if "Content-Encoding" not in request.headers:  # nearly always: the short way
            while chunk := await request.content.readany():
                if len(body) + len(chunk) > limit.size:
                    raise limit.refusal()
                body += chunk
            return bytes(body)
        async for chunk in _pieces(request):
            if len(body) + len(chunk) > limit.size:
                raise limit.refusal()
            body += chunk
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError):
        raise Refusal(400, "Invalid request format") from None
    return bytes(body)


async def _pieces(request: web.Request) -> AsyncIterator[bytes]:
    coding = ", ".join(request.headers.getall("Content-Encoding", []))
    inflater = inflater_of(coding) if request.can_read_body else None
    if inflater is None:
        async for chunk in request.content.iter_any():
            yield chunk
        return
    async for chunk in request.content.iter_any():
        for piece in inflater.feed(chunk):
            yield piece
            if len(piece) == PIECE:  # there is more of it: others have a turn first
                await asyncio.sleep(0)
    inflater.end()
