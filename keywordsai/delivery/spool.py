"""The queue: one SQLite database, in memory or in a file that outlives the process.

One connection behind one lock: two writing connections would meet each other's
locks, and wait a millisecond at the least. The write-ahead log is not checkpointed
on a caller's time.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs

__all__ = ["Entry", "Spool"]

_WORDS = 1000  # of what a server said
_SCHEMA = """
CREATE TABLE IF NOT EXISTS logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    body BLOB NOT NULL,
    created REAL NOT NULL,
    key TEXT,
    state INTEGER NOT NULL DEFAULT 0,
    batch TEXT,
    status INTEGER,
    words TEXT
);
CREATE INDEX IF NOT EXISTS logs_apart ON logs (state, id) WHERE state <> 0;
CREATE INDEX IF NOT EXISTS logs_batch ON logs (batch) WHERE batch IS NOT NULL;
CREATE TABLE IF NOT EXISTS about (uid TEXT NOT NULL);
"""
_ENTRIES = "SELECT id, body, created, key, batch FROM logs "


@attrs.frozen(eq=False)
class Entry:
    """A log that waits to be delivered.

    Attributes:
        id: Its place in its spool; later logs have higher ones, never reused.
        body: The bytes to send. Not in ``repr``.
        created: When it was put there, Unix time in seconds.
        key: Its idempotency key, the same however often it is sent.
        batch: The batch it was fixed in, for bulk requests; empty if it goes
            alone for good; None if nothing was settled yet.
    """

    id: int
    body: bytes = attrs.field(repr=False)
    created: float
    key: str
    batch: str | None = None


class Spool:
    """A queue of encoded logs. Every method may be called from any thread.

    Args:
        path: The database's file, None for memory.

    Raises:
        sqlite3.Error: Any method may raise it; the caller decides what then.
    """

    def __init__(self, path: str | None = None) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._uid = ""
        with self.lock:
            self._opened()

    def put(self, body: bytes, created: float, key: str | None = None) -> int:
        """Add a log; it is there for good when this returns."""
        with self.lock:
            cursor = (self._db or self._opened()).execute(
                "INSERT INTO logs (body, created, key) VALUES (?, ?, ?)",
                (body, created, key),
            )
            return cursor.lastrowid or 0

    def take(self, after: int, most: int) -> list[Entry]:
        """The next pending logs behind an id, in order. They stay in the queue."""
        return self._entries(
            "WHERE id > ? AND state = 0 ORDER BY id LIMIT ?", (after, most)
        )

    def remove(self, ids: Sequence[int]) -> None:
        """Take logs out: delivered, or dropped."""
        self._for_each("DELETE FROM logs WHERE id = ?", ((number,) for number in ids))

    def settle(
        self, delivered: Sequence[int], dead: Sequence[tuple[int, int | None, str]]
    ) -> None:
        """Take the delivered out and set the refused apart, all or none of it.

        A batch must not be left half settled: what is left of it would be sent
        again under the batch's key, with other content.

        Args:
            delivered: The ids of logs that the service took.
            dead: Id, status and the server's words of those it refused for good.
        """
        with self._transaction() as db:
            db.executemany(
                "DELETE FROM logs WHERE id = ?", ((one,) for one in delivered)
            )
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
        return self._entries("WHERE batch = ? AND state = 0 ORDER BY id", (batch,))

    def dissolve(self, ids: Sequence[int]) -> None:
        """Have each log go alone from now on, under its own key, for good.

        Not into a batch again: it may have been stored under its own key by then.
        """
        self._for_each(
            "UPDATE logs SET batch = '' WHERE id = ?", ((number,) for number in ids)
        )

    def count(self) -> tuple[int, int]:
        """How many logs are pending, and how many are dead."""
        ((total, dead),) = self._rows(
            "SELECT (SELECT count(*) FROM logs), "
            "(SELECT count(*) FROM logs WHERE state <> 0)",
            (),
        )
        return total - dead, dead

    def size(self) -> int:
        """The bytes of all pending logs."""
        ((size,),) = self._rows(
            "SELECT coalesce(sum(length(body)), 0) FROM logs WHERE state = 0", ()
        )
        return int(size)

    def last_id(self) -> int:
        """The highest id so far."""
        ((last,),) = self._rows("SELECT coalesce(max(id), 0) FROM logs", ())
        return int(last)

    def close(self) -> None:
        """Close the database; the next call opens it again (not one in memory)."""
        with self.lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _opened(self) -> sqlite3.Connection:
        if self.path is not None:
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(
            self.path or ":memory:", isolation_level=None, check_same_thread=False
        )
        try:
            db.execute("PRAGMA journal_mode = WAL")
            # Safe when the process dies; the last commits may go with the power.
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA wal_autocheckpoint = 0")
            db.execute("PRAGMA busy_timeout = 1000")
            db.executescript(_SCHEMA)
            row = db.execute("SELECT uid FROM about").fetchone()
            if row is None:
                row = (uuid.uuid4().hex,)
                db.execute("INSERT INTO about VALUES (?)", row)
        except sqlite3.Error:
            db.close()
            raise
        self._uid, self._db = row[0], db
        return db

    def _entries(self, where: str, values: Sequence[object]) -> list[Entry]:
        rows = self._rows(_ENTRIES + where, values)
        return [
            Entry(number, body, created, key or f"{self._uid}-{number}", batch)
            for number, body, created, key, batch in rows
        ]

    def _rows(self, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        with self.lock:
            return (self._db or self._opened()).execute(statement, values).fetchall()

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
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
