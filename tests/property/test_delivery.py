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
from keywordsai.delivery.counts import Counts
from keywordsai.delivery.scheduler import IDLE, Job, Limits, Scheduler, Source
from keywordsai.delivery.spool import Spool
from keywordsai.transport.status import status_error

FOLDER = tempfile.TemporaryDirectory()
atexit.register(FOLDER.cleanup)
MAX_AGE = 3600.0
REFUSED = b'"refuse"'

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
        self.path = str(Path(tempfile.mkdtemp(dir=FOLDER.name)) / "spool.db")
        self.limits = Limits(concurrency=concurrency, bulk=bulk, max_age=MAX_AGE)
        self.server = Server()
        self.server.has_bulk = has_bulk
        self.now = 1000.0
        self.number = 0
        self.made: set[bytes] = set()
        self.refusable = 0
        self.dropped: list[bytes] = []
        self.total_dead = 0
        self.in_flight: list[Job] = []
        self.start()

    def start(self):
        """A process begins, with whatever another left in the spool."""
        self.spool = Spool(self.path)
        self.counts = Counts()
        pending, dead = self.spool.count()
        self.counts.accept(pending, self.spool.size())
        self.counts.adopt_dead(dead)
        self.scheduler = Scheduler(
            self.counts,
            self.limits,
            clock=lambda: self.now,
            wall=lambda: self.now,
            jitter=lambda: 0.5,
            on_drop=lambda body, _reason: self.dropped.append(body),
        )
        self.scheduler.sources.append(Source(self.spool, alone=self.spool.last_id()))
        self.in_flight = []

    @rule(count=st.integers(1, 5), refused=st.booleans())
    def put(self, count, refused):
        for _ in range(count):
            self.number += 1
            body = REFUSED if refused else b'{"n":%d}' % self.number
            self.refusable += refused
            if not refused:
                self.made.add(body)
            self.counts.accept(1, len(body))
            self.spool.put(body, self.now)

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
        self.spool.close()
        self.start()

    @invariant()
    def sums_hold(self):
        stats = self.counts.stats()
        assert stats.accepted == (
            stats.delivered + stats.pending + stats.dead + sum(stats.dropped.values())
        )
        assert stats.pending >= 0
        assert self.counts.pending_bytes >= 0

    @invariant()
    def nothing_is_stored_twice(self):
        kept = [body for body in self.server.stored if body != REFUSED]
        assert len(kept) == len(set(kept))

    @invariant()
    def the_spool_knows_what_is_pending(self):
        pending, dead = self.spool.count()
        stats = self.counts.stats()
        unremoved = sum(len(one.settled) for one in self.scheduler.sources)
        assert pending - unremoved == stats.pending
        assert dead == stats.dead

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
        assert self.counts.stats().pending == 0
        assert self.spool.count()[0] == 0
        expired = {body for body in self.dropped if body != REFUSED}
        assert self.made == set(self.server.stored) | expired
        assert self.spool.count()[1] + sum(
            body == REFUSED for body in self.dropped
        ) == (self.refusable)
        self.spool.close()
        shutil.rmtree(Path(self.path).parent)


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(
    max_examples=150, stateful_step_count=50, deadline=None
)
