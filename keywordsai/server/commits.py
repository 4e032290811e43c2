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

    from keywordsai.server.store import NewLog

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
        add: Callable[[Sequence[NewLog]], list[str]],
        *,
        committed: Callable[[Sequence[str]], None] | None = None,
    ) -> None:
        self._add = add
        self._committed = committed
        self._thread = ThreadPoolExecutor(1, "keywordsai-commit")
        self._waiting: deque[Group] = deque()
        self._futures: dict[Group, asyncio.Future[list[str]]] = {}
        self._committer: asyncio.Task[None] | None = None
        self._closed = False

    async def add(self, log: NewLog) -> str:
        """Store a log; returns the id it is stored under, once it is committed.

        Raises:
            ClosedError: After `close`.
            Exception: Whatever storing raised; the log is not stored then.
        """
        return (await self.add_all([log]))[0]

    async def add_all(self, logs: Sequence[NewLog]) -> list[str]:
        """Store logs, all or none; returns and raises what `add` does for one."""
        if self._closed:
            raise ClosedError("the server is stopping")
        future: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        group = Group(logs)
        self._waiting.append(group)
        self._futures[group] = future
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit())
        return await future

    async def _commit(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            # Requests that are being read this very moment join in.
            await asyncio.sleep(0)
            batch = take_together(self._waiting)
            await loop.run_in_executor(self._thread, store_together, self._add, batch)
            for group in batch:
                self._tell(group, self._futures.pop(group))
            ids = [one for group in batch for one in group.ids or ()]
            if ids and self._committed is not None:
                self._committed(ids)

    def _tell(self, group: Group, future: asyncio.Future[list[str]]) -> None:
        if future.done():  # whoever waited has left
            return
        if group.error is None:
            future.set_result(group.result())
        else:
            future.set_exception(group.error)

    async def close(self) -> None:
        """Commit what waits, and end. Closing twice is fine."""
        self._closed = True
        if self._committer is not None:
            await self._committer
        self._thread.shutdown()
