"""The logs in a database.

SQLAlchemy Core throughout, so that another database is another URL; how to connect
to one is in `keywordsai.server.engines`. Every method may be called from any thread,
and raises SQLAlchemy's errors as they come, without the values (they are logs).
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import attrs
import sqlalchemy as sa

from keywordsai.errors import ConfigurationError
from keywordsai.server.engines import (
    Engines,
    StoreFull,
    connect,
    parse_url,
    reason,
    shown,
    telling_full,
)
from keywordsai.server.filters import clause
from keywordsai.server.inserts import insert_rows
from keywordsai.server.schema import prepare
from keywordsai.server.tables import attributes, logs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from keywordsai.server.query import ListQuery, Selection

__all__ = ["Found", "NewLog", "Store", "StoreFull", "StoredLog"]

_ATTEMPTS = 10  # against other processes that store logs under the same digests
_CHUNK = 500  # parameters in one IN (...), well below any database's limit


@attrs.frozen(kw_only=True)
class NewLog:
    """A log about to be stored.

    Attributes:
        id: 32 hex digits.
        created: The instant of its arrival, microseconds.
        timestamp: Its own instant, microseconds.
        body: The JSON text as it came.
        columns: What lists sort and filter by, by the column's name.
        attributes: Rows for the other values that filters may name.
        idempotency: A digest; of two logs with the same one the first is kept.
        changes: JSON text of what was changed since, None for nothing.
    """

    id: str
    created: int
    timestamp: int
    body: str = attrs.field(repr=False)
    columns: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    attributes: Sequence[Mapping[str, Any]] = attrs.field(default=(), repr=False)
    idempotency: str | None = None
    changes: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class StoredLog:
    """A log as it is stored.

    Attributes:
        id: 32 hex digits.
        timestamp: Its instant, microseconds.
        body: The JSON text as it came.
        changes: JSON text of what was changed since, None for nothing.
    """

    id: str
    timestamp: int
    body: str = attrs.field(repr=False)
    changes: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Found:
    """A page of logs, and how many logs match on all pages together."""

    count: int
    logs: Sequence[StoredLog]


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
            ) from error
        return cls(engines)

    def add(self, new: Sequence[NewLog]) -> list[str]:
        """Store logs in one transaction, all or none.

        Returns:
            For each log the id it is stored under: that of an earlier log if
            its idempotency digest was there before.

        Raises:
            StoreFull: There is no room for them.
        """
        for _ in range(_ATTEMPTS):
            # If another process stored one of the digests in between (not with
            # SQLite, where one writes at a time), look again.
            with contextlib.suppress(sa.exc.IntegrityError), telling_full(), self._turn:
                return self._add(new)
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
            insert_rows(connection, logs, [_log_row(log) for log in fresh])
            named = [
                {"log_id": log.id, **attribute}
                for log in fresh
                for attribute in log.attributes
            ]
            insert_rows(connection, attributes, named)
        return ids

    def find_one(self, log_id: str) -> StoredLog | None:
        """The log of that id, None if there is none."""
        query = sa.select(logs.c.id, logs.c.timestamp, logs.c.body)
        with self._turn, self._reader.connect() as connection:
            found = connection.execute(query.where(logs.c.id == log_id)).first()
        return None if found is None else _stored(found)

    def newest_id(self) -> str | None:
        """The id of the newest log, None if there is none."""
        query = sa.select(sa.func.max(logs.c.id))
        with self._turn, self._reader.connect() as connection:
            found: str | None = connection.execute(query).scalar()
        return found

    def find(self, query: ListQuery) -> Found:
        """A page of the logs that match, and the number of all that do."""
        matching = sa.and_(
            *_within(query.selection),
            *(clause(condition) for condition in query.selection.conditions),
        )
        column, log_id = logs.c[query.sort_by], logs.c.id
        order = [column.desc() if query.descending else column.asc()]
        if query.sort_by != "id":
            order = [
                order[0].nulls_last(),
                log_id.desc() if query.descending else log_id.asc(),
            ]
        # Ids first: sorting must not carry the bodies along.
        page = sa.select(logs.c.id).where(matching).order_by(*order)
        page = page.limit(query.page_size).offset(query.offset)
        with self._turn, self._reader.connect() as connection:
            counting = sa.select(sa.func.count()).select_from(logs).where(matching)
            count = connection.execute(counting).scalar_one()
            ids = connection.execute(page).scalars().all()
            bodies: dict[str, StoredLog] = {}
            for start in range(0, len(ids), _CHUNK):
                chunk = sa.select(logs.c.id, logs.c.timestamp, logs.c.body).where(
                    logs.c.id.in_(ids[start : start + _CHUNK])
                )
                found = map(_stored, connection.execute(chunk))
                bodies.update((log.id, log) for log in found)
        return Found(count=count, logs=[bodies[found] for found in ids])

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

    @property
    def in_memory(self) -> bool:
        """Whether all of it is gone once it is closed."""
        return self._engines.shared

    def close(self) -> None:
        """Close every connection; whoever goes on using it opens others."""
        self._engines.dispose()


def _within(selection: Selection) -> Iterator[sa.ColumnElement[bool]]:
    """The span of time in SQL."""
    if selection.start is not None:
        yield logs.c.timestamp >= selection.start
    if selection.end is not None:
        yield logs.c.timestamp <= selection.end


def _known(connection: sa.Connection, digests: list[str | None]) -> dict[str, str]:
    """The ids of the logs stored before under any of the digests."""
    asked = [digest for digest in digests if digest is not None]
    known: dict[str, str] = {}
    for start in range(0, len(asked), _CHUNK):
        query = sa.select(logs.c.idempotency, logs.c.id).where(
            logs.c.idempotency.in_(asked[start : start + _CHUNK])
        )
        known.update((digest, log_id) for digest, log_id in connection.execute(query))
    return known


def _log_row(log: NewLog) -> dict[str, Any]:
    return {
        **log.columns,
        "id": log.id,
        "created": log.created,
        "timestamp": log.timestamp,
        "idempotency": log.idempotency,
        "body": log.body,
    }


def _stored(found: Any) -> StoredLog:
    return StoredLog(id=found.id, timestamp=found.timestamp, body=found.body)
