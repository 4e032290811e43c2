"""What to send next, and what each outcome means. Decides; sends nothing itself.

Drivers ask `Scheduler.next` for a job, send it, and report to `Scheduler.done`.
Whose fault a failure is decides who waits: a log that the service refuses is set
apart as dead; a log that fails alone is set back alone; when the server itself
fails, everyone waits, and one log at a time probes (`pacing`).
"""

from __future__ import annotations

import heapq
import itertools
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import attrs

from keywordsai._logging import logger
from keywordsai.delivery.counts import Ledger
from keywordsai.delivery.outcomes import (
    NO_BULK,
    Outcome,
    Verdict,
    refused_of,
    verdict,
)
from keywordsai.delivery.pacing import Pacing, back_off
from keywordsai.delivery.source import Job, Source
from keywordsai.delivery.spool import Entry

__all__ = ["IDLE", "Idle", "Limits", "Scheduler"]

_TAKEN_AT_ONCE = 200
_MOST_SET_BACK = 1000
_READ_AGAIN = 1.0  # seconds after a queue could not be read
_NEWS = {
    "refused": (
        "the service refused logs (status %d); they are kept as dead, with what it "
        "said: see stats().dead, and `keywordsai spool list`"
    ),
    "key": (
        "the service refused the API key (status %d): logs are kept, and one is tried "
        "each minute; set a valid key"
    ),
    "failed": (
        "delivery fails and is tried again, the logs are kept; the last failure: %s"
    ),
}
_FAILURES_TO_TELL = 5  # in a row: some ten seconds, no restart of a server


class Idle(Enum):
    """There is nothing to send, now or later."""

    IDLE = "idle"


IDLE = Idle.IDLE


@attrs.frozen(kw_only=True)
class Limits:
    """How the logs of one account are delivered.

    Attributes:
        concurrency: Most requests in flight.
        bulk: Whether many logs go in one request.
        max_age: Seconds after which a pending log is dropped.
        max_dead: Most refused logs that are kept.
        max_dead_bytes: Most bytes of them.
    """

    concurrency: int = 16
    bulk: bool = False
    max_age: float = 72 * 3600.0
    max_dead: int = 100_000
    max_dead_bytes: int = 2**30


