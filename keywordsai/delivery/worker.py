"""The worker of an outbox: one daemon thread that asks the scheduler, and sends.

Two drivers, alike line by line: over aiohttp on an event loop of the thread's own,
and over a synchronous transport with a thread for each request in flight, for what
cannot have the first: gevent, a transport that was handed in, the program's exit.
Both leave a burst alone: a worker that sends while logs are put in costs the caller
hand-overs of the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Protocol

import attrs

from keywordsai._logging import logger
from keywordsai.delivery.outbox import Outbox
from keywordsai.delivery.scheduler import IDLE, Outcome
from keywordsai.delivery.source import Job
from keywordsai.errors import APIStatusError, ProtocolError, TransportError
from keywordsai.transport.base import AsyncTransport, HTTPRequest, SyncTransport
from keywordsai.transport.flow import Exchange, arun, exchange, run
from keywordsai.transport.forks import prepare_to_keep
from keywordsai.transport.retry import RetryPolicy

__all__ = ["Worker", "deliver_here", "importing", "is_green"]

_QUIET = 0.02  # seconds without a new log: the burst is over
_LONGEST_BURST = 0.5
_AFTER_ERROR = 1.0
_MOST_THREADS = 8
_ONCE = RetryPolicy(attempts=1)  # when to try again is the scheduler's to say

importing = threading.Lock()
"""Held while the HTTP library is imported: a child forked in the middle of it would
wait for ever for the import to end."""


def is_green() -> bool:
    """Whether threads are gevent's: an event loop of its own would stop them all."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


class _Driver(Protocol):
    def run(self) -> None: ...
    def wake(self) -> None: ...
    def stop(self) -> None: ...


class Worker:
    """The thread, and what it drives.

    Args:
        outbox: Whose logs it sends.
        transport: To send over; None for our own.
        is_needed: Asked when there is nothing to send; False ends the worker.
    """

    def __init__(
        self,
        outbox: Outbox,
        transport: SyncTransport | None,
        is_needed: Callable[[], bool],
    ) -> None:
        self._driver: _Driver
        if transport is None and not is_green():
            self._driver = _AsyncDriver(outbox, is_needed)
        else:
            self._driver = _ThreadDriver(outbox, is_needed, transport)
        self._outbox = outbox
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="keywordsai-delivery", daemon=True
        )

    def start(self) -> None:
        """Begin.

        Raises:
            RuntimeError: The interpreter is ending, and starts no more threads.
        """
        self._thread.start()

    def wake(self) -> None:
        """There is something to send, or somebody waits. From any thread."""
        self._driver.wake()

    def stop(self) -> None:
        """Abandon what is in flight, and end soon."""
        self._stopping.set()
        self._driver.stop()

    def is_alive(self) -> bool:
        """Whether it is at work."""
        return self._thread.is_alive()

    def is_current(self) -> bool:
        """Whether this is the worker's own thread."""
        return threading.current_thread() is self._thread or bool(
            getattr(_lane, "here", False)
        )

    def _run(self) -> None:
        while not self._runs_well() and not self._stopping.wait(_AFTER_ERROR):
            pass
        self._outbox.asleep = True  # the next log begins another

    def _runs_well(self) -> bool:
        try:
            self._driver.run()
        except Exception as error:  # noqa: BLE001  no log may be lost for our mistake
            kind = type(error).__name__
            logger("delivery").error("the delivery worker failed (%s), once more", kind)
            return False
        return True


def burst(outbox: Outbox, stopping: Callable[[], bool]) -> Iterator[float]:
    """Seconds to wait, again and again, until logs cease to come in."""
    end = time.monotonic() + _LONGEST_BURST
    seen = -1
    while not (outbox.flushers or stopping()) and time.monotonic() < end:
        last = outbox.last_put()
        if last == seen:
            return
        seen = last
        yield _QUIET


def outcome_of(error: Exception) -> Outcome:
    """What an exception of an attempt means to the scheduler."""
    if isinstance(error, APIStatusError | TransportError):
        return error
    # The text of an error that nobody expected may hold anything.
    kind = type(error).__name__
    logger("delivery").debug("sending raised %s", kind)
    return ProtocolError(f"sending raised {kind}")


