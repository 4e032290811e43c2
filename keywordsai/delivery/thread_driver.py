"""Delivers over a synchronous transport, with a thread for each request in flight.

For what cannot have an event loop of its own: gevent, whose threads would all stop
with it; a transport that was handed in; the program's exit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import attrs

from keywordsai.delivery.driving import burst, once, outcome_of
from keywordsai.delivery.outbox import Outbox
from keywordsai.delivery.outcomes import Outcome
from keywordsai.delivery.scheduler import IDLE
from keywordsai.delivery.source import Job
from keywordsai.transport.base import HTTPRequest, SyncTransport
from keywordsai.transport.flow import run
from keywordsai.transport.forks import importing

__all__ = ["ThreadDriver", "deliver_here"]

_MOST_THREADS = 8


@attrs.define(eq=False)
class ThreadDriver:
    """Sends with a thread for each request in flight, eight at the most.

    Args:
        outbox: Whose logs it sends.
        is_needed: Asked when there is nothing to send; False ends it.
        given: The transport; None for our own over requests.
    """

    outbox: Outbox
    is_needed: Callable[[], bool]
    given: SyncTransport | None = None
    _lanes: set[threading.Thread] = attrs.field(factory=set)
    _awake: threading.Event = attrs.field(factory=threading.Event)
    _stopping: bool = False

    def run(self) -> None:
        """Deliver until told to stop, or nobody needs it; in the worker's thread."""
        for seconds in burst(self.outbox, lambda: self._stopping):
            self._wait(seconds)
        transport = self.given or _requests_transport(self.outbox)
        try:
            self._deliver(transport)
        finally:
            if self.given is None:
                transport.close()

    def wake(self) -> None:
        """There is something to send, or somebody waits. From any thread."""
        self.outbox.asleep = False
        self._awake.set()

    def stop(self) -> None:
        """Abandon what is in flight, and end soon. From any thread."""
        self._stopping = True
        self.wake()

    def is_current(self) -> bool:
        """Whether this thread is one of those that send."""
        return threading.current_thread() in self._lanes

    def _deliver(self, transport: SyncTransport) -> None:
        outbox, scheduler = self.outbox, self.outbox.scheduler
        while not self._stopping:
            outbox.spools.look_after()
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
                outbox.spools.rest()
                if not self.is_needed():
                    return
            if self._wait(outbox.spools.until_look()):
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
        try:
            while True:
                scheduler.done(job, _send(outbox, outbox.request(job), transport))
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


def _send(outbox: Outbox, request: HTTPRequest, transport: SyncTransport) -> Outcome:
    """Send one request in this thread."""
    try:
        return run(once(outbox, request), transport)
    except Exception as error:  # noqa: BLE001  no log may be lost for it
        return outcome_of(error)


def deliver_here(outbox: Outbox, given: SyncTransport | None, deadline: float) -> None:
    """Send what can be sent in this thread, one by one, until a deadline."""
    transport = given or _requests_transport(outbox)
    scheduler = outbox.scheduler
    try:
        outbox.spools.look_after()
        while (remaining := deadline - time.monotonic()) > 0:
            step = scheduler.next()
            if isinstance(step, Job):
                request = outbox.request(step)
                limits = request.timeout.within(remaining)
                request = attrs.evolve(request, timeout=limits)
                scheduler.done(step, _send(outbox, request, transport))
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
