"""The queue: one SQLite database, in memory or in a file that outlives the process.

One connection writes, behind one lock: two that write would meet each other's
locks, and wait a millisecond at the least. A second one reads and moves the
write-ahead log into the database, so that neither is done on a caller's time.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import attrs

from keywordsai.delivery.counts import ADOPTED

__all__ = ["Entry", "Spool"]

_WORDS = 1000  # characters of what a server said
_TOGETHER = 8 * 2**20  # bytes of logs read in one go
# No AUTOINCREMENT: it writes a second page with each log, half as much time again.
# What it is good for, that no number comes twice, is seen to by `put`.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS logs (
    id INTEGER PRIMARY KEY,
    body BLOB NOT NULL,
    created REAL NOT NULL,
    giver INTEGER NOT NULL DEFAULT 0,
    key TEXT,
    state INTEGER NOT NULL DEFAULT 0,
    batch TEXT,
    status INTEGER,
    words TEXT
);
CREATE INDEX IF NOT EXISTS logs_apart ON logs (state, id) WHERE state <> 0;
CREATE INDEX IF NOT EXISTS logs_batch ON logs (batch) WHERE batch IS NOT NULL;
CREATE TABLE IF NOT EXISTS about (uid TEXT NOT NULL, base_url TEXT NOT NULL);
"""
_ENTRIES = "SELECT id, body, created, giver, key, batch FROM logs "
_PUT = "INSERT INTO logs (id, body, created, giver, key) VALUES (?, ?, ?, ?, ?)"


@attrs.frozen(eq=False)
class Entry:
    """A log that waits to be delivered.

    Attributes:
        id: Its place in its spool; later logs have higher ones, never reused.
        body: The bytes to send. Not in ``repr``.
        created: When it was put there, Unix time in seconds.
        giver: Whose it is, see `keywordsai.delivery.counts.Ledger`.
        key: Its idempotency key, the same however often it is sent.
        alone: Whether it never goes with others in one request.
        batch: The batch it was fixed in, else None.
    """

    id: int
    body: bytes = attrs.field(repr=False)
    created: float
    giver: int
    key: str
    alone: bool = False
    batch: str | None = None


