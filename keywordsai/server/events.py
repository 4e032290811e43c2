"""``/_events``: tells pages that are open of logs that were committed.

The logs of this process are told of at once. Those that other processes commit to
the same database are looked for, as long as anybody listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from aiohttp import web

from keywordsai.server.reading import is_gone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["Events"]

_MOST_STREAMS = 100
_HEARTBEAT = 15.0  # seconds: proxies close what is silent for longer
_LOOK_FOR_CLIENT = 1.0  # seconds until it is noticed that a client left
_LOOK_FOR_LOGS = 0.5
_PAUSE = 0.1  # seconds between two events of a stream, however many commits

_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy must not gather events before it passes them
    "X-Content-Type-Options": "nosniff",
}

_log = logging.getLogger("keywordsai.server")


class Events:
    """The event streams of one server.

    Args:
        newest_id: Reads the id of the newest log, None if there is none.
    """

    def __init__(self, newest_id: Callable[[], Awaitable[str | None]]) -> None:
        self._newest_id = newest_id
        self._newest = ""
        self._changed = asyncio.Event()
        self._stopping = False
        self._streams = 0
        self._looking: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether there are as many streams as there may be."""
        return self._streams >= _MOST_STREAMS

    def committed(self, ids: Sequence[str]) -> None:
        """Tell every stream, should one of the logs be newer than the last."""
        newest = max(ids, default="")
        if newest > self._newest:
            self._newest = newest
            self._wake()

    def stop(self) -> None:
        """End every stream, and whatever looks for logs."""
        self._stopping = True
        self._wake()
        if self._looking is not None:
            self._looking.cancel()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Write events until the client leaves or the server stops."""
        response = web.StreamResponse(headers=_HEADERS)
        self._streams += 1
        try:
            with contextlib.suppress(ConnectionError):  # the client left
                await response.prepare(request)
                await self._write(request, response)
        finally:
            self._streams -= 1
        return response

    async def _write(self, request: web.Request, response: web.StreamResponse) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        await response.write(b"retry: 2000\n\n")
        loop = asyncio.get_running_loop()
        told, written = "", loop.time()
        while not self._stopping and not is_gone(request):
            changed = self._changed
            if self._newest > told:
                told, written = self._newest, loop.time()
                event = f"event: logs\nid: {told}\ndata: {told}\n\n"
                await response.write(event.encode())
                await asyncio.sleep(_PAUSE)
                continue
            if loop.time() >= written + _HEARTBEAT:
                written = loop.time()
                await response.write(b": still here\n\n")
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(changed.wait(), _LOOK_FOR_CLIENT)

    async def _look(self) -> None:
        """Look for the logs of other processes, while anybody listens."""
        while self._streams and not self._stopping:
            await self._look_once()
            await asyncio.sleep(_LOOK_FOR_LOGS)

    async def _look_once(self) -> None:
        try:
            newest = await self._newest_id()
        except Exception as error:  # noqa: BLE001 - the next look may go well
            _log.warning("looking for new logs failed: %s", type(error).__name__)
            return
        if newest is not None:
            self.committed([newest])
