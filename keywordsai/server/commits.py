"""Creates that arrive together are committed together, and bulks with them.

One transaction runs at a time, in a thread, and the logs that arrive meanwhile make
up the next. What came in one request is never divided.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from keywordsai.errors import ClosedError
from keywordsai.server.grouping import Group, store_together, take_together

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from keywordsai.server.newlogs import PostedLog

__all__ = ["GroupCommit"]


class GroupCommit:
    """Stores logs, many in one transaction.

    Args:
        add: Stores logs, all or none, and gives their ids; called in a thread of
            its own, never twice at a time.
        committed: Told the ids of what was committed, in the event loop.
    """

    def __init__(
        self,
        add: Callable[[Sequence[PostedLog]], list[str]],
        *,
        committed: Callable[[Sequence[str]], None] | None = None,
    ) -> None:
        self._add = add
        self._committed = committed
        self._thread = ThreadPoolExecutor(1, "keywordsai-commit")
        self._waiting: deque[Group] = deque()
        self._futures: dict[Group, asyncio.Future[list[str]]] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    async def add(self, log: PostedLog) -> str:
        """Store a log; returns the id it is stored under, once it is committed.

        Raises:
            ClosedError: After `close`.
            StoreUncertain: It may be stored, or not.
            Exception: Whatever else storing raised; the log is not stored then.
        """
        return (await self.add_all([log]))[0]

    async def add_all(self, logs: Sequence[PostedLog]) -> list[str]:
        """Store logs, all or none; returns and raises what `add` does for one."""
        if self._closed:
            raise ClosedError("the server is stopping")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[str]] = loop.create_future()
        group = Group(logs)
        self._futures[group] = future
        self._waiting.append(group)
        if self._idle.is_set():
            self._idle.clear()
            # Requests that are being read this very moment join in.
            loop.call_soon(self._begin, loop)
        return await future

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            working = loop.run_in_executor(self._thread, self._work, loop)
        except Exception as error:  # noqa: BLE001  whoever waits raises it
            self._fail(error)
        else:
            working.add_done_callback(self._ended)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the thread: store all that waits, without a turn of the event loop."""
        while self._waiting:
            batch = take_together(self._waiting)
            store_together(self._add, batch)
            loop.call_soon_threadsafe(self._tell, batch)

    def _ended(self, working: asyncio.Future[None]) -> None:
        error = working.exception()
        if error is not None:
            self._fail(error)
        elif self._waiting:  # it came as the thread ended
            self._begin(working.get_loop())
        else:
            self._idle.set()

    def _fail(self, error: BaseException) -> None:
        """Nobody stores what waits."""
        self._waiting.clear()
        futures, self._futures = list(self._futures.values()), {}
        self._idle.set()
        for future in futures:
            if not future.done():
                future.set_exception(RuntimeError(type(error).__name__))

    def _tell(self, batch: Sequence[Group]) -> None:
        for group in batch:
            future = self._futures.pop(group)
            if future.done():  # whoever waited has left
                continue
            if group.error is None:
                future.set_result(group.result())
            else:
                future.set_exception(group.error)
        ids = [one for group in batch for one in group.ids or ()]
        if ids and self._committed is not None:
            self._committed(ids)

    async def close(self) -> None:
        """Commit what waits, and end. Closing twice is fine."""
        self._closed = True
        await self._idle.wait()
        self._thread.shutdown()