class Scheduler:
    """The logs of one account, from their spools to their end.

    Args:
        ledger: Where every log's end is counted.
        limits: How they are delivered.
        clock: Seconds that never go back.
        jitter: Random numbers from 0 to 1.
        on_drop: Called with a log and the reason when it is given up; never while
            a lock is held.
        on_broken: Called with a source that cannot be read any more.
        warn: Called with a kind of trouble, a text and its values.
    """

    def __init__(
        self,
        ledger: Ledger,
        limits: Limits,
        *,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        on_drop: Callable[[Entry, str], None],
        on_broken: Callable[[Source], None],
        warn: Callable[..., None],
    ) -> None:
        self._ledger = ledger
        self._limits = limits
        self._clock, self._jitter = clock, jitter
        self._on_drop, self._on_broken, self._warn = on_drop, on_broken, warn
        self.lock = threading.RLock()
        self._pacing = Pacing(concurrency=limits.concurrency)
        self._ready: deque[Job] = deque()
        self._in_flight: set[Job] = set()
        self._set_back: list[tuple[float, int, Job]] = []
        self._tie = itertools.count()
        self._bulk = limits.bulk
        self._hurried = False  # whoever hurries us is told what came of it
        self._read_again = float("-inf")
        self._to_tell: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.sources: list[Source] = []

    def add(self, source: Source) -> None:
        """Deliver from this queue too."""
        with self.lock:
            self.sources.append(source)

    def queues(self) -> list[Source]:
        """The queues that are delivered from, at this moment."""
        with self.lock:
            return list(self.sources)

    def remove(self, source: Source) -> None:
        """There is nothing in it any more."""
        with self.lock:
            if source in self.sources:
                self.sources.remove(source)

    def is_finished(self, source: Source) -> bool:
        """Whether all that was in a queue has ended, and is written down."""
        with self.lock:
            source.tidy()
            return not source.unwritten() and source.settled_up_to(source.spool.last)

    def next(self) -> Job | float | Idle | None:
        """What to do now.

        Returns:
            A job to send; or seconds until there may be one; or None while
            requests in flight must end first; or IDLE.
        """
        with self.lock:
            step = self._next()
        self._tell()
        return step

    def done(self, job: Job, outcome: Outcome) -> None:
        """A job's request ended."""
        with self.lock:
            if job in self._in_flight:  # else it was given up
                self._in_flight.discard(job)
                self._judge(job, outcome, self._clock())
        self._tell()

    def gave_up(self, job: Job) -> None:
        """A job's request was abandoned, with no outcome: it waits again."""
        with self.lock:
            if job not in self._in_flight:
                return
            self._in_flight.discard(job)
            self._pacing.in_flight -= 1
            self._ready.appendleft(job)

    def may_start(self) -> bool:
        """Whether there is room for one more request in flight."""
        return self._pacing.in_flight < self._pacing.window

    def hurry(self) -> None:
        """The end is near: try now what only waits for our own patience."""
        with self.lock:
            self._pacing.hurry()
            self._hurried = True
            self._set_back = [(0.0, tie, job) for _due, tie, job in self._set_back]

    def held(self) -> float:
        """Seconds for which nothing can happen: none is in flight, and all wait."""
        with self.lock:
            if self._pacing.in_flight:
                return 0.0
            now = self._clock()
            wait = self._pacing.wait(now) or 0.0
            if self._set_back and not self._ready and not self._unread():
                wait = max(wait, self._set_back[0][0] - now)
            return wait

    def tidy(self) -> None:
        """Take what is settled out of the spools; cheap when there is nothing."""
        with self.lock:
            for source in self.sources:
                source.tidy()

    def settled_up_to(self, marks: Mapping[Source, int]) -> bool:
        """Whether every log up to these ids has ended, and all of other sources."""
        with self.lock:
            return all(
                source.settled_up_to(marks.get(source, source.spool.last))
                for source in self.sources
            )

    def drop_all(self, reason: str) -> int:
        """Give up all that is left of the queues in memory; returns how many."""
        with self.lock:
            waiting = (item[2] for item in self._set_back)
            left = [
                job
                for job in (*self._in_flight, *self._ready, *waiting)
                if job.source.spool.path is None
            ]
            for source in self.sources:
                if source.spool.path is None:
                    while jobs := source.take(_TAKEN_AT_ONCE, bulk=False):
                        left += jobs
            for job in left:
                self._drop(job, reason)
            self._pacing.in_flight -= len(self._in_flight)
            self._in_flight.clear()
            self._ready.clear()
            self._set_back.clear()
            count = sum(len(job.entries) for job in left)
        self._tell()
        return count

    def _next(self) -> Job | float | Idle | None:
        now = self._clock()
        wait = self._pacing.wait(now)
        if wait:
            return wait if self._has_work() else IDLE
        if wait is None:
            return None
        job = self._pick(now)
        if job is not None:
            self._pacing.started()
            self._in_flight.add(job)
            job.started = now
            return job
        if self._set_back:
            return max(0.001, self._set_back[0][0] - now)
        if self._read_again > now:
            return self._read_again - now
        return IDLE

    def _report(self, kind: str, what: object) -> None:
        self._to_tell.append((self._warn, (kind, _NEWS[kind], what)))

    def _tell(self) -> None:
        """Tell others what happened; without the lock, for it is their code."""
        while self._to_tell:
            try:
                tell, what = self._to_tell.popleft()
            except IndexError:  # another thread told it
                return
            tell(*what)

    def _has_work(self) -> bool:
        return bool(self._ready or self._set_back or self._refill())

    def _unread(self) -> bool:
        return any(source.unread(source.spool.last) for source in self.sources)

    def _pick(self, now: float) -> Job | None:
        while True:
            if self._set_back and self._set_back[0][0] <= now:
                job = heapq.heappop(self._set_back)[2]
            elif self._ready or self._refill():
                job = self._ready.popleft()
            else:
                return None
            if not self._expired(job):
                return job

    def _refill(self) -> bool:
        """Read on, in turns, so that no queue waits for the end of another."""
        for source in list(self.sources):
            try:
                jobs = source.take(_TAKEN_AT_ONCE, bulk=self._bulk)
            except sqlite3.OperationalError as error:
                self._read_again = self._clock() + _READ_AGAIN
                logger("delivery").debug("the spool could not be read: %s", error)
                continue
            except sqlite3.DatabaseError:
                self.sources.remove(source)
                self._to_tell.append((self._on_broken, (source,)))
                continue
            if jobs:
                self.sources.append(self.sources.pop(self.sources.index(source)))
                self._ready.extend(jobs)
                return True
        return False

    def _expired(self, job: Job) -> bool:
        # A batch goes as it was fixed, or not at all.
        first, *others = job.entries
        youngest = job.source.age(first)
        for entry in others:
            youngest = min(youngest, job.source.age(entry))
        if youngest <= self._limits.max_age:
            return False
        self._drop(job, "expired")
        return True

    def _drop(self, job: Job, reason: str) -> None:
        job.source.settle([entry.id for entry in job.entries])
        for entry in job.entries:
            self._ledger.settle(entry.giver, len(entry.body), dropped=reason)
            self._to_tell.append((self._on_drop, (entry, reason)))

    def _judge(self, job: Job, outcome: Outcome, now: float) -> None:
        status = getattr(outcome, "status", 0)
        batch = job.batch is not None
        # While the server fails no connection is left that could have gone stale.
        sick = self._pacing.failures > 0
        judged = verdict(outcome, batch=batch, was_stale=job.was_stale or sick)
        if judged is Verdict.FAILED:
            self._failed(job, now, getattr(outcome, "retry_after", None))
            if self._pacing.failures >= _FAILURES_TO_TELL and not self._hurried:
                self._report("failed", outcome)
        elif judged is Verdict.STALE:
            job.was_stale = True
            self._pacing.in_flight -= 1
            self._ready.appendleft(job)
        elif judged is Verdict.KEY_REFUSED:
            self._ready.appendleft(job)
            if self._pacing.key_refused(now):
                self._report("key", status)
        else:  # it was answered for its logs, so the server is well
            self._pacing.succeeded(now)
            self._hurried = False
            if judged is Verdict.BATCH_REFUSED:
                self._fall_apart(job, status, now)
            elif judged is Verdict.LOG_REFUSED:
                self._bury(job, {job.entries[0].id: str(outcome)}, status)
            elif batch:
                refused = refused_of(outcome)  # type: ignore[arg-type]  # as judged
                ids = [entry.id for entry in job.entries]
                dead = {ids[n]: refused[n] for n in refused if 0 <= n < len(ids)}
                self._bury(job, dead, status)
            else:
                entry = job.entries[0]
                job.source.delivered(entry.id)
                self._ledger.settle(entry.giver, len(entry.body))

    def _bury(self, job: Job, dead: Mapping[int, str], status: int) -> None:
        """Set the refused logs of a job apart; the others were taken."""
        gone: list[int] = []
        kept: list[tuple[int, int, str]] = []
        for entry in job.entries:
            size = len(entry.body)
            if entry.id not in dead:
                gone.append(entry.id)
                self._ledger.settle(entry.giver, size)
            elif self._ledger.room_for_dead(
                size,
                most=self._limits.max_dead,
                most_bytes=self._limits.max_dead_bytes,
            ):
                kept.append((entry.id, status, dead[entry.id]))
                self._ledger.settle(entry.giver, size, dead=True)
            else:
                gone.append(entry.id)
                self._ledger.settle(entry.giver, size, dropped="refused")
                self._to_tell.append((self._on_drop, (entry, "refused")))
        job.source.settle(gone, kept)
        if dead:
            self._report("refused", status)

    def _fall_apart(self, job: Job, status: int, now: float) -> None:
        """A batch was refused whole: no bulk here, too large, or one bad log in it."""
        if status in NO_BULK:
            self._bulk = False
        entries = list(job.entries)
        middle = len(entries) // 2
        try:
            if status == 413 and middle:
                halves = (entries[:middle], entries[middle:])
                jobs = [one for half in halves for one in job.source.fix_batch(half)]
            else:
                jobs = job.source.dissolve(entries)
        except sqlite3.Error:
            job.failures += 1
            self._set_back_alone(job, now)
        else:
            self._ready.extendleft(reversed(jobs))

    def _failed(self, job: Job, now: float, retry_after: float | None) -> None:
        since = job.started if job.trouble is None else job.trouble
        held = self._pacing.failed(
            now, since=since, jitter=self._jitter(), retry_after=retry_after
        )
        job.trouble = now
        if held or len(self._set_back) >= _MOST_SET_BACK:
            # Behind others, so that the next probe is another log.
            if not self._ready:
                self._refill()
            self._ready.append(job)
            return
        job.failures += 1
        self._set_back_alone(job, now)

    def _set_back_alone(self, job: Job, now: float) -> None:
        again = now + back_off(job.failures, self._jitter())
        heapq.heappush(self._set_back, (again, next(self._tie), job))
