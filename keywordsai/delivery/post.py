"""An outbox with its worker: woken, flushed, ended.

Whoever waits is given seconds to wait, again and again, and waits in a colour of
their own; here nothing blocks but `deliver_here`, when there is no worker any more.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress

import attrs

from keywordsai.delivery.outbox import Outbox
from keywordsai.delivery.thread_driver import deliver_here
from keywordsai.delivery.worker import Worker
from keywordsai.transport.base import SyncTransport

__all__ = ["Post"]

_FIRST_LOOK, _LAST_LOOK = 0.001, 0.02  # seconds between looks whether all is sent
_STOPPING = 0.25  # seconds for the worker to let go of what is in flight


@attrs.define(eq=False)
class Post:
    """An outbox with its worker, and the clients that use it.

    Attributes:
        outbox: What they put in.
        transport: To send over; None for our own.
        is_needed: Asked by the worker when it has nothing to do; False ends it.
        worker: The thread; None until there is something to send.
        clients: How many use it.
        exit_timeout: The longest of theirs.
        left: Givers whose clients are gone, and were not counted out yet.
    """

    outbox: Outbox
    transport: SyncTransport | None
    is_needed: Callable[[Post], bool]
    worker: Worker | None = None
    clients: int = 0
    exit_timeout: float = 0.0
    left: deque[int] = attrs.field(factory=deque)
    lock: threading.RLock = attrs.field(factory=threading.RLock)

    def wake(self) -> None:
        """Have the worker look, and start it if there is none."""
        worker = self.worker
        if worker is not None and worker.is_alive():
            worker.wake()
            return
        with self.lock:
            if self.worker is not None and self.worker.is_alive():
                return
            worker = Worker(self.outbox, self.transport, lambda: self.is_needed(self))
            self.outbox.asleep = False
            with suppress(RuntimeError):  # the interpreter is ending
                worker.start()
                self.worker = worker

    def is_at_work(self) -> bool:
        """Whether there is a worker."""
        return self.worker is not None and self.worker.is_alive()

    def flush(self, deadline: float) -> Generator[float, None, None]:
        """Seconds to wait, again and again, until all is sent or the time is over."""
        if self.worker is not None and self.worker.is_current():
            return  # it would wait for itself
        outbox = self.outbox
        outbox.flushers += 1
        try:
            marks = outbox.marks()
            pause = _FIRST_LOOK
            while not (outbox.spools.looked and outbox.scheduler.settled_up_to(marks)):
                if pause == _FIRST_LOOK:
                    self.wake()  # not before there is something to wait for
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return
                if outbox.spools.looked and outbox.scheduler.held() > remaining:
                    return  # nothing can happen in time
                if not self.is_at_work():
                    deliver_here(outbox, self.transport, deadline)
                    return
                yield min(pause, remaining)
                pause = min(pause * 1.5, _LAST_LOOK)
        finally:
            outbox.flushers -= 1

    def ending(self, deadline: float) -> Generator[float, None, None]:
        """As `flush`; then the worker ends, and what is left is left in order."""
        if self.worker is not None or self.outbox.last_put():
            self.outbox.scheduler.hurry()
            yield from self.flush(deadline)
        worker, self.worker = self.worker, None
        if worker is not None and not worker.is_current():
            worker.stop()
            end = time.monotonic() + _STOPPING
            while worker.is_alive() and time.monotonic() < end:
                yield _FIRST_LOOK
        self.outbox.spools.end()
