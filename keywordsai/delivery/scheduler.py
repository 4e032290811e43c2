"""What to send next, and what each outcome means. Decides; sends nothing itself.

Drivers ask `Scheduler.next` for a job, send it, and report to `Scheduler.done`.
Whose fault a failure is decides who waits: a log that the service refuses is set
apart as dead; a log that fails alone is set back alone; when the server itself
fails, everyone waits, and one log at a time probes (`pacing`).
"""

from __future__ import annotations

import heapq
import itertools
import json
import threading
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum

import attrs

from keywordsai._logging import logger
from keywordsai.delivery.counts import Counts
from keywordsai.delivery.pacing import Pacing, back_off
from keywordsai.delivery.spool import Entry, Spool
from keywordsai.errors import APIStatusError, ProtocolError, TransportError
from keywordsai.transport.base import HTTPResponse

__all__ = ["IDLE", "Idle", "Job", "Limits", "Outcome", "Scheduler", "Source"]

Outcome = HTTPResponse | APIStatusError | TransportError

_TAKEN_AT_ONCE = 200
_BULK_LOGS = 500
_BULK_BYTES = 5_000_000
_REFUSED_LOG = frozenset({400, 413, 422})
_REFUSED_KEY = frozenset({401, 403})
_NO_BULK = frozenset({404, 405})


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
    """

    concurrency: int = 16
    bulk: bool = False
    max_age: float = 72 * 3600.0


@attrs.define(eq=False)
class Source:
    """A spool that is being delivered.

    Attributes:
        spool: The queue.
        alone: Up to this id logs go alone, unless they are in a batch: who had
            the spool before may have sent them so.
        after: Up to this id logs were taken to be sent.
        settled: Logs that were delivered and not yet taken out.
        batches: The batches among them.
    """

    spool: Spool
    alone: int = 0
    after: int = 0
    settled: list[int] = attrs.field(factory=list)
    batches: set[str] = attrs.field(factory=set)


@attrs.define(eq=False)
class Job:
    """One request to make: a log, or a batch of them."""

    source: Source
    entries: Sequence[Entry]
    batch: str | None = None
    failures: int = 0
    trouble: float | None = None
    started: float = 0.0
    was_stale: bool = False

    @property
    def key(self) -> str:
        """The idempotency key, the same however often it is sent."""
        return self.batch or self.entries[0].key


class Scheduler:
    """The logs of one account, from their spools to their end.

    Args:
        counts: Where every log's end is counted.
        limits: How they are delivered.
        clock: Seconds that never go back.
        wall: Unix time, for the age of logs.
        jitter: Random numbers from 0 to 1.
        on_drop: Called with a log's body and the reason when it is given up.
    """

    def __init__(
        self,
        counts: Counts,
        limits: Limits,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        jitter: Callable[[], float],
        on_drop: Callable[[bytes, str], None],
    ) -> None:
        self._counts = counts
        self._limits = limits
        self._clock, self._wall, self._jitter = clock, wall, jitter
        self._on_drop = on_drop
        self._lock = threading.RLock()
        self._pacing = Pacing(concurrency=limits.concurrency)
        self._ready: deque[Job] = deque()
        self._set_back: list[tuple[float, int, Job]] = []
        self._tie = itertools.count()
        self._bulk = limits.bulk
        self.sources: list[Source] = []

    def next(self) -> Job | float | Idle | None:
        """What to do now.

        Returns:
            A job to send; or seconds until there may be one; or None while
            requests in flight must end first; or IDLE.
        """
        with self._lock:
            now = self._clock()
            wait = self._pacing.wait(now)
            if wait:
                return wait if self._has_work() else IDLE
            if wait is None:
                return None
            job = self._pick(now)
            if job is not None:
                self._pacing.started()
                job.started = now
                return job
            if self._set_back:
                return max(0.001, self._set_back[0][0] - now)
            return IDLE

    def done(self, job: Job, outcome: Outcome) -> None:
        """A job's request ended."""
        with self._lock:
            now = self._clock()
            if isinstance(outcome, HTTPResponse):
                self._pacing.succeeded(now)
                self._delivered(job, outcome)
            elif isinstance(outcome, APIStatusError):
                self._answered(job, outcome, now)
            elif (
                isinstance(outcome, ProtocolError)
                and not outcome.response_started
                and not job.was_stale
            ):
                # Most often a connection that went stale while there was nothing
                # to send: at once again, once.
                job.was_stale = True
                self._pacing.in_flight -= 1
                self._ready.appendleft(job)
            else:
                self._failed(job, now, None)

    def gave_up(self, job: Job) -> None:
        """A job's request was abandoned, with no outcome: it waits again."""
        with self._lock:
            self._pacing.in_flight -= 1
            self._ready.appendleft(job)

    def tidy(self) -> None:
        """Take what is settled out of the spools; cheap when there is nothing."""
        with self._lock:
            for source in self.sources:
                if source.settled:
                    source.spool.remove(source.settled)
                    source.settled = []

    def _has_work(self) -> bool:
        return bool(self._ready or self._set_back or self._refill())

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
        for source in self.sources:
            most = _BULK_LOGS if self._bulk else _TAKEN_AT_ONCE
            entries = source.spool.take(source.after, most)
            if entries:
                source.after = entries[-1].id
                self._ready.extend(self._jobs(source, entries))
                return True
        return False

    def _jobs(self, source: Source, entries: list[Entry]) -> list[Job]:
        """Singles or batches; a batch that was fixed before stays as it was."""
        jobs: list[Job] = []
        fresh: list[Entry] = []
        size = 0
        for entry in entries:
            if entry.batch:
                if entry.batch not in source.batches:
                    source.batches.add(entry.batch)
                    members = source.spool.members(entry.batch)
                    jobs.append(Job(source, members, entry.batch))
            elif not self._bulk or entry.batch == "" or entry.id <= source.alone:
                jobs.append(Job(source, [entry]))
            else:
                size += len(entry.body)
                if fresh and size > _BULK_BYTES:
                    jobs.append(self._batch(source, fresh))
                    fresh, size = [], len(entry.body)
                fresh.append(entry)
        if fresh:
            jobs.append(self._batch(source, fresh))
        return jobs

    def _batch(self, source: Source, entries: Sequence[Entry]) -> Job:
        # Of one log too: its key must not change should it be sent again.
        batch = source.spool.fix_batch([entry.id for entry in entries])
        source.batches.add(batch)
        return Job(source, entries, batch)

    def _expired(self, job: Job) -> bool:
        oldest = self._wall() - self._limits.max_age
        if job.entries[0].created >= oldest:
            return False
        if job.batch is not None and job.entries[-1].created >= oldest:
            return False  # a batch goes as it was fixed, or not at all
        job.source.spool.remove([entry.id for entry in job.entries])
        for entry in job.entries:
            self._counts.settle(len(entry.body), dropped="expired")
            self._on_drop(entry.body, "expired")
        return True

    def _delivered(self, job: Job, response: HTTPResponse) -> None:
        if job.batch is None:
            # Taken out with others, later: to be sent twice under one key is right.
            job.source.settled.append(job.entries[0].id)
            self._counts.settle(len(job.entries[0].body))
            return
        refused = _refused_of(response)
        dead = {
            entry.id: refused[index]
            for index, entry in enumerate(job.entries)
            if index in refused
        }
        taken = [entry.id for entry in job.entries if entry.id not in dead]
        job.source.spool.settle(
            taken, [(number, response.status, dead[number]) for number in dead]
        )
        for entry in job.entries:
            self._counts.settle(len(entry.body), dead=entry.id in dead)
        if dead:
            _warn_of_refused(response.status)

    def _bury(self, source: Source, entry: Entry, status: int, words: str) -> None:
        source.spool.settle([], [(entry.id, status, words)])
        self._counts.settle(len(entry.body), dead=True)
        _warn_of_refused(status)

    def _answered(self, job: Job, error: APIStatusError, now: float) -> None:
        if error.status in _REFUSED_KEY:
            self._ready.appendleft(job)
            if self._pacing.key_refused(now):
                logger("delivery").warning(
                    "the service refused the API key (%d): logs are kept and tried "
                    "once a minute",
                    error.status,
                )
        elif job.batch is not None and error.status in _REFUSED_LOG | _NO_BULK:
            self._pacing.succeeded(now)
            self._fall_apart(job, error.status)
        elif error.status in _REFUSED_LOG:
            self._pacing.succeeded(now)
            self._bury(job.source, job.entries[0], error.status, str(error))
        else:
            self._failed(job, now, error.retry_after)

    def _fall_apart(self, job: Job, status: int) -> None:
        """A batch was refused whole: no bulk here, too large, or one bad log in it."""
        if status in _NO_BULK:
            self._bulk = False
        entries = list(job.entries)
        middle = len(entries) // 2
        if status == 413 and middle:
            halves = (entries[:middle], entries[middle:])
            jobs = [self._batch(job.source, half) for half in halves]
        else:
            job.source.spool.dissolve([entry.id for entry in entries])
            jobs = [Job(job.source, [entry]) for entry in entries]
        self._ready.extendleft(reversed(jobs))

    def _failed(self, job: Job, now: float, retry_after: float | None) -> None:
        since = job.started if job.trouble is None else job.trouble
        chance = self._jitter()
        held = self._pacing.failed(
            now, since=since, jitter=chance, retry_after=retry_after
        )
        job.trouble = now
        if held:
            # Behind others, so that the next probe is another log.
            if not self._ready:
                self._refill()
            self._ready.append(job)
            return
        job.failures += 1
        again = now + back_off(job.failures, chance)
        heapq.heappush(self._set_back, (again, next(self._tie), job))


def _warn_of_refused(status: int) -> None:
    logger("delivery").warning("the service refused logs (%d); they are kept", status)


def _refused_of(response: HTTPResponse) -> dict[int, str]:
    """Which logs of a batch were refused: only ``errors[].index`` counts."""
    try:
        answer = json.loads(response.body)
        errors = answer.get("errors") or []
        return {
            item["index"]: str(item.get("error", ""))
            for item in errors
            if isinstance(item.get("index"), int)
        }
    except (ValueError, AttributeError, TypeError, KeyError):
        return {}
