"""One timer for the deadlines of all requests of a loop, in place of one for each.

A timer for each request's total costs a twelfth of the throughput of aiohttp, and
nearly none of them ever rings. So the requests in flight are listed with their
deadlines, and one timer looks at the list when the first of these has come.
"""

from __future__ import annotations

import asyncio
import sys
from types import TracebackType
from typing import Any

__all__ = ["Flight", "Watchdog"]

_TICK = 0.001  # a timer may ring so much early
_TASKS_COUNT = sys.version_info >= (3, 11)  # how often they were cancelled


class Flight:
    """A request in flight, in the task that made it: cancelled at its deadline.

    A context manager around the request. Where the task was cancelled for being
    overdue, TimeoutError is raised in place of CancelledError; a cancellation by
    others passes untouched, as does one from before, whose clean-up this may be.

    Args:
        dog: What watches it.
        seconds: From now until its deadline.
    """

    __slots__ = ("_before", "_dog", "_task", "deadline", "overdue")

    def __init__(self, dog: Watchdog, seconds: float) -> None:
        self._dog = dog
        self.deadline = dog.loop.time() + seconds
        self.overdue = False

    def cancel(self) -> None:
        """End the request: its time is over."""
        self.overdue = True
        self._task.cancel()

    def __enter__(self) -> None:
        task: Any = asyncio.current_task()
        assert task is not None  # noqa: S101  a request is made in a task
        self._task = task
        self._before = task.cancelling() if _TASKS_COUNT else 0
        self._dog.watch(self)

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._dog.flights.discard(self)
        if self.overdue:
            left = self._task.uncancel() if _TASKS_COUNT else 0
            if left <= self._before and isinstance(error, asyncio.CancelledError):
                late = TimeoutError("timed out").with_traceback(error.__traceback__)
                raise late from error


class Watchdog:
    """The requests in flight of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.flights: set[Flight] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, flight: Flight) -> None:
        """List a flight; the timer is set anew only if it must ring earlier."""
        self.flights.add(flight)
        if self._timer is None or flight.deadline < self._timer.when():
            self._ring_at(flight.deadline)

    def _ring_at(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(moment, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self.loop.time() + _TICK
        late = [flight for flight in self.flights if flight.deadline <= now]
        for flight in late:
            flight.cancel()
        waiting = self.flights.difference(late)
        if waiting:
            self._ring_at(min(flight.deadline for flight in waiting))
