"""Logs to be sent again: put where a process of this account will deliver them.

A file that no process has gets another name, if need be, and its dead logs wait once
more. The dead ones of a running process are moved to a file of our own: written here
first, removed there then. Whatever ends this in between, no log is lost, and one that
is sent twice goes under the same key.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import attrs

from keywordsai.delivery.counts import ADOPTED
from keywordsai.delivery.folder import SpoolFolder
from keywordsai.delivery.spool import Spool
from keywordsai.spool.choosing import Chosen
from keywordsai.spool.folder import Folder
from keywordsai.spool.queues import Contents, Queue, connect, why

__all__ = ["Taken", "remove_dead", "take"]

_TOGETHER = 100  # logs that are removed in one transaction: a process may wait for it
_AGAIN = """
UPDATE logs SET state = 0, created = ?, batch = NULL, status = NULL, words = NULL
WHERE id = ? AND state <> 0
"""


@attrs.define
class Taken:
    """What will be sent.

    Attributes:
        before: What is in each queue when sending begins.
        troubles: Files that could not be taken, and why.
    """

    before: list[Contents] = attrs.field(factory=list)
    troubles: list[str] = attrs.field(factory=list)

    @property
    def total(self) -> int:
        """How many logs will be sent."""
        return sum(one.pending for one in self.before)

    @property
    def dead(self) -> int:
        """How many dead logs lie beside them, and are not sent."""
        return sum(one.dead for one in self.before)

    def left(self, folder: Folder) -> tuple[int, int]:
        """How many wait now, and how many are dead again: as the files say.

        They say it whoever sends: another process may have taken a file.
        """
        pending = dead = 0
        for before in self.before:
            now = folder.look(before.queue)
            if now is not None:
                # One that cannot be read now holds what it held.
                pending += before.pending if now.trouble else now.pending
                dead += 0 if now.trouble else max(0, now.dead - before.dead)
        return pending, dead


def take(folder: Folder, spools: SpoolFolder, base_url: str, chosen: Chosen) -> Taken:
    """Have logs wait where a client of this account will find them.

    Args:
        folder: The folder.
        spools: The same, for the account that they will be sent with.
        base_url: That of the account.
        chosen: Which logs.

    Raises:
        OSError: The folder cannot be used.
    """
    with spools.alone():
        taking = _Taking(folder, spools, base_url, chosen)
        try:
            for queue in folder.queues():
                if chosen.may_be_in(queue, spools.account):
                    taking.one(queue)
        finally:
            taking.end()
    return taking.taken


def remove_dead(db: sqlite3.Connection, numbers: Sequence[int]) -> int:
    """Remove dead logs, few at a time, for the sake of who is writing there.

    Returns:
        How many there were.
    """
    removed = 0
    for first in range(0, len(numbers), _TOGETHER):
        some = [(number,) for number in numbers[first : first + _TOGETHER]]
        db.execute("BEGIN IMMEDIATE")
        gone = db.executemany("DELETE FROM logs WHERE id = ? AND state <> 0", some)
        db.execute("COMMIT")
        removed += gone.rowcount
    return removed


@attrs.define
class _Taking:
    """One `take`: files are held until all of them are ready, and let go at once."""

    folder: Folder
    spools: SpoolFolder
    base_url: str
    chosen: Chosen
    taken: Taken = attrs.field(factory=Taken)
    _held: list[str] = attrs.field(factory=list)
    _own: Spool | None = None

    def one(self, queue: Queue) -> None:
        """Take what is chosen of a queue."""
        try:
            if self._hold(queue.stem):
                self._take_file(queue)
            else:
                self._take_dead(queue)
        except (OSError, sqlite3.Error) as error:
            self.taken.troubles.append(f"{queue.path}: {why(error)}")

    def end(self) -> None:
        """Leave all to whoever delivers it."""
        if self._own is not None:
            self._note(Queue.of(Path(self._own.path or "")))
            self.spools.retire(self._own)
        for stem in self._held:
            self.spools.let_go(stem)

    def _hold(self, stem: str) -> bool:
        held = self.spools.hold(stem)
        if held:
            self._held.append(stem)
        return held

    def _take_file(self, queue: Queue) -> None:
        """Of a dead process: the file itself, with the keys that lie in it."""
        contents = self.folder.look(queue)
        if contents is None:
            return
        if contents.trouble:
            raise sqlite3.DatabaseError(contents.trouble)
        if not contents.pending + contents.dead:
            return
        queue = contents.queue
        home = self._brought_home(queue)
        try:
            self._wake(home, is_new=home.account != queue.account)
        finally:
            self._note(home)

    def _brought_home(self, queue: Queue) -> Queue:
        """The same file under a name of this account, as one that is delivered."""
        path = self.folder.path / f"{self.spools.account}-{queue.uid}.db"
        home = Queue.of(path)
        if path == queue.path:
            return home
        is_ours = home.stem == queue.stem or self._hold(home.stem)
        if not is_ours or path.exists():
            raise FileExistsError(f"{path} exists")
        with connect(queue.path, writing=True) as db:
            busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        log = Path(f"{queue.path}-wal")
        if busy or (log.exists() and log.stat().st_size):
            raise sqlite3.OperationalError("somebody is reading it, try again")
        queue.path.replace(path)
        for ending in ("-wal", "-shm"):
            with suppress(OSError):
                Path(f"{queue.path}{ending}").unlink()
        return home

    def _wake(self, queue: Queue, *, is_new: bool) -> None:
        """Have the dead logs wait once more; they are as old as now."""
        now = time.time()
        with connect(queue.path, writing=True) as db:
            db.execute("BEGIN IMMEDIATE")
            numbers = self.chosen.numbers(queue, db)
            db.executemany(_AGAIN, ((now, number) for number in numbers))
            if is_new:
                db.execute("UPDATE about SET base_url = ?", (self.base_url,))
                db.execute("UPDATE logs SET created = ? WHERE state = 0", (now,))
            db.execute("COMMIT")

    def _take_dead(self, queue: Queue) -> None:
        """Of a running process: its dead logs, which it never touches again."""
        found = queue.found()
        if found is None:
            return
        now = time.time()
        with connect(found.path, writing=True) as db:
            numbers = self.chosen.numbers(found, db)
            if not numbers:
                return
            if self._own is None:
                self._own = self.spools.create()
            ((uid,),) = db.execute("SELECT uid FROM about")
            for first in range(0, len(numbers), _TOGETHER):
                some = numbers[first : first + _TOGETHER]
                for number in some:
                    row = db.execute(
                        "SELECT body, key FROM logs WHERE id = ?", (number,)
                    ).fetchone()
                    if row is not None:
                        key = row[1] or f"{uid}-{number}"
                        self._own.put(row[0], now, ADOPTED, key)
                self._own.checkpoint()  # on the disk before it is removed there
                remove_dead(db, some)

    def _note(self, queue: Queue) -> None:
        contents = self.folder.look(queue)
        if contents is not None and contents.pending:
            self.taken.before.append(contents)
