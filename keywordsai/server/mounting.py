"""The handler and the page mounted on aiohttp.web.

What is asked is decided elsewhere, without a network: this reads requests, has
them answered in the thread that suits, and writes the answers.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import attrs
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from keywordsai.server.answers import Refusal, internal_error
from keywordsai.server.bodies import BULK_BODY, BodyLimit
from keywordsai.server.commits import GroupCommit
from keywordsai.server.operations import CreateLog, CreateLogs
from keywordsai.transport.base import HTTPRequest, HTTPResponse

if TYPE_CHECKING:
    from keywordsai.server.handler import Handler
    from keywordsai.server.site import Site
    from keywordsai.server.store import Store

__all__ = ["LogServer"]

_SHUTDOWN = 5.0  # seconds that requests under way have to finish
_READERS = 4
_READ_AT_ONCE = 1024**2  # bytes; over a larger body others would wait too long
_LONGEST_REASON = 200
_FORM_BODY = BodyLimit(16 * 1024, "a form is at most 16 KiB")

_log = logging.getLogger("keywordsai.server")


class LogServer:
    """The handler, the pages and a store behind aiohttp.

    Args:
        store: Where the logs are; the caller closes it, after the app's cleanup.
        handler: What answers the requests to the API.
        site: The pages; None for none.

    Attributes:
        app: What to mount; or run `runner`, which sets aiohttp up for it.
    """

    def __init__(
        self, *, store: Store, handler: Handler, site: Site | None = None
    ) -> None:
        self._store = store
        self._handler = handler
        self._site = site
        self._commits = GroupCommit(store.add)
        self._readers = ThreadPoolExecutor(_READERS, "keywordsai-read")
        # The application's own limit is for handlers that read a whole body at
        # once; this one counts the pieces itself, see `_read`.
        self.app = web.Application(client_max_size=BULK_BODY.size)
        self.app.router.add_route("*", "/{path:.*}", self._serve)
        self.app.on_cleanup.append(self._close)

    def runner(self) -> web.AppRunner:
        """What runs the app, as it is to be run."""
        # aiohttp would log what it cannot read as HTTP, with a piece of it: of a
        # log, or of a key. What fails on our side is logged in `_serve`.
        unheard = logging.Logger("unheard", logging.CRITICAL + 1)  # noqa: LOG001
        return web.AppRunner(
            self.app, access_log=None, logger=unheard, shutdown_timeout=_SHUTDOWN
        )

    async def _serve(self, request: web.Request) -> web.Response:
        try:
            response = await self._respond(request)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is answered
            # Not the whole error: a database's quotes the statement and its values.
            reason = str(getattr(error, "orig", error))[:_LONGEST_REASON]
            kind = type(error).__name__
            where = f"{request.method} {request.path}"
            _log.error("%s failed: %s: %s", where, kind, reason)
            response = internal_error()
        return web.Response(
            status=response.status, headers=response.headers, body=response.body
        )

    async def _respond(self, request: web.Request) -> HTTPResponse:
        head = HTTPRequest(
            method=request.method, url=_url(request), headers=request.headers
        )
        if self._site is not None and self._site.has(request.rel_url.raw_path):
            return await self._show(self._site, request, head)
        limit = self._handler.admit(head)
        if isinstance(limit, HTTPResponse):
            return limit  # without a look at the body
        try:
            body = await _read(request, limit)
        except Refusal as refusal:
            return refusal.response()
        begin = functools.partial(self._handler.begin, attrs.evolve(head, body=body))
        loop = asyncio.get_running_loop()
        if len(body) > _READ_AT_ONCE:
            begun = await loop.run_in_executor(self._readers, begin)
        else:
            begun = begin()
        if isinstance(begun, HTTPResponse):
            return begun
        if isinstance(begun, CreateLog):
            return begun.answer(await self._commits.add(begun.log))
        if isinstance(begun, CreateLogs):
            await self._commits.add_all(begun.logs)
            return begun.answer()
        return await loop.run_in_executor(self._readers, begun.perform, self._store)

    async def _show(
        self, site: Site, request: web.Request, head: HTTPRequest
    ) -> HTTPResponse:
        """Answer from the site, which reads the store and may take its time."""
        try:
            body = await _read(request, _FORM_BODY)
        except Refusal as refusal:
            return refusal.response()
        answer = functools.partial(
            site.answer,
            attrs.evolve(head, body=body),
            self._store,
            address=request.remote or "",
        )
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, answer)

    async def _close(self, _app: web.Application) -> None:
        await self._commits.close()
        self._readers.shutdown()


def _url(request: web.Request) -> str:
    """The URL as the client wrote it, for the links to other pages."""
    target = request.raw_path
    if not target.startswith("/"):  # a proxy's form, with scheme and host
        target = request.rel_url.raw_path_qs
    return f"{request.scheme}://{request.host}{target}"


async def _read(request: web.Request, limit: BodyLimit) -> bytes:
    """Read the body, and never more of it than is allowed.

    Raises:
        Refusal: 413, it is longer; 400, it ended early or cannot be unpacked.
    """
    if (request.content_length or 0) > limit.size:
        raise limit.refusal()
    body = bytearray()
    try:
        async for chunk in request.content.iter_any():
            if len(body) + len(chunk) > limit.size:
                raise limit.refusal()
            body += chunk
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError):
        raise Refusal(400, "Invalid request format") from None
    return bytes(body)
