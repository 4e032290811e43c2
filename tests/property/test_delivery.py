"""Delivery against every course of events: nothing lost, nothing doubled, sums hold.

A scripted world: a clock, a server that stores what it takes, a spool in a file.
Logs are put, sent, refused; the server fails, loses answers and recovers; the
process crashes and another takes its spool over. In the end the server is well,
and every log must be where the numbers say.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from keywordsai import ConnectError, HTTPResponse, ProtocolError, ReadTimeout
from keywordsai.delivery.counts import Ledger
from keywordsai.delivery.scheduler import IDLE, Limits, Scheduler
from keywordsai.delivery.source import Job, Source
from keywordsai.delivery.spool import Spool
from keywordsai.transport.status import status_error

# In memory where there is such a place: it is closed, and so synced, some thousand times.
MEMORY = Path("/dev/shm")
FOLDER = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
atexit.register(FOLDER.cleanup)
MAX_AGE = 3600.0
MOST, MOST_DEAD = 40, 4
REFUSED = b'"refuse"'
# Long after computers without a clock of their own think they are.
NOW = 1_800_000_000.0

FAILURES = {
    "refused": lambda: ConnectError("refused"),
    "timeout": lambda: ReadTimeout("late", request_sent=True),
    "stale": lambda: ProtocolError("gone", response_started=False),
    "503": lambda: error(503),
    "429": lambda: error(429, {"Retry-After": "7"}),
    "401": lambda: error(401),
    "404": lambda: error(404),
}


def error(status, headers=None):
    return status_error(HTTPResponse(status=status, headers=headers or {}), attempts=1)


class Server:
    """Stores each log once for each key; refuses those that say so."""

    def __init__(self):
        self.answers: dict[str, HTTPResponse] = {}
        self.bodies: dict[str, list[bytes]] = {}
        self.stored: list[bytes] = []
        self.has_bulk = True

    def take(self, job):
        bodies = [entry.body for entry in job.entries]
        known = self.bodies.setdefault(job.key, bodies)
        assert known == bodies, "the same key with other content"
        if job.key not in self.answers:
            self.answers[job.key] = self._store(job, bodies)
        return self.answers[job.key]

    def _store(self, job, bodies):
        if job.batch is None:
            if bodies[0] == REFUSED:
                return error(422)
            self.stored += bodies
            return HTTPResponse(status=201, body=b"{}")
        if not self.has_bulk:
            return error(405)
        wrong = [index for index, body in enumerate(bodies) if body == REFUSED]
        self.stored += [body for body in bodies if body != REFUSED]
        answer = {"errors": [{"index": index, "error": "no"} for index in wrong]}
        return HTTPResponse(status=201, body=json.dumps(answer).encode())


class Delivery(RuleBasedStateMachine):
    @initialize(
        bulk=st.booleans(), has_bulk=st.booleans(), concurrency=st.integers(1, 4)
    )
    def begin(self, bulk, has_bulk, concurrency):
        self.folder = Path(tempfile.mkdtemp(dir=FOLDER.name))
        self.processes = 0
        self.limits = Limits(
            concurrency=concurrency, bulk=bulk, max_age=MAX_AGE, max_dead=MOST_DEAD
        )
        self.server = Server()
        self.server.has_bulk = has_bulk
        self.now = NOW
        self.number = 0
        self.made: set[bytes] = set()
        self.refusable = 0
        self.dropped: list[bytes] = []
        self.total_dead = 0
        self.in_flight: list[Job] = []
        self.start()

    def start(self):
        """A process begins, adopts what another left, and has a spool of its own."""
        self.ledger = Ledger()
        self.giver, self.counts = self.ledger.join()
        self.scheduler = Scheduler(
            self.ledger,
            self.limits,
            clock=lambda: self.now,
            jitter=lambda: 0.5,
            on_drop=lambda entry, _reason: self.dropped.append(entry.body),
            on_broken=lambda _source: pytest.fail("nothing is broken here"),
            warn=lambda *_: None,
        )
        self.spools = []
        self.adopted = 0
        for path in sorted(self.folder.glob("*.db")):
            spool = Spool(str(path), adopted=True)
            pending, dead = spool.count()
            self.ledger.adopt(pending, dead)
            self.adopted += pending + dead
            self.scheduler.add(Source(spool, clock=lambda: self.now, alone=spool.last))
            self.spools.append(spool)
        self.processes += 1
        self.spool = Spool(str(self.folder / f"{self.processes}.db"))
        self.scheduler.add(Source(self.spool, clock=lambda: self.now))
        self.spools.append(self.spool)
        self.given = 0
        self.in_flight = []

    @rule(count=st.integers(1, 5), refused=st.booleans())
    def put(self, count, refused):
        for _ in range(count):
            self.number += 1
            body = REFUSED if refused else b'{"n":%d}' % self.number
            self.given += 1
            if not self.ledger.accept(
                self.giver, len(body), most=MOST, most_bytes=2**30
            ):
                continue
            self.refusable += refused
            if not refused:
                self.made.add(body)
            self.spool.put(body, self.now, self.giver)

    @rule()
    def send(self):
        job = self.scheduler.next()
        if isinstance(job, Job):
            self.in_flight.append(job)
            assert len(self.in_flight) <= self.limits.concurrency

    @precondition(lambda self: self.in_flight)
    @rule()
    def answered(self):
        job = self.in_flight.pop(0)
        self.scheduler.done(job, self.server.take(job))

    @precondition(lambda self: self.in_flight)
    @rule(how=st.sampled_from(sorted(FAILURES)))
    def failed(self, how):
        job = self.in_flight.pop()
        if how == "404" and job.key in self.server.bodies:
            how = "503"  # what has taken a batch has the endpoint
        if how == "timeout":
            self.server.take(job)  # it was stored, and the answer was lost
        self.scheduler.done(job, FAILURES[how]())

    @precondition(lambda self: self.in_flight)
    @rule()
    def cut_off(self):
        self.scheduler.gave_up(self.in_flight.pop())

    @rule(seconds=st.sampled_from([0.1, 1.0, 30.0, 61.0, 1000.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def tidy(self):
        self.scheduler.tidy()

    @rule(received=st.booleans())
    def crash(self, received):
        """The process is gone, and what it knew; another takes the spool over."""
        if received:
            for job in self.in_flight:
                self.server.take(job)
        for spool in self.spools:
            spool.close()
        self.start()

    @invariant()
    def sums_hold(self):
        stats = self.ledger.stats(self.counts)
        assert stats.accepted == self.given + self.adopted
        assert stats.accepted == (
            stats.delivered + stats.pending + stats.dead + sum(stats.dropped.values())
        )
        assert stats.pending >= 0
        assert 0 <= self.ledger.pending <= MOST
        assert self.ledger.pending_bytes >= 0

    @invariant()
    def nothing_is_stored_twice(self):
        kept = [body for body in self.server.stored if body != REFUSED]
        assert len(kept) == len(set(kept))

    @invariant()
    def the_spools_know_what_is_pending(self):
        stats = self.ledger.stats(self.counts)
        counts = [source.spool.count() for source in self.scheduler.sources]
        unwritten = sum(source.unwritten() for source in self.scheduler.sources)
        assert sum(pending for pending, _ in counts) - unwritten == stats.pending
        assert sum(dead for _, dead in counts) == stats.dead

    @invariant()
    def a_flush_knows_when_all_is_done(self):
        pending = self.ledger.stats(self.counts).pending
        assert self.scheduler.settled_up_to({}) == (pending == 0)

    def teardown(self):
        if not hasattr(self, "scheduler"):
            return
        for job in self.in_flight:
            self.scheduler.done(job, self.server.take(job))
        for _ in range(100_000):
            job = self.scheduler.next()
            if isinstance(job, Job):
                self.scheduler.done(job, self.server.take(job))
            elif job is IDLE:
                break
            else:
                self.now += job or 0.0
        self.scheduler.tidy()
        stats = self.ledger.stats(self.counts)
        assert stats.pending == 0
        assert self.ledger.pending == self.ledger.pending_bytes == 0
        assert all(self.scheduler.is_finished(one) for one in self.scheduler.sources)
        gone = {body for body in self.dropped if body != REFUSED}
        assert self.made == set(self.server.stored) | gone
        dead = sum(spool.count()[1] for spool in self.spools)
        given_up = sum(body == REFUSED for body in self.dropped)
        assert dead + given_up == self.refusable
        for spool in self.spools:
            spool.close()
        shutil.rmtree(self.folder)


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(
    max_examples=150, stateful_step_count=50, deadline=None
)
