"""The logs in a database.

SQLAlchemy Core throughout, so that another database is another URL; how to connect
to one is in `keywordsai.server.engines`. Every method may be called from any thread,
and raises SQLAlchemy's errors as they come, without the values (they are logs).
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from typing import TYPE_CHECKING, Any

import attrs
import sqlalchemy as sa

from keywordsai.errors import ConfigurationError
from keywordsai.server import editing
from keywordsai.server.engines import (
    Engines,
    StoreFull,
    connect,
    folder_missing,
    parse_url,
    reason,
    shown,
    telling_full,
)
from keywordsai.server.figures import overview, summarize
from keywordsai.server.finding import (
    BriefLog,
    Found,
    StoredLog,
    find,
    find_brief,
    find_one,
)
from keywordsai.server.hours import note_added
from keywordsai.server.ids import IdSource, seq_of
from keywordsai.server.inserts import insert_logs
from keywordsai.server.newlogs import NewLog, PostedLog
from keywordsai.server.pruning import prune
from keywordsai.server.schema import prepare
from keywordsai.server.tables import MOST_PARAMETERS, bodies, logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from keywordsai.server.aggregates import Figures, Overview
    from keywordsai.server.query import ListQuery, Selection

__all__ = ["BriefLog", "Found", "NewLog", "Store", "StoreFull", "StoredLog"]

_ATTEMPTS = 10  # against other processes that store logs under the same digests
_PARTS = 16  # of an hour's count
_PRUNED = 500  # logs removed in one transaction


class Store:
    """The logs of one database; open one with `Store.open`, and close it.

    Creates go through one connection and reads through others, so that a long
    list does not hold up a create.
    """

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._writer, self._reader = engines.writer, engines.reader
        # Where both are one connection, its users take turns.
        self._turn: contextlib.AbstractContextManager[Any] = (
            threading.RLock() if engines.shared else contextlib.nullcontext()
        )
        self._new_id = IdSource()
        # SQLite has one writer at a time: nobody waits for another's count.
        alone = engines.writer.dialect.name == "sqlite"
        self._part = 0 if alone else secrets.randbelow(_PARTS)

    @classmethod
    def open(cls, url: str) -> Store:
        """Connect, and make the tables if they are not there.

        Args:
            url: As SQLAlchemy takes it: ``sqlite:///logs.db`` is a file in the
                current folder, ``sqlite://`` is memory,
                ``postgresql+psycopg://user@host/name`` a database of PostgreSQL.

        Raises:
            ConfigurationError: There is no such database, or none can be made.
        """
        parsed = parse_url(url)
        try:
            engines = connect(parsed)
            try:
                prepare(engines)
            except BaseException:
                engines.dispose()
                raise
        except ConfigurationError:
            raise
        except (sa.exc.SQLAlchemyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"database: cannot use {shown(parsed)}: {reason(error)}"
                f"{folder_missing(parsed)}"
            ) from error
        return cls(engines)

    def add_posted(self, posted: Sequence[PostedLog]) -> list[str]:
        """Work out what logs are found by, and `add` them."""
        return self.add([log.ready() for log in posted])

    def add(self, new: Sequence[NewLog]) -> list[str]:
        """Store logs in one transaction, all or none.

        Returns:
            For each log the id it is stored under: that of an earlier log if
            its idempotency digest was there before.

        Raises:
            StoreFull: There is no room for them.
        """
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(sa.exc.IntegrityError), telling_full(), self._turn:
                return self._add(new)
            # Another process stored one of the digests in between (not with SQLite,
            # where one writes at a time), or made an id with the same seq.
            new = [attrs.evolve(log, id=self._new_id()) for log in new]
        with telling_full(), self._turn:
            return self._add(new)

    def _add(self, new: Sequence[NewLog]) -> list[str]:
        with self._writer.begin() as connection:
            known = _known(connection, [log.idempotency for log in new])
            fresh: list[NewLog] = []
            ids = []
            for log in new:
                if log.idempotency is None:
                    fresh.append(log)
                    ids.append(log.id)
                    continue
                stored = known.setdefault(log.idempotency, log.id)
                if stored == log.id:
                    fresh.append(log)
                ids.append(stored)
            # All processes in one order, lest two wait for each other's digests.
            fresh.sort(key=lambda log: log.idempotency or "")
            seqs = [seq_of(log.id) for log in fresh]
            insert_logs(connection, fresh, seqs)
            times = [log.timestamp for log in fresh]
            note_added(connection, zip(times, seqs, strict=True), part=self._part)
        return ids

    def change(self, log_id: str, edit: Callable[[StoredLog], NewLog]) -> bool:
        """Store what is made of a log in its place, in one transaction.

        Args:
            log_id: The log's id.
            edit: Makes the new one, of the log as it is now.

        Returns:
            Whether there is such a log.

        Raises:
            StoreFull: There is no room for it.
        """
        with telling_full(), self._turn, self._writer.begin() as connection:
            return editing.change(connection, log_id, edit)

    def remove(self, log_id: str) -> bool:
        """Remove a log with all that is stored of it; whether there was such a log.

        Raises:
            StoreFull: There is no room to write even that.
        """
        with telling_full(), self._turn, self._writer.begin() as connection:
            return editing.remove(connection, log_id, part=self._part)

    def find_one(self, log_id: str) -> StoredLog | None:
        """The log of that id, None if there is none."""
        with self._turn, self._reader.connect() as connection:
            return find_one(connection, log_id)

    def prune(self, before: int) -> int:
        """Remove the oldest of the logs before an instant, some hundreds at most.

        Args:
            before: The instant, microseconds since 1970.

        Returns:
            How many were removed; 0 if there are no more.

        Raises:
            StoreFull: There is no room to write even that.
        """
        with telling_full(), self._turn, self._writer.begin() as connection:
            return prune(connection, before=before, most=_PRUNED, part=self._part)

    def newest_id(self) -> str | None:
        """The id of the newest log, None if there is none."""
        query = sa.select(logs.c.id).order_by(logs.c.seq.desc()).limit(1)
        with self._turn, self._reader.connect() as connection:
            found: str | None = connection.execute(query).scalar()
        return found

    def first_instant(self) -> int | None:
        """The earliest timestamp, None if there is no log."""
        with self._turn, self._reader.connect() as connection:
            query = sa.select(sa.func.min(logs.c.timestamp))
            first: int | None = connection.execute(query).scalar()
        return first

    def find(self, query: ListQuery) -> Found:
        """A page of the logs that match, and the number of all that do."""
        with self._turn, self._reader.connect() as connection:
            return find(connection, query)

    def brief(
        self, selection: Selection, *, before: str | None, after: str | None, limit: int
    ) -> Sequence[BriefLog]:
        """The newest logs that match, in brief; by their ids, the newest first.

        Args:
            selection: Which logs.
            before: An id; only older logs.
            after: An id; only newer logs, those next to it.
            limit: How many at most.
        """
        with self._turn, self._reader.connect() as connection:
            return find_brief(
                connection, selection, before=before, after=after, limit=limit
            )

    def summarize(self, selection: Selection) -> Figures:
        """Sums and means over the logs that match."""
        with self._turn, self._reader.connect() as connection:
            return summarize(connection, selection)

    def overview(self, selection: Selection, *, step: int) -> Overview:
        """Figures over the logs that match, by time and by what they share.

        Args:
            selection: Which logs.
            step: How long each span of time is, microseconds.
        """
        with self._turn, self._reader.connect() as connection:
            return overview(connection, selection, step=step)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection that reads, for who keeps tables of their own beside ours."""
        with self._turn, self._reader.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Likewise one in a transaction that writes, all of it or nothing.

        Raises:
            StoreFull: There is no room.
        """
        with telling_full(), self._turn, self._writer.begin() as connection:
            yield connection

    def is_open_to_others(self) -> bool:
        """Whether another process finds the same logs by the same URL."""
        return self._engines.is_open_to_others()

    @property
    def in_memory(self) -> bool:
        """Whether all of it is gone once it is closed."""
        return self._engines.shared

    def close(self) -> None:
        """Close every connection; whoever goes on using it opens others."""
        self._engines.dispose()


def _known(connection: sa.Connection, digests: list[str | None]) -> dict[str, str]:
    """The ids of the logs stored before under any of the digests."""
    asked = [digest for digest in digests if digest is not None]
    known: dict[str, str] = {}
    for start in range(0, len(asked), MOST_PARAMETERS):
        query = sa.select(bodies.c.idempotency, logs.c.id).where(
            bodies.c.idempotency.in_(asked[start : start + MOST_PARAMETERS]),
            logs.c.seq == bodies.c.seq,
        )
        known.update((digest, log_id) for digest, log_id in connection.execute(query))
    return known
