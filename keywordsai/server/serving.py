"""The server run in one line.

`running` serves within an event loop, `serve_in_thread` beside whatever else the
process does. Both listen before they give the URL, and end once every log that
was taken is committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from aiohttp import web

from keywordsai.errors import ConfigurationError
from keywordsai.server import DEFAULT_DATABASE, DEFAULT_PORT
from keywordsai.server.handler import Handler
from keywordsai.server.hosts import HostRule
from keywordsai.server.mounting import LogServer
from keywordsai.server.options import ServerOptions
from keywordsai.server.pages.views import Pages
from keywordsai.server.signin import SignIn
from keywordsai.server.site import Site
from keywordsai.server.store import Store
from keywordsai.server.trouble import Trouble
from keywordsai.server.writing import WriterProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

__all__ = ["ServerOptions", "running", "serve_in_thread", "serving"]

_TURNS = 5  # of the event loop: it takes two from an accept to a connection


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


def _site(options: ServerOptions) -> Site:
    """The pages of a server with these options."""
    return Site(pages=Pages(), sign_in=SignIn(keys=options.api_keys))


async def _end(runner: web.AppRunner, listening: Sequence[socket.socket]) -> None:
    """Stop, and leave no connection open."""
    loop = asyncio.get_running_loop()
    # Of a connection that was accepted just before a server is closed, asyncio makes
    # half a transport (up to Python 3.11 at least), which nobody closes.
    for sock in listening:
        with contextlib.suppress(NotImplementedError):  # on Windows
            loop.remove_reader(sock)
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    await runner.cleanup()
    for sock in listening:
        sock.close()  # on which it may never have listened


@contextlib.asynccontextmanager
async def serving(
    options: ServerOptions, *, own_writer: bool = False
) -> AsyncIterator[str]:
    """Run a server in this event loop, for as long as the context lasts.

    `running` says what it gives and raises.

    Args:
        options: What it is started with.
        own_writer: Whether a process of its own stores the logs, if the database is
            one that it can open too.
    """
    host, port = options.host, options.port
    addresses = await _bind(host, port)  # before there is a database to leave behind
    try:
        store = Store.open(options.database)
    except BaseException:
        addresses.close()
        raise
    writer: WriterProcess | None = None
    try:
        if own_writer and store.is_open_to_others():
            writer = WriterProcess(options.database, store)
        window = options.window
        handler = Handler(
            api_keys=options.api_keys,
            window=None if window is None else round(window * 1_000_000),
        )
        server = LogServer(
            store=store,
            handler=handler,
            writer=writer,
            site=_site(options),
            hosts=HostRule.of(host, options.allow_hosts),
            trouble=Trouble(options.faults, keys=options.api_keys),
            keep=options.keep,
            access_log=options.access_log,
        )
        runner = server.runner()
        await runner.setup()
        listening = [sock.dup() for sock in addresses.sockets]
        try:
            with _told(host, port):
                for sock in listening:
                    await web.SockSite(runner, sock).start()
            addresses.close()  # lest they go on listening while the others close
            address, bound = runner.addresses[0][:2]
            yield (
                f"http://[{address}]:{bound}"
                if ":" in address
                else (f"http://{address}:{bound}")
            )
        finally:
            await _end(runner, listening)
    finally:
        addresses.close()
        if writer is not None:
            writer.close()
        store.close()


@contextlib.asynccontextmanager
async def running(
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    database: str = DEFAULT_DATABASE,
    api_key: str | None = None,
    api_keys: Sequence[str] = (),
    window: float | None = None,
    keep: float | None = None,
    allow_hosts: Sequence[str] = (),
    faults: Sequence[str] = (),
    access_log: bool = False,
) -> AsyncIterator[str]:
    """Run the server in this event loop, for as long as the context lasts.

    Args:
        host: The address to listen on; without a key only loopback will do.
        port: The port, 0 for any free one.
        database: A URL, ``sqlite://`` for memory.
        api_key: A key to take; without any, every key that is not empty is taken.
        api_keys: More of them.
        window: How far back lists go that name no start, in seconds; by default
            they begin with the first log.
        keep: For how many seconds logs are kept, by default for ever.
        allow_hosts: Names by which the server may be asked for, beside those of
            loopback and ``host``.
        faults: What is to go wrong, such as ``"503 for 20s"``.
        access_log: Whether every request is logged, without what it holds.

    Yields:
        The URL it listens on, such as ``http://127.0.0.1:8723``.

    Raises:
        ConfigurationError: The address, a key, the database or another option is
            not usable; the message names it.
    """
    keys = (*(() if api_key is None else (api_key,)), *api_keys)
    options = ServerOptions(
        host=host,
        port=port,
        database=database,
        api_keys=keys,
        window=window,
        keep=keep,
        allow_hosts=tuple(allow_hosts),
        faults=tuple(faults),
        access_log=access_log,
    )
    async with serving(options) as url:
        yield url


@contextlib.contextmanager
def serve_in_thread(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    database: str = "sqlite://",
    api_key: str | None = None,
    api_keys: Sequence[str] = (),
    window: float | None = None,
    keep: float | None = None,
    allow_hosts: Sequence[str] = (),
    faults: Sequence[str] = (),
    access_log: bool = False,
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
    server = running(
        host=host,
        port=port,
        database=database,
        api_key=api_key,
        api_keys=api_keys,
        window=window,
        keep=keep,
        allow_hosts=allow_hosts,
        faults=faults,
        access_log=access_log,
    )

    async def serve() -> None:
        stop = asyncio.Event()
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
