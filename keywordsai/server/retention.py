"""Keeps logs for so long and no longer: removes older ones, in the background."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Retention"]

_LONGEST_WAIT = 60.0  # seconds between two looks for old logs
_SHORTEST_WAIT = 0.5
_SHARE = 0.05  # of the time that logs are kept: by so much they may get older
_PAUSE = 0.02  # seconds between two batches, in which others write

_log = logging.getLogger("keywordsai.server")


class Retention:
    """Removes old logs from `start` to `stop`.

    Args:
        prune: Removes some of the logs before an instant (microseconds since 1970),
            and gives how many; 0 if there are no more.
        keep: How long logs are kept, seconds.
        now: The present instant, microseconds since 1970.
    """

    def __init__(
        self,
        prune: Callable[[int], Awaitable[int]],
        *,
        keep: float,
        now: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._prune = prune
        self._keep = round(keep * 1_000_000)
        self._wait = min(_LONGEST_WAIT, max(_SHORTEST_WAIT, keep * _SHARE))
        self._now = now
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End after the batch under way. Stopping twice is fine."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            more = await self._remove_some()
            await asyncio.sleep(_PAUSE if more else self._wait)

    async def _remove_some(self) -> bool:
        """Remove some of the old logs; whether there may be more."""
        try:
            return await self._prune(self._now() - self._keep) > 0
        except Exception as error:  # noqa: BLE001 - the next time may go well
            _log.warning("removing old logs failed: %s", type(error).__name__)
            return False
