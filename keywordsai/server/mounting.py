"""The handler, the pages and what stands before them, mounted on aiohttp.web.

What is asked is decided elsewhere, without a network: this reads requests, has
them answered in the thread that suits, and writes the answers.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web

from keywordsai.server.access import access_line
from keywordsai.server.answers import (
    Refusal,
    answer,
    disk_full,
    internal_error,
    not_now,
)
from keywordsai.server.bodies import BULK_BODY, BodyLimit
from keywordsai.server.commits import GroupCommit
from keywordsai.server.engines import READERS, StoreFull, is_of_database
from keywordsai.server.events import Events
from keywordsai.server.fault_control import FAULTS_PATH
from keywordsai.server.hosts import HostRule
from keywordsai.server.operations import CreateLog, CreateLogs
from keywordsai.server.reading import head_of, read_body
from keywordsai.server.retention import Retention
from keywordsai.server.signin import is_same_site
from keywordsai.server.site import Site
from keywordsai.server.trouble import Trouble
from keywordsai.transport.base import HTTPResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from keywordsai.server.handler import Handler
    from keywordsai.server.store import Store
    from keywordsai.server.writing import WriterProcess

__all__ = ["LogServer"]

_SHUTDOWN = 5.0  # seconds that requests under way have to finish
_READ_AT_ONCE = 1024**2  # bytes; over a larger body others would wait too long
_LONGEST_REASON = 200
_FORM_BODY = BodyLimit(16 * 1024, "a form is at most 16 KiB")
_EVENTS = "/_events"
_LOGS = ("/request-logs", "/api/request-logs")
_MOST_USED = ("/api/request-logs/create/", "/api/request-logs/bulk/")
_HEALTH = frozenset(f"{api}/healthz{end}" for api in ("", "/api") for end in ("", "/"))

_log = logging.getLogger("keywordsai.server")
_access_log = logging.getLogger("keywordsai.server.access")

_T = TypeVar("_T")


class LogServer:
    """The handler, the pages and a store behind aiohttp.

    Args:
        store: Where the logs are; the caller closes it, after the app's cleanup.
        handler: What answers the requests to the API.
        writer: Stores logs for the store; the caller closes it too. By default the
            store does itself.
        site: The pages, for those who may see them; None for none.
        hosts: The names that the server goes by; those of loopback by default.
        trouble: What goes wrong on demand; nothing by default.
        keep: How long logs are kept, seconds; None for ever.
        access_log: Whether each request is logged to ``keywordsai.server.access``.

    Attributes:
        app: What to mount; better run `runner`, which sets aiohttp up for it.
    """

    def __init__(
        self,
        *,
        store: Store,
        handler: Handler,
        writer: WriterProcess | None = None,
        site: Site | None = None,
        hosts: HostRule | None = None,
        trouble: Trouble | None = None,
        keep: float | None = None,
        access_log: bool = False,
    ) -> None:
        self._store = store
        self._handler = handler
        self._site = site
        self._hosts = hosts or HostRule()
        # Nearly every request has the same one.
        self._admits = functools.lru_cache(maxsize=64)(self._hosts.admits)
        self._trouble = trouble or Trouble()
        self._access_log = access_log
        self._readers = ThreadPoolExecutor(READERS, "keywordsai-read")
        self._events = Events(lambda: self._in_reader(store.newest_id))
        add = store.add_posted if writer is None else writer.add_posted
        self._commits = GroupCommit(add, committed=self._events.committed)
        self._retention: Retention | None = None
        if keep is not None:
            self._retention = Retention(self._prune, keep=keep)
        # The application's own limit is for handlers that read a whole body at
        # once; `read_body` counts the pieces itself.
        self.app = web.Application(client_max_size=BULK_BODY.size)
        for path in _MOST_USED:  # found at once, where a pattern is to be tried
            self.app.router.add_route("*", path, self._serve)
        self.app.router.add_route("*", "/{path:.*}", self._serve)
        self.app.on_startup.append(self._begin)
        self.app.on_shutdown.append(self._let_go)
        self.app.on_cleanup.append(self._close)

    def runner(self) -> web.AppRunner:
        """What runs the app, as it is to be run."""
        # aiohttp would log what it cannot read as HTTP, with a piece of it: of a
        # log, or of a key. What fails on our side is logged in `_serve`.
        unheard = logging.Logger("unheard", logging.CRITICAL + 1)  # noqa: LOG001
        return web.AppRunner(
            self.app,
            access_log=None,
            logger=unheard,
            shutdown_timeout=_SHUTDOWN,
            auto_decompress=False,  # `read_body` does it, within its limit
        )

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        began, start = time.time_ns() // 1000, time.perf_counter()
        written = await self._answer(request)
        if self._access_log:
            line = access_line(
                time=began,
                method=request.method,
                path=request.rel_url.raw_path,
                status=None if written is None else written.status,
                bytes_in=request.content.total_bytes,
                bytes_out=_length(written),
                seconds=time.perf_counter() - start,
                peer=request.remote or "",
            )
            _access_log.info("%s", line)
        return web.Response() if written is None else written

    async def _answer(self, request: web.Request) -> web.StreamResponse | None:
        """What is written; None if the connection is closed without an answer."""
        try:
            response = self._refusal(request)
            if response is None and request.rel_url.raw_path == _EVENTS:
                response = self._refusal_of_events(request)
                if response is None:
                    return await self._events.stream(request)
            elif response is None:
                response = await self._respond(request)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is answered
            response = self._failed(request, error)
        if response is None:
            if request.transport is not None:
                request.transport.close()
            return None
        return web.Response(
            status=response.status, headers=response.headers, body=response.body
        )

    def _failed(self, request: web.Request, error: Exception) -> HTTPResponse:
        """What a request that failed is answered."""
        # Not the whole error: a database's quotes the statement and its values.
        reason = str(getattr(error, "orig", error))[:_LONGEST_REASON]
        kind = type(error).__name__
        _log.error("%s %s failed: %s: %s", request.method, request.path, kind, reason)
        if isinstance(error, StoreFull):
            response = disk_full()
        elif is_of_database(error):
            response = not_now()
        else:
            response = internal_error()
        if self._site is not None and self._site.has(request.rel_url.raw_path):
            return self._site.failure(head_of(request), response)
        return response

    def _refusal(self, request: web.Request) -> HTTPResponse | None:
        """What whoever asks for another server is answered."""
        names = request.headers.getall("Host", [])
        path = request.rel_url.raw_path
        # Whatever asks after the server's health names it as it likes.
        if all(map(self._admits, names)) or path in _HEALTH:
            return None
        text = self._hosts.refusal(names[0])
        if self._site is None or not self._site.has(path):
            return answer(403, {"detail": text})
        headers = {
            "Content-Type": "text/plain; charset=utf-8",
            "X-Content-Type-Options": "nosniff",
        }
        return HTTPResponse(status=403, headers=headers, body=text.encode())

    def _refusal_of_events(self, request: web.Request) -> HTTPResponse | None:
        """Why there is no event stream for a request, None if there is."""
        head = head_of(request)
        if request.method != "GET":
            refusal = Refusal(405, "Method not allowed", headers={"Allow": "GET"})
            return refusal.response()
        if not is_same_site(head):
            return answer(403, {"detail": "Asked for by another site"})
        if self._site is not None and not self._site.is_open_to(head):
            return answer(401, {"detail": "Sign in first, at /sign-in"})
        if self._events.is_full:
            busy = Refusal(503, "Too many event streams", headers={"Retry-After": "30"})
            return busy.response()
        return None

    async def _respond(self, request: web.Request) -> HTTPResponse | None:
        path = request.rel_url.raw_path
        if path.startswith(_LOGS):
            return await self._trouble.around(request, self._handle)
        if FAULTS_PATH.fullmatch(path):
            return await self._trouble.control(request)
        if self._site is not None and self._site.takes(
            request.method, path, request.headers
        ):
            return await self._show(self._site, request)
        return await self._handle(request)

    async def _handle(self, request: web.Request) -> HTTPResponse:
        """Answer from the handler: a request to the API."""
        path = request.rel_url.raw_path
        admission = self._handler.admit(request.method, path, request.headers)
        if isinstance(admission, HTTPResponse):
            return admission  # without a look at the body
        try:
            body = await read_body(request, admission.limit)
        except Refusal as refusal:
            return refusal.response()
        whole = head_of(request, body)
        begin = functools.partial(self._handler.begin, whole, admission)
        if len(body) > _READ_AT_ONCE:
            begun = await self._in_reader(begin)
        else:
            begun = begin()
        if isinstance(begun, HTTPResponse):
            return begun
        if isinstance(begun, CreateLog):
            return begun.answer(await self._commits.add(begun.log))
        if isinstance(begun, CreateLogs):
            return begun.answer(await self._commits.add_all(begun.logs))
        return await self._in_reader(functools.partial(begun.perform, self._store))

    async def _show(self, site: Site, request: web.Request) -> HTTPResponse:
        """Answer from the site, which reads the store and may take its time."""
        try:
            body = await read_body(request, _FORM_BODY)
        except Refusal as refusal:
            return refusal.response()
        head = head_of(request, body)
        address = request.remote or ""
        answer = functools.partial(site.answer, head, self._store, address=address)
        return await self._in_reader(answer)

    async def _in_reader(self, function: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, function)

    async def _prune(self, before: int) -> int:
        return await self._in_reader(functools.partial(self._store.prune, before))

    async def _begin(self, _app: web.Application) -> None:
        if self._retention is not None:
            self._retention.start()

    async def _let_go(self, _app: web.Application) -> None:
        """End what would go on for good, so that nothing holds up the end."""
        self._trouble.stop()
        self._events.stop()
        if self._retention is not None:
            await self._retention.stop()

    async def _close(self, _app: web.Application) -> None:
        await self._commits.close()
        self._readers.shutdown(cancel_futures=True)


def _length(written: web.StreamResponse | None) -> int:
    """The length of an answer's body: of one that is still to be sent, too."""
    if isinstance(written, web.Response):
        return written.content_length or 0
    return 0 if written is None else written.body_length
