"""Sessions of aiohttp, one for each event loop, each closed with its loop.

A session belongs to the loop it was made in. Each is held by an async generator:
`asyncio.run` closes those at its end, and with it the session, before the loop is
closed. Loops that end otherwise, or never, are seen to by `close_all`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import weakref
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, TypeAlias

import aiohttp
import attrs

from keywordsai.transport.forks import looking_up
from keywordsai.transport.watchdog import Watchdog

__all__ = ["Held", "Loop", "abandon", "close_all", "forget_closed_loops", "hold"]

Loop: TypeAlias = asyncio.AbstractEventLoop
Holder: TypeAlias = AsyncGenerator[aiohttp.ClientSession, None]

_LONGEST_LINE = 65536  # of an answer's head, as for http.client


@attrs.frozen(eq=False)
class Held:
    """A loop's session, what closes it when the loop ends, and its watchdog."""

    session: aiohttp.ClientSession
    holder: Holder
    closing: list[asyncio.Task[None]]
    dog: Watchdog


async def hold(loop: Loop, owner: weakref.ref[Any]) -> Held:
    """Open a session for the running loop.

    Args:
        loop: The running loop.
        owner: What keeps it, in its ``_held``; it is taken out when it is closed.
    """
    closing: list[asyncio.Task[None]] = []
    holder = _hold(loop, owner, closing)
    return Held(await anext(holder), holder, closing, Watchdog(loop))


async def _hold(
    loop: Loop,
    owner: weakref.ref[Any],
    closing: list[asyncio.Task[None]],
) -> Holder:
    """Open a session, give it, and close it when the generator is closed.

    It knows its transport weakly: a cycle of the two would leave it to the garbage
    collector whether the session is closed before it is found unclosed.
    """
    session = aiohttp.ClientSession(
        connector=_Connector(),
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
    )
    try:
        yield session
    finally:
        transport = owner()
        if transport is not None:
            transport._held.pop(loop, None)  # noqa: SLF001  ours
        await session.close()
        if closing:
            await asyncio.wait(closing)


class _Connector(aiohttp.TCPConnector):
    """A connector that a forked child does not take for its own when it ends."""

    def __init__(self) -> None:
        super().__init__(resolver=_Resolver())
        self._pid = os.getpid()

    def __del__(self, *_: Any) -> None:
        if self._pid == os.getpid():
            super().__del__()


class _Resolver(aiohttp.ThreadedResolver):
    """Looks names up in threads, as long as there can be new ones.

    When the interpreter ends there cannot; then a short wait harms nobody.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[Any]:
        try:
            with looking_up():
                return await super().resolve(host, port, family)
        except RuntimeError:
            found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        return [
            {
                "hostname": host,
                "host": address[0],
                "port": address[1],
                "family": kind,
                "proto": proto,
                "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            }
            for kind, _type, proto, _name, address in found
        ]


def forget_closed_loops(held: dict[Loop, Held]) -> None:
    """Let go of the sessions whose loops were closed without them."""
    for loop in list(held):  # a copy: other threads come and go
        if loop.is_closed():
            abandon(held.pop(loop, None))


def abandon(held: Held | None) -> None:
    """Let go of a session whose loop was closed first: it can close nothing now."""
    if held is not None:
        # Its connections died with the loop, so there is nothing to wait for.
        with suppress(StopIteration, RuntimeError):
            held.holder.aclose().send(None)


def close_all(held: dict[Loop, Held]) -> None:
    """Have every session closed, each by the loop that it belongs to."""
    for loop in list(held):
        one = held.pop(loop, None)
        if one is None or loop.is_closed():
            abandon(one)
        elif loop.is_running():
            loop.call_soon_threadsafe(_close_soon, loop, one)
        elif asyncio._get_running_loop() is None:  # noqa: SLF001  the one that does not raise
            loop.run_until_complete(_finish(one))
        else:
            # A loop at rest, and this thread runs another: it takes a third.
            thread = threading.Thread(
                target=lambda: loop.run_until_complete(_finish(one))  # noqa: B023
            )
            thread.start()
            thread.join()


def _close_soon(loop: Loop, held: Held) -> None:
    held.closing.append(loop.create_task(_finish(held)))


async def _finish(held: Held) -> None:
    await held.session.close()
    # The loop may have ended meanwhile, and its end be waiting for this very task.
    with suppress(RuntimeError):
        await held.holder.aclose()
