"""A spool that is being delivered: what was read of it, and what came of that.

Between the scheduler, which thinks in requests, and the queue, which a full disk or
a broken file may keep from doing what it should: what could not be written is
remembered and written later, and a resend in between is under the same key.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

import attrs

from keywordsai._logging import logger
from keywordsai.delivery.spool import Entry, Spool

__all__ = ["Job", "Source"]

_BULK_LOGS = 500
_BULK_BYTES = 5_000_000
_WRITE_AFTER = 200
# A computer that starts without a clock of its own takes the year for 1970.
_CLOCK_WAS_SET = 1_500_000_000.0


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


@attrs.define(eq=False)
class Source:
    """A spool that is being delivered.

    Attributes:
        spool: The queue.
        clock: Unix time, as the logs of this queue were stamped with.
        alone: Up to this id logs go alone, unless they are in a batch: who had
            the spool before may have sent them so.
        after: Up to this id logs were taken to be sent.
        in_hand: Logs taken that did not end yet, with whose they are.
    """

    spool: Spool
    clock: Callable[[], float]
    alone: int = 0
    after: int = 0
    in_hand: dict[int, int] = attrs.field(factory=dict)
    _settled: list[int] = attrs.field(factory=list, init=False)
    _unwritten: list[tuple[Sequence[int], Sequence[tuple[int, int, str]]]] = (
        attrs.field(factory=list, init=False)
    )
    _batches: set[str] = attrs.field(factory=set, init=False)

    def take(self, most: int, *, bulk: bool) -> list[Job]:
        """The next requests to make.

        Raises:
            sqlite3.Error: The queue could not be read.
        """
        entries = self.spool.take(self.after, _BULK_LOGS if bulk else most)
        if not entries:
            return []
        jobs = self._jobs(entries, bulk=bulk)
        self.after = max(self.after, entries[-1].id)
        for job in jobs:
            self.in_hand.update((entry.id, entry.giver) for entry in job.entries)
        return jobs

    def fix_batch(self, entries: Sequence[Entry]) -> list[Job]:
        """A batch of these logs, or each alone if that cannot be written down."""
        try:
            # Of one log too: its key must not change should it be sent again.
            batch = self.spool.fix_batch([entry.id for entry in entries])
        except sqlite3.Error as error:
            _cannot_write(error)
            return [Job(self, [entry]) for entry in entries]
        return [Job(self, entries, batch)]

    def dissolve(self, entries: Sequence[Entry]) -> list[Job]:
        """Each of a batch's logs alone from now on.

        Raises:
            sqlite3.Error: It could not be written down, so they stay together.
        """
        self.spool.dissolve([entry.id for entry in entries])
        return [Job(self, [entry]) for entry in entries]

    def delivered(self, number: int) -> None:
        """A log that went alone was taken by the service.

        It is taken out of the queue with others, later: should this process die in
        between, it is sent again under the same key.
        """
        self.in_hand.pop(number, None)
        self._settled.append(number)
        if len(self._settled) >= _WRITE_AFTER:
            self.tidy()

    def settle(
        self, gone: Sequence[int], dead: Sequence[tuple[int, int, str]] = ()
    ) -> None:
        """Logs ended: those to take out, and those to set apart as dead."""
        for number in gone:
            self.in_hand.pop(number, None)
        for number, _status, _words in dead:
            self.in_hand.pop(number, None)
        self._unwritten.append((gone, dead))
        self.tidy()

    def tidy(self) -> None:
        """Write down what ended; cheap when there is nothing."""
        try:
            while self._unwritten:
                self.spool.settle(*self._unwritten[0])
                del self._unwritten[0]
            if self._settled:
                self.spool.remove(self._settled)
                self._settled = []
        except sqlite3.Error as error:
            _cannot_write(error)

    def unwritten(self) -> int:
        """How many logs ended that the queue still holds as pending."""
        return len(self._settled) + sum(
            len(gone) + len(dead) for gone, dead in self._unwritten
        )

    def age(self, entry: Entry) -> float:
        """Seconds since a log was given."""
        known = entry.created > _CLOCK_WAS_SET
        return self.clock() - entry.created if known else 0.0

    def settled_up_to(self, number: int) -> bool:
        """Whether every log up to this id has ended."""
        return all(taken > number for taken in self.in_hand) and not self.unread(number)

    def unread(self, number: int) -> bool:
        """Whether the queue holds pending logs, up to this id, not taken yet."""
        # Without a look into the database where that is plain.
        if self.after >= number:
            return False
        try:
            return self.spool.any_pending(self.after, number)
        except sqlite3.Error:
            return True

    def _jobs(self, entries: Sequence[Entry], *, bulk: bool) -> list[Job]:
        """Singles or batches; a batch that was fixed before stays as it was."""
        jobs: list[Job] = []
        fresh: list[Entry] = []
        size = 0
        for entry in entries:
            if entry.batch is not None:
                if entry.batch not in self._batches:
                    self._batches.add(entry.batch)
                    members = self.spool.members(entry.batch)
                    jobs.append(Job(self, members, entry.batch))
            elif not bulk or entry.alone or entry.id <= self.alone:
                jobs.append(Job(self, [entry]))
            else:
                size += len(entry.body) + 1
                if fresh and size > _BULK_BYTES:
                    jobs += self.fix_batch(fresh)
                    fresh, size = [], len(entry.body) + 1
                fresh.append(entry)
        return [*jobs, *self.fix_batch(fresh)] if fresh else jobs


def _cannot_write(error: sqlite3.Error) -> None:
    logger("delivery").debug("the spool could not be written, later again: %s", error)
