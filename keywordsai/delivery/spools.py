"""The queues an outbox delivers from: its own, and those of processes that died.

What a disk can do to a queue is seen to here: a folder that cannot be written, a disk
that is full, a file that cannot be read. Logs go on being taken, and are counted.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from keywordsai._logging import logger
from keywordsai.delivery.counts import ADOPTED, Ledger
from keywordsai.delivery.folder import SpoolFolder
from keywordsai.delivery.notices import Notices
from keywordsai.delivery.scheduler import Scheduler
from keywordsai.delivery.source import Source
from keywordsai.delivery.spool import Spool
from keywordsai.settings import Settings

__all__ = ["Spools"]

_LOOK_EVERY = 3.0  # seconds between looks for files of processes that died
_LARGE_WAL = 64 * 2**20
_SMALL_WAL = 2**20


class Spools:
    """The queues of one account in this process.

    Args:
        folder: Where files go; None for memory.
        settings: Whose account it is.
        scheduler: It delivers from them.
        ledger: It counts their logs.
        notices: It warns.

    Attributes:
        own: The one that takes this process's logs; None until there is one.
        looked: Whether dead processes' files were looked for.
    """

    def __init__(
        self,
        folder: str | None,
        settings: Settings,
        scheduler: Scheduler,
        ledger: Ledger,
        notices: Notices,
    ) -> None:
        self.own: Source | None = None
        self.looked = folder is None
        self._path = folder
        self._settings = settings
        self._scheduler = scheduler
        self._ledger = ledger
        self._notices = notices
        self._lock = threading.RLock()
        self._folder: SpoolFolder | None = None
        self._next_look = float("-inf")
        # Unix time that does not jump: ages are measured by it.
        self._began = time.time() - time.monotonic()

    def clock(self) -> float:
        """Unix time by a clock that never jumps, once it was read."""
        return self._began + time.monotonic()

    def begin(self) -> Source:
        """The queue that takes logs, opened if there is none."""
        with self._lock:
            if self.own is None:
                spool = self._new_file() or Spool(None)
                self.own = Source(spool, clock=self.clock)
                self._scheduler.add(self.own)
            return self.own

    def _new_file(self) -> Spool | None:
        if self._path is None:
            return None
        try:
            return self._opened_folder(self._path).create()
        except (OSError, sqlite3.Error) as error:
            self._warn_of_memory(error)
            return None

    def _opened_folder(self, path: str) -> SpoolFolder:
        if self._folder is None:
            settings = self._settings
            self._folder = SpoolFolder(
                path, base_url=settings.base_url, api_key=settings.api_key.reveal()
            )
        return self._folder

    def to_memory(self, source: Source, error: Exception) -> Source:
        """The file takes no more: go on in memory, and deliver what is in it."""
        with self._lock:
            if self.own is None:
                return self.begin()  # the client was closed in this very moment
            if self.own is source:
                self.own = Source(Spool(None), clock=self.clock)
                self._scheduler.add(self.own)
                self._warn_of_memory(error)
            return self.own

    def _warn_of_memory(self, error: Exception) -> None:
        self._notices.warn(
            "memory",
            "the spool folder %s cannot be written (%s): logs wait in memory from now "
            "on, and do not outlive the process",
            self._path,
            getattr(error, "strerror", None) or error,
        )

    def _adopt(self) -> None:
        try:
            folder = self._opened_folder(self._path or "")
        except OSError as error:
            if self.own is None:
                self._warn_of_memory(error)
            return
        for spool in folder.adopt():
            try:
                pending, dead = spool.count()
            except sqlite3.OperationalError:
                folder.retire(spool)  # not now; it stays for whoever looks next
                continue
            except sqlite3.DatabaseError:
                folder.set_aside(spool)
                continue
            if not pending:
                folder.retire(spool)
                continue
            self._ledger.adopt(pending, dead)
            # What died may have sent these one by one: the same again, not in bulk.
            self._scheduler.add(Source(spool, clock=time.time, alone=spool.last))
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
        for source in self._scheduler.queues():
            if source is not self.own and self._scheduler.is_finished(source):
                self._scheduler.remove(source)
                if self._folder is not None:
                    self._folder.retire(source.spool)

    def _files(self) -> list[Source]:
        return [one for one in self._scheduler.queues() if one.spool.path]

    def _checkpoint(self, least: int) -> None:
        for source in self._files():
            if source.spool.wal_size() > least:
                try:
                    source.spool.checkpoint()
                except sqlite3.Error as error:
                    logger("delivery").debug("no checkpoint of the spool: %s", error)

    def look_after(self) -> None:
        """For the worker, now and then: find dead processes' logs, end what is done."""
        now = time.monotonic()
        if self._path is None or now < self._next_look:
            return
        with self._lock:
            self._retire_finished()
            self._adopt()
            self._next_look = time.monotonic() + _LOOK_EVERY
            self.looked = True
        if any(one.spool.wal_size() > _LARGE_WAL for one in self._files()):
            self._checkpoint(_LARGE_WAL)

    def until_look(self) -> float:
        """Seconds until there is something to look after."""
        if self._path is None:
            return _LOOK_EVERY  # whether all clients are gone
        return max(0.01, self._next_look - time.monotonic())

    def rest(self) -> None:
        """For the worker, when there is nothing to send: put all in order."""
        self._scheduler.tidy()
        with self._lock:
            self._retire_finished()
        self._checkpoint(_SMALL_WAL)

    def end(self) -> int:
        """Leave what remains in the folder to others; count what is in memory.

        Returns:
            How many logs were given up.
        """
        self._scheduler.tidy()
        lost = self._scheduler.drop_all("closed")
        with self._lock:
            for source in self._scheduler.queues():
                self._scheduler.remove(source)
                if self._folder is not None and source.spool.path is not None:
                    self._folder.retire(source.spool)
                else:
                    source.spool.retire()
            self.own = None
            self.looked = self._path is None
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
            stack.enter_context(self._lock)
            stack.enter_context(self._scheduler.lock)
            for source in self._scheduler.sources:
                stack.enter_context(source.spool.closed_for_fork())
            yield

    def abandon(self) -> None:
        """In a forked child: all of this is the parent's."""
        if self._folder is not None:
            self._folder.abandon()

    def lost(self, broken: Source) -> None:
        """A file cannot be read any more: what was only in it is gone."""
        adopted = broken.spool.adopted
        with self._lock:
            if self.own is broken:
                self.to_memory(broken, sqlite3.DatabaseError("it is corrupt"))
            elsewhere = self._known(broken, adopted=adopted)
            for giver in self._ledger.givers():
                if (giver == ADOPTED) == adopted:
                    self._ledger.lose(giver, elsewhere.get(giver, 0))
            if self._folder is not None:
                self._folder.set_aside(broken.spool)

    def _known(self, broken: Source, *, adopted: bool) -> dict[int, int]:
        """How many logs of each giver wait outside of what is broken."""
        known: dict[int, int] = {}
        for source in [broken, *self._scheduler.sources]:
            if source.spool.adopted is not adopted:
                continue
            found = [(giver, 1) for giver in list(source.in_hand.values())]
            if source is not broken:
                found += source.spool.givers(source.after).items()
            for giver, count in found:
                whose = ADOPTED if adopted else giver
                known[whose] = known.get(whose, 0) + count
        return known
