"""Creates that arrive together are committed together, and bulks with them.

A commit costs about the same for one log as for many. So one transaction runs at
a time, in a thread, and the logs that arrive meanwhile make up the next. What came
in one request is never divided.
"""

from __future__ import annotations

import asyncio
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from keywordsai.errors import ClosedError
from keywordsai.server.combining import MOST_LOGS
from keywordsai.server.engines import is_of_database

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from keywordsai.server.store import NewLog

    _Waiting = tuple[Sequence[NewLog], asyncio.Future[list[str]]]

__all__ = ["GroupCommit"]


class GroupCommit:
    """Stores logs, many in one transaction.

    Args:
        add: Stores logs, all or none, and gives their ids; called in a thread of
            its own, never twice at a time.
        committed: Told the ids of each transaction, in the event loop.
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
        self._waiting: list[_Waiting] = []
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
        self._waiting.append((logs, future))
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit())
        return await future

    async def _commit(self) -> None:
        while self._waiting:
            # Requests that are being read this very moment join in.
            await asyncio.sleep(0)
            batch = self._next()
            if not await self._store(batch):
                # One log may be what cannot be stored: the other requests must
                # not fail for it.
                for one in batch:
                    await self._store([one])

    def _next(self) -> list[_Waiting]:
        """Take the requests whose logs make up the next transaction, at least one."""
        count = size = 0
        for logs, _ in self._waiting:
            size += len(logs)
            if count and size > MOST_LOGS:
                break
            count += 1
        batch = self._waiting[:count]
        del self._waiting[:count]
        return batch

    async def _store(self, batch: Sequence[_Waiting]) -> bool:
        """Commit a batch; say whether it is settled, so or by a failure of all."""
        loop = asyncio.get_running_loop()
        logs = [log for group, _ in batch for log in group]
        try:
            ids = await loop.run_in_executor(self._thread, self._add, logs)
        except Exception as error:  # noqa: BLE001 - the waiting request raises it
            if len(batch) > 1 and not is_of_database(error):
                return False
            # Where there is no room, to try one by one would find none either; where
            # others keep the database locked, each would wait for its whole time.
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return True
        if self._committed is not None:
            self._committed(ids)
        given = iter(ids)
        for group, future in batch:
            its_own = list(itertools.islice(given, len(group)))
            if not future.done():
                future.set_result(its_own)
        return True

    async def close(self) -> None:
        """Commit what waits, and end. Closing twice is fine."""
        self._closed = True
        if self._committer is not None:
            await self._committer
        self._thread.shutdown()
