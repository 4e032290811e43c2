"""The handler mounted on aiohttp.web, and the server run in one line.

`running` serves within an event loop, `serve_in_thread` beside whatever else the
process does. Both listen before they give the URL, and end once every log that
was taken is committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import logging
import os
import socket
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import attrs
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from keywordsai.errors import ConfigurationError
from keywordsai.server import DEFAULT_DATABASE, DEFAULT_PORT
from keywordsai.server.answers import Refusal, internal_error
from keywordsai.server.bodies import BULK_BODY, BodyLimit
from keywordsai.server.commits import GroupCommit
from keywordsai.server.handler import Handler
from keywordsai.server.operations import CreateLog, CreateLogs
from keywordsai.server.store import Store
from keywordsai.transport.base import HTTPRequest, HTTPResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = [
    "LogServer",
    "running",
    "serve_in_thread",
]

_SHUTDOWN = 5.0  # seconds that requests under way have to finish
_READERS = 4
_READ_AT_ONCE = 1024**2  # bytes; over a larger body others would wait too long
_LONGEST_REASON = 200

_log = logging.getLogger("keywordsai.server")


class LogServer:
    """The handler and a store behind aiohttp: ``app`` is what to mount or run.

    Args:
        store: Where the logs are; the caller closes it, after the app's cleanup.
        handler: What answers the requests.
    """

    def __init__(self, *, store: Store, handler: Handler) -> None:
        self._store = store
        self._handler = handler
        self._commits = GroupCommit(store.add)
        self._readers = ThreadPoolExecutor(_READERS, "keywordsai-read")
        # The application's own limit is for handlers that read a whole body at
        # once; this one counts the pieces itself, see `_read`.
        self.app = web.Application(client_max_size=BULK_BODY.size)
        self.app.router.add_route("*", "/{path:.*}", self._serve)
        self.app.on_cleanup.append(self._close)

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
        limit = self._handler.admit(head)
        if isinstance(limit, HTTPResponse):
            return limit  # without a look at the body
        try:
            body = await _read(request, limit)
        except Refusal as refusal:
            return refusal.response()
        loop = asyncio.get_running_loop()
        begin = functools.partial(self._handler.begin, attrs.evolve(head, body=body))
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


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check(host: str, api_key: str | None) -> None:
    if api_key is None:
        if not _is_loopback(host):
            raise ConfigurationError(
                f"host: {host!r} can be reached from other machines, which needs an "
                "API key; without one, listen on 127.0.0.1"
            )
    elif not api_key or not api_key.isprintable() or " " in api_key:
        raise ConfigurationError(
            "api_key: expected a text without blanks and control characters"
        )


def _reason(error: OSError | OverflowError) -> str:
    """Why there is no listening, without the words asyncio puts around it."""
    if isinstance(error, OverflowError):
        return "there is no such port"
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno)


@contextlib.contextmanager
def _told(host: str, port: int) -> Iterator[None]:
    """What keeps from listening, in words."""
    try:
        yield
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"cannot listen on {host}, port {port}: {_reason(error)}"
        ) from error


async def _bind(host: str, port: int) -> asyncio.Server:
    """Take the addresses, and do not listen yet."""
    loop = asyncio.get_running_loop()
    with _told(host, port):
        return await loop.create_server(
            asyncio.Protocol, host, port, start_serving=False
        )


@contextlib.asynccontextmanager
async def running(
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    database: str = DEFAULT_DATABASE,
    api_key: str | None = None,
) -> AsyncIterator[str]:
    """Run the server in this event loop, for as long as the context lasts.

    Args:
        host: The address to listen on; without a key only loopback will do.
        port: The port, 0 for any free one.
        database: A URL, ``sqlite://`` for memory.
        api_key: The one key taken; None takes any that is not empty.

    Yields:
        The URL it listens on, such as ``http://127.0.0.1:8723``.

    Raises:
        ConfigurationError: The address, the key or the database is not usable.
    """
    _check(host, api_key)
    addresses = await _bind(host, port)  # before there is a database to leave behind
    try:
        store = Store.open(database)
    except BaseException:
        addresses.close()
        raise
    try:
        server = LogServer(store=store, handler=Handler(api_key=api_key))
        # aiohttp would log what it cannot read as HTTP, with a piece of it: of a
        # log, or of a key. What fails on our side is logged in `_serve`.
        unheard = logging.Logger("unheard", logging.CRITICAL + 1)  # noqa: LOG001
        runner = web.AppRunner(
            server.app, access_log=None, logger=unheard, shutdown_timeout=_SHUTDOWN
        )
        await runner.setup()
        try:
            with _told(host, port):
                for sock in addresses.sockets:
                    await web.SockSite(runner, sock.dup()).start()
            addresses.close()  # lest they go on listening while the others close
            address, bound = runner.addresses[0][:2]
            yield (
                f"http://[{address}]:{bound}"
                if ":" in address
                else (f"http://{address}:{bound}")
            )
        finally:
            await runner.cleanup()
    finally:
        addresses.close()
        store.close()


@contextlib.contextmanager
def serve_in_thread(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    database: str = "sqlite://",
    api_key: str | None = None,
) -> Iterator[str]:
    """Run the server in a thread of this process, for as long as the context lasts.

    The arguments are those of `running`, with defaults for a short life: any free
    port, and a database in memory.

    Yields:
        The URL it listens on.

    Raises:
        ConfigurationError: As `running`.

    Example:
        >>> with serve_in_thread() as url:
        ...     url.startswith("http://127.0.0.1:")
        True
    """
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        server = running(host=host, port=port, database=database, api_key=api_key)
        async with server as url:
            started.set_result((url, asyncio.get_running_loop(), stop))
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name="keywordsai-server", daemon=True)
    thread.start()
    url, loop, stop = started.result()
    try:
        yield url
    finally:
        with contextlib.suppress(RuntimeError):  # it ended by itself
            loop.call_soon_threadsafe(stop.set)
        thread.join()
