"""The files of a spool folder: what is in one, and how it is opened.

What a file holds is described in `keywordsai.delivery.spool`, and what files there
are in `keywordsai.delivery.folder`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import attrs

__all__ = ["Contents", "Payload", "Queue", "Row", "connect", "is_begun", "why"]

_BUSY = 5000  # milliseconds


@attrs.frozen
class Queue:
    """A file of a folder.

    Attributes:
        path: Where it is.
        account: The fingerprint of its base URL and key.
        uid: Its own name, which it keeps for as long as it is there.
    """

    path: Path
    account: str
    uid: str

    @classmethod
    def of(cls, path: Path) -> Queue:
        """The queue of a file."""
        account, _, uid = path.stem.partition("-")
        return cls(path, account, uid)

    @property
    def stem(self) -> str:
        """Its path without the ending, as its lock has it."""
        return str(self.path.with_suffix(""))

    def found(self) -> Queue | None:
        """The same under its name of this moment; None once it is gone."""
        for ending in (".db", ".dead"):
            path = self.path.with_suffix(ending)
            if path.exists():
                return attrs.evolve(self, path=path)
        return None


@attrs.frozen(kw_only=True)
class Contents:
    """What is in a queue, in numbers.

    Attributes:
        queue: The file.
        in_use: Whether a running process has it.
        base_url: Where its logs go.
        pending: Logs that wait.
        dead: Logs that were refused for good.
        size: Bytes of both.
        oldest: When the oldest of them was put there, Unix time; None without any.
        trouble: Why it cannot be read; empty if it can.
    """

    queue: Queue
    in_use: bool = False
    base_url: str = ""
    pending: int = 0
    dead: int = 0
    size: int = 0
    oldest: float | None = None
    trouble: str = ""


@attrs.frozen
class Row:
    """A log of a queue, without what it says.

    Attributes:
        queue: Where it is.
        number: Its number there.
        dead: Whether it was refused for good; else it is pending.
        created: When it was put there, Unix time.
        size: Its bytes.
        status: What it was refused with.
        words: What the server said.
        batch: The key of the batch it was fixed in, if any.
    """

    queue: Queue
    number: int
    dead: bool = attrs.field(converter=bool)
    created: float
    size: int
    status: int | None
    words: str | None
    batch: str | None


@attrs.frozen
class Payload:
    """What a log says, and the key it goes out under. Not in ``repr``."""

    body: bytes = attrs.field(repr=False)
    key: str


@contextmanager
def connect(path: Path, *, writing: bool = False) -> Iterator[sqlite3.Connection]:
    """A file's database; it is neither made nor, unless asked for, changed.

    Raises:
        sqlite3.Error: It cannot be read, or is no more.
    """
    place = f"file:{quote(str(path))}?mode=rw"
    db = sqlite3.connect(place, uri=True, isolation_level=None)
    try:
        db.execute(f"PRAGMA busy_timeout = {_BUSY}")
        db.execute("PRAGMA wal_autocheckpoint = 0")  # its process sees to it
        if not writing:
            db.execute("PRAGMA query_only = ON")
        yield db
    finally:
        db.close()


def why(error: OSError | sqlite3.Error) -> str:
    """What an error says, in short."""
    return getattr(error, "strerror", None) or str(error)


def is_begun(db: sqlite3.Connection) -> bool:
    """Whether its process has come so far as to make the tables."""
    found = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'about'")
    return bool(found.fetchone()[0])
