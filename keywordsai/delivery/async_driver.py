"""Delivers over aiohttp, on an event loop of the worker's own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs

from keywordsai._version import version
from keywordsai.delivery.driving import burst, once, outcome_of
from keywordsai.delivery.outbox import Outbox
from keywordsai.delivery.outcomes import Outcome
from keywordsai.delivery.scheduler import IDLE
from keywordsai.delivery.source import Job
from keywordsai.transport.base import AsyncTransport
from keywordsai.transport.flow import arun
from keywordsai.transport.forks import importing, prepare_to_keep

__all__ = ["AsyncDriver"]


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that a forked child does not close: its sockets are shared."""

    def __init__(self) -> None:
        super().__init__()
        self._pid = os.getpid()
        self.slow_callback_duration = 10.0  # writing to a disk may take its time

    def __del__(self, *_: Any) -> None:
        if getattr(self, "_pid", None) == os.getpid():  # else it was never made
            super().__del__()


@attrs.define(eq=False)
class AsyncDriver:
    """Sends with a task for each request in flight.

    Args:
        outbox: Whose logs it sends.
        is_needed: Asked when there is nothing to send; False ends it.
    """

    outbox: Outbox
    is_needed: Callable[[], bool]
    _loop: asyncio.AbstractEventLoop | None = None
    _awake: asyncio.Event = attrs.field(init=False)
    _lanes: set[asyncio.Task[None]] = attrs.field(factory=set)
    _begin: threading.Event = attrs.field(factory=threading.Event)
    _stopping: bool = False

    def run(self) -> None:
        """Deliver until told to stop, or nobody needs it; in the worker's thread."""
        for seconds in burst(self.outbox, lambda: self._stopping):
            self._begin.wait(seconds)
        if self._stopping:
            return
        with importing:
            prepare_to_keep()
            import encodings.idna  # noqa: F401, PLC0415  by the first look-up of a name

            version()  # imports, too
            from keywordsai.transport.aiohttp import AiohttpTransport  # noqa: PLC0415  slow
        loop = _Loop()
        transport = AiohttpTransport(self.outbox.endpoints.settings.network)
        transport.stay_open_at_exit()  # the last logs go out after that
        try:
            loop.run_until_complete(self._deliver(loop, transport))
        finally:
            self._loop = None
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def wake(self) -> None:
        """There is something to send, or somebody waits. From any thread."""
        self.outbox.asleep = False
        self._begin.set()
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it was closed meanwhile
                loop.call_soon_threadsafe(self._awake.set)

    def stop(self) -> None:
        """Abandon what is in flight, and end soon. From any thread."""
        self._stopping = True
        self.wake()

    def is_current(self) -> bool:
        """Whether this thread is one of its own beside the worker's: there are none."""
        return False

    async def _deliver(
        self, loop: asyncio.AbstractEventLoop, transport: AsyncTransport
    ) -> None:
        self._awake = asyncio.Event()
        self._loop = loop
        outbox, scheduler = self.outbox, self.outbox.scheduler
        try:
            while not self._stopping:
                outbox.spools.look_after()
                outbox.asleep = True  # before the look: no log comes in unheard
                step = scheduler.next()
                if isinstance(step, Job):
                    self._start(step, transport)
                    continue
                if step is not IDLE:
                    outbox.asleep = False
                    await self._wait(step)
                    continue
                if not self._lanes:
                    outbox.spools.rest()
                    if not self.is_needed():
                        return
                if await self._wait(outbox.spools.until_look()):
                    for seconds in burst(outbox, lambda: self._stopping):
                        await self._wait(seconds)
        finally:
            for lane in self._lanes:
                lane.cancel()
            if self._lanes:
                await asyncio.wait(self._lanes)
            await transport.close()

    async def _wait(self, seconds: float | None) -> bool:
        """Wait until somebody wakes us, or so long; says whether somebody did."""
        with suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(self._awake.wait(), seconds)
        awake = self._awake.is_set()
        self._awake.clear()
        return awake

    def _start(self, job: Job, transport: AsyncTransport) -> None:
        self.outbox.asleep = False
        lane = asyncio.get_running_loop().create_task(self._lane(job, transport))
        self._lanes.add(lane)
        lane.add_done_callback(self._lanes.discard)

    async def _lane(self, job: Job, transport: AsyncTransport) -> None:
        """Send a job, then the next, until there is none for this lane."""
        outbox, scheduler = self.outbox, self.outbox.scheduler
        while True:
            try:
                steps = once(outbox, outbox.request(job))
                outcome: Outcome = await arun(steps, transport)
            except asyncio.CancelledError:
                scheduler.gave_up(job)
                raise
            except Exception as error:  # noqa: BLE001  no log may be lost for it
                outcome = outcome_of(error)
            scheduler.done(job, outcome)
            following = scheduler.next()
            if self._stopping or not isinstance(following, Job):
                if isinstance(following, Job):
                    scheduler.gave_up(following)
                self._awake.set()
                return
            job = following
            if scheduler.may_start():
                another = scheduler.next()
                if isinstance(another, Job):
                    self._start(another, transport)