class Spool:
    """A queue of encoded logs. Every method may be called from any thread.

    Args:
        path: The database's file, None for memory.
        base_url: Where the logs go, for whoever looks at the file later.
        adopted: Whether another process began it, which died.

    Raises:
        sqlite3.Error: Any method may raise it; the caller decides what then.
        OSError: There can be no such file.
    """

    def __init__(
        self, path: str | None = None, *, base_url: str = "", adopted: bool = False
    ) -> None:
        self.path = path
        self.adopted = adopted
        self.lock = threading.RLock()
        self._base_url = base_url
        # The one in memory has a single connection, and so a single lock.
        self._reading = self.lock if path is None else threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._uid = ""
        self._retired = False
        self._alone = False
        self.last = 0
        with self.lock:
            db = self._opened()
            ((self.last,),) = db.execute("SELECT coalesce(max(id), 0) FROM logs")

    def put(
        self,
        body: bytes,
        created: float,
        giver: int = ADOPTED,
        key: str | None = None,
    ) -> int:
        """Add a log; it is there for good when this returns."""
        with self.lock:
            db = self._db or self._opened()
            # Counted first: a signal's handler may put one before this is written.
            self.last = number = self.last + 1
            db.execute(_PUT, (number, body, created, giver, key))
            return number

    def take(self, after: int, most: int) -> list[Entry]:
        """The next pending logs behind an id, in order. They stay in the queue.

        Fewer than ``most`` if they are large, one at the least.
        """
        found: list[Entry] = []
        size = 0
        with self._read() as db:
            rows = db.execute(
                f"{_ENTRIES} WHERE id > ? AND state = 0 ORDER BY id LIMIT ?",
                (after, most),
            )
            for row in rows:
                found.append(self._entry(row))
                size += len(row[1])
                if size >= _TOGETHER:
                    break
            rows.close()
        return found

    def remove(self, ids: Sequence[int]) -> None:
        """Take logs out: delivered, or dropped."""
        self._for_each("DELETE FROM logs WHERE id = ?", ((number,) for number in ids))

    def settle(
        self, gone: Sequence[int], dead: Sequence[tuple[int, int | None, str]]
    ) -> None:
        """Take logs out and set the refused apart, all or none of it.

        A batch must not be left half settled: what is left of it would be sent
        again under the batch's key, with other content.

        Args:
            gone: The ids of logs that the service took, or that are dropped.
            dead: Id, status and the server's words of those it refused for good.
        """
        with self._transaction() as db:
            db.executemany("DELETE FROM logs WHERE id = ?", ((one,) for one in gone))
            db.executemany(
                "UPDATE logs SET state = 1, batch = NULL, status = ?, words = ? "
                "WHERE id = ?",
                ((status, words[:_WORDS], number) for number, status, words in dead),
            )

    def fix_batch(self, ids: Sequence[int]) -> str:
        """Fix which logs go together, across crashes; returns the batch's key."""
        batch = f"{self._uid}-batch-{uuid.uuid4().hex}"
        self._for_each(
            "UPDATE logs SET batch = ? WHERE id = ?",
            ((batch, number) for number in ids),
        )
        return batch

    def members(self, batch: str) -> list[Entry]:
        """The pending logs of a batch, all of them, in order."""
        with self._read() as db:
            rows = db.execute(
                f"{_ENTRIES} WHERE batch = ? AND state = 0 ORDER BY id", (batch,)
            )
            return [self._entry(row) for row in rows]

    def dissolve(self, ids: Sequence[int]) -> None:
        """Have each log go alone from now on, under its own key, for good.

        Not into a batch again: it may have been stored under its own key by then.
        """
        self._for_each(
            "UPDATE logs SET batch = '' WHERE id = ?", ((number,) for number in ids)
        )

    def count(self) -> tuple[int, int]:
        """How many logs are pending, and how many are dead."""
        with self._read() as db:
            ((total, dead),) = db.execute(
                "SELECT (SELECT count(*) FROM logs), "
                "(SELECT count(*) FROM logs WHERE state <> 0)"
            )
        return total - dead, dead

    def any_pending(self, after: int, up_to: int) -> bool:
        """Whether a pending log lies behind one id, up to another."""
        with self._read() as db:
            ((found,),) = db.execute(
                "SELECT EXISTS (SELECT 1 FROM logs "
                "WHERE id > ? AND id <= ? AND state = 0)",
                (after, up_to),
            )
        return bool(found)

    def givers(self, after: int) -> dict[int, int]:
        """How many pending logs lie behind an id, by whose they are."""
        with self._read() as db:
            rows = db.execute(
                "SELECT giver, count(*) FROM logs WHERE id > ? AND state = 0 "
                "GROUP BY giver",
                (after,),
            )
            return dict(rows)

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database, beside those who write."""
        if self.path is not None:
            with self._read() as db:
                db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def wal_size(self) -> int:
        """Bytes of the write-ahead log."""
        try:
            return os.stat(f"{self.path}-wal").st_size if self.path else 0
        except OSError:
            return 0

    def close(self) -> None:
        """Close the database; the next call opens it again (not one in memory)."""
        with self.lock, self._reading:
            for db in (self._reader, self._db):
                if db is not None:
                    db.close()
            self._reader = self._db = None
            self._alone = False

    def retire(self) -> None:
        """Close it for good: another process may own the file from now on."""
        with self.lock, self._reading:
            self._retired = True
            self.close()

    @contextmanager
    def closed_for_fork(self) -> Iterator[None]:
        """Hold everybody off while the process forks; files are closed for it."""
        with self.lock, self._reading:
            if self.path is not None:
                self.close()
            yield

    def _opened(self) -> sqlite3.Connection:
        self._check()
        if self.path is not None and not os.path.exists(self.path):
            if self._uid:
                raise sqlite3.DatabaseError("the spool file was removed")
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR
            os.close(os.open(self.path, flags, 0o600))
        db = _connect(self.path or ":memory:")
        try:
            db.executescript(_SCHEMA)
            row = db.execute("SELECT uid FROM about").fetchone()
            if row is None:
                row = (uuid.uuid4().hex,)
                db.execute("INSERT INTO about VALUES (?, ?)", (*row, self._base_url))
        except sqlite3.Error:
            db.close()
            raise
        self._uid, self._db = row[0], db
        return db

    def _check(self) -> None:
        if self._retired:
            raise sqlite3.OperationalError("the spool was handed on")

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        if self.path is not None and not self._alone:
            with self._reading:
                if self._reader is None:
                    self._check()
                    try:
                        self._reader = _connect(self.path, there=True)
                    except sqlite3.OperationalError:
                        # The file is gone, or the disk full: who writes has it still.
                        self._alone = self._db is not None
                        if not self._alone:
                            raise
                if self._reader is not None:
                    yield self._reader
                    return
        with self.lock:
            yield self._db or self._opened()

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        number, body, created, giver, key, batch = row
        return Entry(
            number,
            body,
            created,
            ADOPTED if self.adopted else giver,
            key or f"{self._uid}-{number}",
            key is not None or batch == "",
            batch or None,
        )

    def _for_each(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        with self._transaction() as db:
            db.executemany(statement, rows)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self.lock:
            db = self._db or self._opened()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise


def _connect(path: str, *, there: bool = False) -> sqlite3.Connection:
    db = sqlite3.connect(
        f"file:{quote(path)}?mode=rw" if there else path,
        isolation_level=None,
        check_same_thread=False,
        uri=there,
    )
    try:
        db.execute("PRAGMA journal_mode = WAL")
        # Safe when the process dies; the last commits may go with the power.
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        # Wiped where a page is written anyway; to write each page of a log once more
        # for it, as some builds do, doubles what its delivery writes.
        db.execute("PRAGMA secure_delete = FAST").fetchall()
        db.execute("PRAGMA busy_timeout = 1000")
    except sqlite3.Error:
        db.close()
        raise
    return db
