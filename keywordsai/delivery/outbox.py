"""All that one account delivers in this process: clients put in, a worker takes out.

Clients with the same folder, base URL and key share an outbox, and with it one
queue and one worker. Nothing here raises for the network's or the disk's sake: what
cannot be kept in the folder is kept in memory, and what cannot be kept is counted.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import attrs

from keywordsai._logging import logger
from keywordsai.delivery.counts import ADOPTED, Counts, Ledger
from keywordsai.delivery.folder import SpoolFolder
from keywordsai.delivery.notices import Notices
from keywordsai.delivery.options import DeliveryOptions
from keywordsai.delivery.scheduler import Limits, Scheduler
from keywordsai.delivery.source import Job, Source
from keywordsai.delivery.spool import Entry, Spool
from keywordsai.logs.endpoints import Endpoints
from keywordsai.logs.serialization import decode_json
from keywordsai.transport.base import HTTPRequest
from keywordsai.transport.flow import random_fraction

__all__ = ["Outbox"]

_LOOK_EVERY = 3.0  # seconds between looks for files of processes that died
_LARGE_WAL = 64 * 2**20
_SMALL_WAL = 2**20


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
        scheduler: What to send next.
        ledger: What became of every log.
        flushers: How many wait for all to be sent, so that it is not put off.
        looked: Whether dead processes' files were looked for.
    """

    def __init__(self, endpoints: Endpoints, options: DeliveryOptions) -> None:
        self.endpoints = endpoints
        self.options = options
        self.ledger = Ledger()
        self.flushers = 0
        self.looked = options.spool is None
        self.lock = threading.RLock()
        self.givers: dict[int, Giver] = {}
        self.wake: Callable[[], None] = _nobody
        self.asleep = True
        self._notices = Notices()
        self._folder: SpoolFolder | None = None
        self._own: Source | None = None
        self._next_look = float("-inf")
        # Unix time that does not jump: ages are measured by it.
        self._began = time.time() - time.monotonic()
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

    def join(self, options: DeliveryOptions) -> Giver:
        """A client that will put logs in."""
        number, counts = self.ledger.join()
        with self.lock:
            alive = set(self.ledger.givers())
            for gone in [one for one in self.givers if one not in alive]:
                del self.givers[gone]
            giver = Giver(number=number, counts=counts, on_drop=options.on_drop)
            self.givers[number] = giver
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
        source = self._own or self._begin()
        created = self._began + time.monotonic()
        try:
            source.spool.put(body, created, giver.number, key)
        except (sqlite3.Error, OSError) as error:
            source = self._to_memory(source, error)
            source.spool.put(body, created, giver.number, key)
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
        own = self._own
        return 0 if own is None else own.spool.last

    def marks(self) -> dict[Source, int]:
        """How far a flush that begins now has to come."""
        with self.lock:
            return {} if self._own is None else {self._own: self._own.spool.last}

    def look_after(self) -> None:
        """For the worker, now and then: find dead processes' logs, end what is done."""
        now = time.monotonic()
        if self.options.spool is None or now < self._next_look:
            return
        with self.lock:
            self._retire_finished()
            self._adopt()
            self._next_look = time.monotonic() + _LOOK_EVERY
            self.looked = True
        if any(one.spool.wal_size() > _LARGE_WAL for one in self._files()):
            self._checkpoint(_LARGE_WAL)

    def until_look(self) -> float | None:
        """Seconds until `look_after` has something to do; None for never."""
        if self.options.spool is None:
            return None
        return max(0.01, self._next_look - time.monotonic())

    def rest(self) -> None:
        """For the worker, when there is nothing to send: put all in order."""
        self.scheduler.tidy()
        with self.lock:
            self._retire_finished()
        self._checkpoint(_SMALL_WAL)

    def end(self) -> int:
        """Leave what remains in the folder to others; count what is in memory.

        Returns:
            How many logs were given up.
        """
        self.scheduler.tidy()
        lost = self.scheduler.drop_all("closed")
        with self.lock:
            for source in list(self.scheduler.sources):
                self.scheduler.remove(source)
                if self._folder is not None and source.spool.path is not None:
                    self._folder.retire(source.spool)
                else:
                    source.spool.retire()
            self._own = None
            self.looked = self.options.spool is None
            self._next_look = float("-inf")
        if lost:
            self._notices.warn(
                "closed",
                "%d logs waited in memory when the client or the program ended, and "
                "are lost; a longer exit_timeout or a spool folder would keep them",
                lost,
            )
        return lost

    @contextmanager
    def still_for_fork(self) -> Iterator[None]:
        """No database is open, and no lock held by another, while this lasts."""
        with ExitStack() as stack:
            stack.enter_context(self.lock)
            stack.enter_context(self.scheduler.lock)
            for source in self.scheduler.sources:
                stack.enter_context(source.spool.closed_for_fork())
            yield

    def abandon(self) -> None:
        """In a forked child: all of this is the parent's."""
        if self._folder is not None:
            self._folder.abandon()

    def _begin(self) -> Source:
        with self.lock:
            if self._own is None:
                spool = self._new_file() or Spool(None)
                self._own = Source(spool, clock=self._clock)
                self.scheduler.add(self._own)
            return self._own

    def _clock(self) -> float:
        return self._began + time.monotonic()

    def _new_file(self) -> Spool | None:
        if self.options.spool is None:
            return None
        try:
            return self._opened_folder(self.options.spool).create()
        except (OSError, sqlite3.Error) as error:
            self._warn_of_memory(error)
            return None

    def _opened_folder(self, path: str) -> SpoolFolder:
        if self._folder is None:
            settings = self.endpoints.settings
            self._folder = SpoolFolder(
                path, base_url=settings.base_url, api_key=settings.api_key.reveal()
            )
        return self._folder

    def _to_memory(self, source: Source, error: Exception) -> Source:
        """The file takes no more: go on in memory, and deliver what is in it."""
        with self.lock:
            if self._own is None or self._own is source:
                self._own = Source(Spool(None), clock=self._clock)
                self.scheduler.add(self._own)
                self._warn_of_memory(error)
            return self._own

    def _warn_of_memory(self, error: Exception) -> None:
        self._notices.warn(
            "memory",
            "the spool folder %s cannot be written (%s): logs wait in memory from now "
            "on, and do not outlive the process",
            self.options.spool,
            getattr(error, "strerror", None) or error,
        )

    def _adopt(self) -> None:
        try:
            folder = self._opened_folder(self.options.spool or "")
        except OSError as error:
            if self._own is None:
                self._warn_of_memory(error)
            return
        for spool in folder.adopt():
            try:
                pending, dead = spool.count()
            except sqlite3.DatabaseError:
                folder.set_aside(spool)
                continue
            if not pending:
                folder.retire(spool)
                continue
            self.ledger.adopt(pending, dead)
            # What died may have sent these one by one: the same again, not in bulk.
            self.scheduler.add(Source(spool, clock=time.time, alone=spool.last))
        if not self.looked:
            stranded = folder.stranded()
            if stranded:
                self._notices.warn(
                    "stranded",
                    "%d logs in %s were given with another API key or base URL, and "
                    "wait for it; `keywordsai spool resend --all-accounts` sends them "
                    "with this one",
                    stranded,
                    folder.path,
                )

    def _retire_finished(self) -> None:
        for source in list(self.scheduler.sources):
            spool = source.spool
            if not spool.adopted and source is not self._own:
                done = spool.path is not None
            else:
                done = spool.adopted
            if done and self.scheduler.is_finished(source):
                self.scheduler.remove(source)
                if self._folder is not None:
                    self._folder.retire(spool)

    def _files(self) -> list[Source]:
        return [one for one in list(self.scheduler.sources) if one.spool.path]

    def _checkpoint(self, least: int) -> None:
        for source in self._files():
            if source.spool.wal_size() > least:
                try:
                    source.spool.checkpoint()
                except sqlite3.Error as error:
                    logger("delivery").debug("no checkpoint of the spool: %s", error)

    def _refuse(self, giver: Giver, body: bytes) -> str:
        self._notices.warn(
            "full",
            "the queue is full: new logs are dropped, and counted in "
            "stats().dropped['full']; see max_pending and max_pending_bytes",
        )
        self._call(giver.on_drop, body, "full")
        return "the queue is full (max_pending, max_pending_bytes)"

    def _dropped(self, entry: Entry, reason: str) -> None:
        giver = self.givers.get(entry.giver)
        if giver is not None:
            self._call(giver.on_drop, entry.body, reason)
            return
        # An adopted one: the client that came last and asked is told.
        for giver in reversed(list(self.givers.values())):
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

    def _lost(self, broken: Source) -> None:
        """A file cannot be read any more: what was only in it is gone."""
        adopted = broken.spool.adopted
        with self.lock:
            if self._own is broken:
                self._to_memory(broken, sqlite3.DatabaseError("it is corrupt"))
            elsewhere = self._known(broken, adopted=adopted)
            everybody = self.ledger.givers()
            for giver in [ADOPTED] if adopted else everybody:
                if giver != ADOPTED or adopted:
                    self.ledger.lose(giver, elsewhere.get(giver, 0))
            if self._folder is not None:
                self._folder.set_aside(broken.spool)

    def _known(self, broken: Source, *, adopted: bool) -> dict[int, int]:
        """How many logs of each giver wait outside of what is broken."""
        known: dict[int, int] = {}
        for source in [broken, *self.scheduler.sources]:
            if source.spool.adopted is not adopted:
                continue
            found = [(giver, 1) for giver in list(source.in_hand.values())]
            if source is not broken:
                found += source.spool.givers(source.after).items()
            for giver, count in found:
                giver_here = ADOPTED if adopted else giver
                known[giver_here] = known.get(giver_here, 0) + count
        return known


def _nobody() -> None:
    """Until there is a worker."""