def _steps(outbox: Outbox, request: HTTPRequest) -> Exchange:
    return exchange(request, _ONCE, secret=outbox.endpoints.settings.api_key.reveal())


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that a forked child does not close: its sockets are shared."""

    def __init__(self) -> None:
        super().__init__()
        self._pid = os.getpid()
        self.slow_callback_duration = 10.0  # writing to a disk may take its time

    def __del__(self, *_: Any) -> None:
        if self._pid == os.getpid():
            super().__del__()


@attrs.define(eq=False)
class _AsyncDriver:
    outbox: Outbox
    is_needed: Callable[[], bool]
    _loop: asyncio.AbstractEventLoop | None = None
    _awake: asyncio.Event = attrs.field(init=False)
    _lanes: set[asyncio.Task[None]] = attrs.field(factory=set)
    _begin: threading.Event = attrs.field(factory=threading.Event)
    _stopping: bool = False

    def run(self) -> None:
        for seconds in burst(self.outbox, lambda: self._stopping):
            self._begin.wait(seconds)
        if self._stopping:
            return
        with importing:
            prepare_to_keep()
            from keywordsai.transport.aiohttp import AiohttpTransport  # noqa: PLC0415  slow
        loop = _Loop()
        transport = AiohttpTransport(self.outbox.endpoints.settings.network)
        try:
            loop.run_until_complete(self._deliver(loop, transport))
        finally:
            self._loop = None
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def wake(self) -> None:
        self.outbox.asleep = False
        self._begin.set()
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it was closed meanwhile
                loop.call_soon_threadsafe(self._awake.set)

    def stop(self) -> None:
        self._stopping = True
        self.wake()

    async def _deliver(
        self, loop: asyncio.AbstractEventLoop, transport: AsyncTransport
    ) -> None:
        self._awake = asyncio.Event()
        self._loop = loop
        outbox, scheduler = self.outbox, self.outbox.scheduler
        try:
            while not self._stopping:
                outbox.look_after()
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
                    outbox.rest()
                    if not self.is_needed():
                        return
                if await self._wait(outbox.until_look()):
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
                steps = _steps(outbox, outbox.request(job))
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


_lane = threading.local()


@attrs.define(eq=False)
class _ThreadDriver:
    outbox: Outbox
    is_needed: Callable[[], bool]
    given: SyncTransport | None = None
    _lanes: set[threading.Thread] = attrs.field(factory=set)
    _awake: threading.Event = attrs.field(factory=threading.Event)
    _stopping: bool = False

    def run(self) -> None:
        for seconds in burst(self.outbox, lambda: self._stopping):
            self._wait(seconds)
        transport = self.given or _requests_transport(self.outbox)
        try:
            self._deliver(transport)
        finally:
            if self.given is None:
                transport.close()

    def wake(self) -> None:
        self.outbox.asleep = False
        self._awake.set()

    def stop(self) -> None:
        self._stopping = True
        self.wake()

    def _deliver(self, transport: SyncTransport) -> None:
        outbox, scheduler = self.outbox, self.outbox.scheduler
        while not self._stopping:
            outbox.look_after()
            outbox.asleep = True  # before the look: no log comes in unheard
            step = scheduler.next()
            if isinstance(step, Job):
                self._start(step, transport)
                continue
            if step is not IDLE:
                outbox.asleep = False
                self._wait(step)
                continue
            if not self._lanes:
                outbox.rest()
                if not self.is_needed():
                    return
            if self._wait(outbox.until_look()):
                for seconds in burst(outbox, lambda: self._stopping):
                    self._wait(seconds)

    def _wait(self, seconds: float | None) -> bool:
        awake = self._awake.wait(seconds)
        self._awake.clear()
        return awake

    def _start(self, job: Job, transport: SyncTransport) -> None:
        self.outbox.asleep = False
        lane = threading.Thread(
            target=self._lane,
            args=(job, transport),
            name="keywordsai-lane",
            daemon=True,
        )
        self._lanes.add(lane)
        try:
            lane.start()
        except RuntimeError:  # the interpreter is ending: here, then
            self._lane(job, transport, lane)

    def _lane(
        self, job: Job, transport: SyncTransport, lane: threading.Thread | None = None
    ) -> None:
        """Send a job, then the next, until there is none for this lane."""
        outbox, scheduler = self.outbox, self.outbox.scheduler
        _lane.here = True
        try:
            while True:
                scheduler.done(job, send_here(outbox, outbox.request(job), transport))
                following = scheduler.next()
                if self._stopping or not isinstance(following, Job):
                    if isinstance(following, Job):
                        scheduler.gave_up(following)
                    return
                job = following
                if len(self._lanes) < _MOST_THREADS and scheduler.may_start():
                    another = scheduler.next()
                    if isinstance(another, Job):
                        self._start(another, transport)
        finally:
            self._lanes.discard(lane or threading.current_thread())
            self._awake.set()


def send_here(
    outbox: Outbox, request: HTTPRequest, transport: SyncTransport
) -> Outcome:
    """Send one request in this thread."""
    try:
        return run(_steps(outbox, request), transport)
    except Exception as error:  # noqa: BLE001  no log may be lost for it
        return outcome_of(error)


def deliver_here(outbox: Outbox, given: SyncTransport | None, deadline: float) -> None:
    """Send what can be sent in this thread, one by one, until a deadline."""
    transport = given or _requests_transport(outbox)
    scheduler = outbox.scheduler
    try:
        outbox.look_after()
        while (remaining := deadline - time.monotonic()) > 0:
            step = scheduler.next()
            if isinstance(step, Job):
                request = outbox.request(step)
                limits = request.timeout.within(remaining)
                request = attrs.evolve(request, timeout=limits)
                scheduler.done(step, send_here(outbox, request, transport))
            elif not isinstance(step, float) or step > remaining:
                return
            else:
                time.sleep(step)
    finally:
        scheduler.tidy()
        if given is None:
            transport.close()


def _requests_transport(outbox: Outbox) -> SyncTransport:
    with importing:
        from keywordsai.transport.requests import RequestsTransport  # noqa: PLC0415  slow
    return RequestsTransport(outbox.endpoints.settings.network)
