"""Creates that arrive together are committed together.

A commit costs about the same for one log as for many. So one transaction runs at
a time, in a thread, and the logs that arrive meanwhile make up the next.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from keywordsai.errors import ClosedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from keywordsai.server.store import NewLog

    _Waiting = tuple[NewLog, asyncio.Future[str]]

__all__ = ["GroupCommit"]

_MOST_LOGS = 1000  # of one transaction


class GroupCommit:
    """Stores logs, many in one transaction.

    Args:
        add: Stores logs, all or none, and gives their ids; called in a thread of
            its own, never twice at a time.
    """

    def __init__(self, add: Callable[[Sequence[NewLog]], list[str]]) -> None:
        self._add = add
        self._thread = ThreadPoolExecutor(1, "keywordsai-commit")
        self._waiting: list[_Waiting] = []
        self._committer: asyncio.Task[None] | None = None
        self._closed = False

    async def add(self, log: NewLog) -> str:
        """Store a log; returns the id it is stored under, once it is committed.

        Raises:
            ClosedError: After `close`.
            Exception: Whatever storing raised; the log is not stored then.
        """
        if self._closed:
            raise ClosedError("the server is stopping")
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((log, future))
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit())
        return await future

    async def _commit(self) -> None:
        while self._waiting:
            # Requests that are being read this very moment join in.
            await asyncio.sleep(0)
            batch = self._waiting[:_MOST_LOGS]
            del self._waiting[:_MOST_LOGS]
            if not await self._store(batch) and len(batch) > 1:
                # One log may be what cannot be stored: the others must not
                # fail for it.
                for one in batch:
                    await self._store([one])

    async def _store(self, batch: Sequence[_Waiting]) -> bool:
        """Commit a batch; say whether. A single log's failure goes to its request."""
        loop = asyncio.get_running_loop()
        logs = [log for log, _ in batch]
        try:
            ids = await loop.run_in_executor(self._thread, self._add, logs)
        except Exception as error:  # noqa: BLE001 - the waiting request raises it
            if len(batch) == 1 and not batch[0][1].done():
                batch[0][1].set_exception(error)
            return False
        for (_, future), log_id in zip(batch, ids, strict=True):
            if not future.done():
                future.set_result(log_id)
        return True

    async def close(self) -> None:
        """Commit what waits, and end. Closing twice is fine."""
        self._closed = True
        if self._committer is not None:
            await self._committer
        self._thread.shutdown()
