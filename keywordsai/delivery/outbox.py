"""All that one account delivers in this process: clients put in, a worker takes out.

Clients with the same folder, base URL and key share an outbox, and with it one
queue and one worker. Nothing here raises for the network's or the disk's sake: what
cannot be kept in the folder is kept in memory, and what cannot be kept is counted.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

import attrs

from keywordsai.delivery.counts import Counts, Ledger
from keywordsai.delivery.notices import Notices
from keywordsai.delivery.options import DeliveryOptions
from keywordsai.delivery.scheduler import Limits, Scheduler
from keywordsai.delivery.source import Job, Source
from keywordsai.delivery.spool import Entry
from keywordsai.delivery.spools import Spools
from keywordsai.logs.endpoints import Endpoints
from keywordsai.logs.serialization import decode_json
from keywordsai.transport.base import HTTPRequest
from keywordsai.transport.flow import random_fraction

__all__ = ["Giver", "Outbox"]


@attrs.frozen(kw_only=True)
class Giver:
    """A client that puts logs in.

    Attributes:
        number: Its logs carry it.
        counts: What became of them.
        on_drop: Called with a log that is given up.
    """

    number: int
    counts: Counts
    on_drop: Callable[[dict[str, Any], str], object] | None


class Outbox:
    """The logs of one account.

    Args:
        endpoints: How a log is sent; from the first client that came.
        options: Of that client: concurrency, bulk and ages are everybody's.

    Attributes:
        endpoints: The same.
        options: The same.
        spools: The queues.
        scheduler: What to send next.
        ledger: What became of every log.
        flushers: How many wait for all to be sent, so that it is not put off.
        wake: Called when a log comes in while the worker is asleep.
        asleep: Whether it is.
    """

    def __init__(self, endpoints: Endpoints, options: DeliveryOptions) -> None:
        self.endpoints = endpoints
        self.options = options
        self.ledger = Ledger()
        self.flushers = 0
        self.wake: Callable[[], None] = _nobody
        self.asleep = True
        self._notices = Notices()
        self._lock = threading.RLock()
        self._givers: dict[int, Giver] = {}
        self.scheduler = Scheduler(
            self.ledger,
            Limits(
                concurrency=options.concurrency,
                bulk=options.bulk,
                max_age=options.max_age,
                max_dead=options.max_pending,
                max_dead_bytes=options.max_pending_bytes,
            ),
            clock=time.monotonic,
            jitter=random_fraction,
            on_drop=self._dropped,
            on_broken=self._lost,
            warn=self._notices.warn,
        )
        self.spools = Spools(
            options.spool,
            endpoints.settings,
            self.scheduler,
            self.ledger,
            self._notices,
        )

    def join(self, options: DeliveryOptions) -> Giver:
        """A client that will put logs in."""
        number, counts = self.ledger.join()
        with self._lock:
            alive = set(self.ledger.givers())
            for gone in [one for one in self._givers if one not in alive]:
                del self._givers[gone]
            giver = Giver(number=number, counts=counts, on_drop=options.on_drop)
            self._givers[number] = giver
        for name in ("concurrency", "bulk", "max_age"):
            first, here = getattr(self.options, name), getattr(options, name)
            if first != here:
                self._notices.warn(
                    f"option {name}",
                    "clients of one account and spool share a worker: %s is %s, as "
                    "the first of them said, not %s",
                    *(name, first, here),
                )
        return giver

    def put(
        self, giver: Giver, body: bytes, key: str | None, options: DeliveryOptions
    ) -> str:
        """Take a log in; it is kept when this returns.

        Returns:
            Why it was dropped; empty if it was not.
        """
        if not self.ledger.accept(
            giver.number,
            len(body),
            most=options.max_pending,
            most_bytes=options.max_pending_bytes,
        ):
            return self._refuse(giver, body)
        spools = self.spools
        source = spools.own or spools.begin()
        created = spools.clock()
        try:
            source.spool.put(body, created, giver.number, key)
        except (sqlite3.Error, OSError) as error:
            try:
                source = spools.to_memory(source, error)
                source.spool.put(body, created, giver.number, key)
            except (sqlite3.Error, OSError):  # not even memory
                self.ledger.settle(giver.number, len(body), dropped="full")
                return self._refuse(giver, body)
        if self.asleep:
            self.wake()
        return ""

    def request(self, job: Job) -> HTTPRequest:
        """What a job sends."""
        if job.batch is None:
            return self.endpoints.post_log(job.entries[0].body, job.key)
        return self.endpoints.post_logs([entry.body for entry in job.entries], job.key)

    def last_put(self) -> int:
        """Changes with every log that comes in."""
        own = self.spools.own
        return 0 if own is None else own.spool.last

    def marks(self) -> dict[Source, int]:
        """How far a flush that begins now has to come."""
        own = self.spools.own
        return {} if own is None else {own: own.spool.last}

    def _lost(self, broken: Source) -> None:
        self.spools.lost(broken)

    def _refuse(self, giver: Giver, body: bytes) -> str:
        self._notices.warn(
            "full",
            "the queue is full: new logs are dropped, and counted in "
            "stats().dropped['full']; see max_pending and max_pending_bytes",
        )
        self._call(giver.on_drop, body, "full")
        return "the queue is full (max_pending, max_pending_bytes)"

    def _dropped(self, entry: Entry, reason: str) -> None:
        giver = self._givers.get(entry.giver)
        if giver is not None:
            self._call(giver.on_drop, entry.body, reason)
            return
        # An adopted one: the client that came last and asked is told.
        for giver in reversed(list(self._givers.values())):
            if giver.on_drop is not None:
                self._call(giver.on_drop, entry.body, reason)
                return

    def _call(
        self,
        on_drop: Callable[[dict[str, Any], str], object] | None,
        body: bytes,
        reason: str,
    ) -> None:
        if on_drop is not None:
            try:
                on_drop(decode_json(body), reason)
            except Exception as error:  # noqa: BLE001  the program's own code
                # What it says may quote the log.
                self._notices.warn("on_drop", "on_drop raised %s", type(error).__name__)


def _nobody() -> None:
    """Until there is a worker."""
