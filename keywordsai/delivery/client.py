"""What a client holds of the delivery in the background."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections.abc import Generator
from typing import Any

from keywordsai.delivery.counts import DeliveryStats, FlushResult
from keywordsai.delivery.lifecycle import forget_unused, join, leave, time_after_exit
from keywordsai.delivery.options import DeliveryOptions
from keywordsai.delivery.outbox import Giver
from keywordsai.delivery.post import Post
from keywordsai.logs.endpoints import Endpoints
from keywordsai.transport.base import SyncTransport
from keywordsai.transport.forks import watch_forks

__all__ = ["Delivery"]


class Delivery:
    """What a client holds of the delivery in the background.

    Args:
        endpoints: How its logs are sent.
        options: How they are delivered.
        transport: To send over; None for our own.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        options: DeliveryOptions,
        transport: SyncTransport | None,
    ) -> None:
        self._endpoints = endpoints
        self._options = options
        self._transport = transport
        self._lock = threading.RLock()
        self._pid = 0
        self._post: Post
        self._giver: Giver
        self._leave: Any = None
        watch_forks(self)

    def put(self, body: bytes, key: str | None) -> dict[str, Any]:
        """Take a log in, and answer at once."""
        if self._pid != os.getpid():
            self._join()
        post = self._post
        dropped = post.outbox.put(self._giver, body, key, self._options)
        late = time_after_exit()
        if late is not None:  # nobody comes after us
            _act(post.ending(late))
        return (
            {"message": f"log dropped: {dropped}"}
            if dropped
            else {"message": "log queued"}
        )

    def flush(self, timeout: float | None) -> FlushResult:
        """Wait until all that was put in is sent, or the time is over."""
        _act(self._flush(timeout))
        return self._result()

    async def aflush(self, timeout: float | None) -> FlushResult:
        """As `flush`, letting the event loop go on."""
        await _aact(self._flush(timeout))
        return self._result()

    def stats(self) -> DeliveryStats:
        """The numbers, at this moment; none of the parent's in a forked child."""
        if self._pid != os.getpid():
            return DeliveryStats()
        return self._post.outbox.ledger.stats(self._giver.counts)

    def close(self) -> None:
        """Send what can be sent in ``exit_timeout``, and leave."""
        _act(self._closing())

    async def aclose(self) -> None:
        """As `close`, letting the event loop go on."""
        await _aact(self._closing())

    def after_fork_in_child(self) -> None:
        """Take a new lock: another thread of the parent may hold the old one."""
        self._lock = threading.RLock()

    def _join(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            post = join(self._endpoints, self._options, self._transport)
            self._giver = post.outbox.join(self._options)
            self._post = post
            self._leave = weakref.finalize(self, leave, post, self._giver.number)
            self._leave.atexit = False
            self._pid = os.getpid()

    def _flush(self, timeout: float | None) -> Generator[float, None, None]:
        if self._pid != os.getpid():
            self._join()
        if timeout is None:
            timeout = self._endpoints.settings.timeout.total
        return self._post.flush(time.monotonic() + timeout)

    def _closing(self) -> Generator[float, None, None]:
        if self._pid != os.getpid() or not self._leave.alive:
            return
        post = self._post
        deadline = time.monotonic() + self._options.exit_timeout
        post.outbox.scheduler.hurry()
        yield from post.flush(deadline)
        self._leave()
        if forget_unused(post):
            yield from post.ending(deadline)

    def _result(self) -> FlushResult:
        stats = self.stats()
        return FlushResult(
            delivered=stats.delivered,
            pending=stats.pending,
            dead=stats.dead,
            dropped=stats.dropped,
        )


def _act(steps: Generator[float, None, None]) -> None:
    for seconds in steps:
        time.sleep(seconds)  # for as long as `steps` wants to wait


async def _aact(steps: Generator[float, None, None]) -> None:
    try:
        for seconds in steps:
            await asyncio.sleep(seconds)  # likewise
    finally:
        steps.close()
