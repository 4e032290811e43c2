"""Which databases there are, and how to connect to each.

All that differs between SQLite and PostgreSQL about a connection is here; the
store above speaks SQLAlchemy Core to either. Must not know what a log is.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from keywordsai.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "READERS",
    "Engines",
    "StoreFull",
    "StoreUncertain",
    "connect",
    "copy_rows",
    "folder_missing",
    "is_of_database",
    "parse_url",
    "reason",
    "shown",
    "telling_full",
]

_BUSY_TIMEOUT = 10_000  # milliseconds to wait for another process's transaction
_CONNECT_TIMEOUT = 10  # seconds for PostgreSQL to answer
READERS = 4
"""Connections that read, and so threads that are of use for it."""
_WRITERS = 3  # creates, a change, and what removes old logs
_EXPECTED = (
    "expected a URL such as sqlite:///keywordsai.db or "
    "postgresql+psycopg://user@host/name"
)
_SQLITE = frozenset({"sqlite", "sqlite+pysqlite"})
_POSTGRESQL = frozenset({"postgres", "postgresql", "postgresql+psycopg"})
# SQLite's words, for Python 3.10 does not give its codes. It calls a limit other
# than the disk's own, such as a quota, an I/O error.
_SQLITE_FULL = ("database or disk is full", "disk I/O error")
_SQLITE_LOCKED = "database is locked"
_POSTGRESQL_FULL = "53100"
_POSTGRESQL_LOST = ("08", "57P0")


class StoreFull(Exception):
    """There is no room left on the database's disk; nothing was stored."""

    def __str__(self) -> str:
        return "the database's disk is full"


class StoreUncertain(Exception):
    """Whoever was storing is gone: nobody knows whether it was done."""

    def __str__(self) -> str:
        return "whether it was stored is not known"


@attrs.frozen
class Engines:
    """Where to write and where to read.

    Attributes:
        writer: Its transactions may write.
        reader: Its connections only read, and do not wait for the writer's.
        shared: Both are one and the same connection, whose users take turns.
    """

    writer: sa.Engine
    reader: sa.Engine
    shared: bool = False

    def is_open_to_others(self) -> bool:
        """Whether another process finds the same logs by the same URL."""
        if self.shared:
            return False
        if self.writer.dialect.name != "sqlite":
            return True
        with self.reader.connect() as connection:
            listed = connection.exec_driver_sql("PRAGMA database_list")
            path = next(row[2] for row in listed if row[1] == "main")
        return Path(path or "").is_file()  # of memory it is nothing, or made up

    def dispose(self) -> None:
        """Close every connection."""
        self.reader.dispose()
        self.writer.dispose()


def parse_url(url: str) -> sa.URL:
    """Read the URL of a database, and name the driver that it leaves out.

    Raises:
        ConfigurationError: It is none, or of a database that is not supported.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise ConfigurationError(f"database: {_EXPECTED}") from None
    if parsed.drivername in _SQLITE:
        return parsed
    if parsed.drivername in _POSTGRESQL:
        return parsed.set(drivername="postgresql+psycopg")
    raise ConfigurationError(
        f"database: {parsed.drivername} is not supported, {_EXPECTED}"
    )


def shown(url: sa.URL) -> str:
    """The URL without what may be secret: the password, and parameters."""
    return url.set(query={}).render_as_string(hide_password=True)


def reason(error: BaseException) -> str:
    """What a database said, without SQLAlchemy's words around it."""
    return str(getattr(error, "orig", None) or error)


def folder_missing(url: sa.URL) -> str:
    """Where a file's folder is not there, words that say so; else nothing.

    SQLite says no more than that it cannot open the file.
    """
    path = url.database or ""
    if url.drivername not in _SQLITE or path.startswith(("file:", ":memory:")):
        return ""
    folder = Path(path).absolute().parent
    return "" if folder.is_dir() else f", for there is no folder {folder}"


def connect(url: sa.URL) -> Engines:
    """Make ready to connect; the first connection is made when it is needed.

    Args:
        url: As `parse_url` gives it.

    Raises:
        ConfigurationError: The driver is not installed.
        TypeError: As the driver raises it, for a parameter of the URL.
        ValueError: Likewise.
    """
    if url.drivername in _SQLITE:
        return _sqlite(url)
    try:
        return _postgresql(url)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "database: PostgreSQL needs the extra postgres: "
            "pip install 'keywordsai[postgres]'"
        ) from error
    except ImportError as error:  # psycopg without libpq
        raise ConfigurationError(
            f"database: psycopg cannot be used, install 'keywordsai[postgres]': {error}"
        ) from error


def copy_rows(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Sequence[Any]]
) -> None:
    """Insert rows by PostgreSQL's COPY, of which SQLAlchemy does not know.

    Args:
        connection: In a transaction, over psycopg.
        table: Where to.
        rows: Values for all columns of the table, in their order.

    Raises:
        sqlalchemy.exc.DBAPIError: As SQLAlchemy raises for a statement.
    """
    import psycopg  # noqa: PLC0415 - an extra

    columns = ", ".join(column.name for column in table.columns)
    statement = f"COPY {table.name} ({columns}) FROM STDIN"
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        brief = type(error)(error.diag.message_primary or str(error))
        raise sa.exc.DBAPIError.instance(
            statement, None, brief, psycopg.Error, hide_parameters=True
        ) from None


@contextlib.contextmanager
def telling_full() -> Iterator[None]:
    """Around a transaction that writes: if it fails for want of room, say so.

    Raises:
        StoreFull: In place of the database's own error.
    """
    try:
        yield
    except sa.exc.DBAPIError as error:
        if _is_full(error):
            raise StoreFull from error
        raise


def is_of_database(error: Exception) -> bool:
    """Whether storing failed whatever the logs: others would only wait as long."""
    if isinstance(error, sa.exc.DBAPIError):
        return _is_lost(error) or str(error.orig) == _SQLITE_LOCKED
    return isinstance(error, StoreFull | StoreUncertain | sa.exc.TimeoutError)


def _is_lost(error: sa.exc.DBAPIError) -> bool:
    """Whether there is no connection, or none any more."""
    if error.statement is None or error.connection_invalidated:
        return True
    if not type(error.orig).__module__.startswith("psycopg"):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is None:  # the server itself said nothing
        return isinstance(error, sa.exc.OperationalError)
    return str(state).startswith(_POSTGRESQL_LOST)


def _is_full(error: sa.exc.DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return bool(state == _POSTGRESQL_FULL)
    return str(error.orig).startswith(_SQLITE_FULL)


def _sqlite(url: sa.URL) -> Engines:
    if (url.database or "") in {"", ":memory:"} or "mode=memory" in str(url):
        engine = _sqlite_engine(url, writes=True, poolclass=StaticPool)
        return Engines(engine, engine, shared=True)
    return Engines(
        _sqlite_engine(url, writes=True, pool_size=1, max_overflow=0),
        _sqlite_engine(url, pool_size=READERS, max_overflow=0),
    )


def _sqlite_engine(url: sa.URL, *, writes: bool = False, **options: Any) -> sa.Engine:
    engine = sa.create_engine(
        url,
        connect_args={"check_same_thread": False, "timeout": _BUSY_TIMEOUT / 1000},
        hide_parameters=True,  # an error must not quote a log
        **options,
    )

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        # With a write-ahead log, reads and the one writer do not wait for each
        # other. NORMAL: a commit is with the operating system, so it outlives
        # this process however it ends; FULL would wait for the disk on every
        # create to outlive a power cut too, too dear for a local server.
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        if writes:
            # What a statement would need to be taken back is small, and in a file
            # costs a quarter of a commit's time.
            cursor.execute("PRAGMA temp_store=MEMORY")
        cursor.close()
        if writes:
            connection.isolation_level = None  # `begin` below says it instead

    if writes:

        @sa.event.listens_for(engine, "begin")
        def begin(connection: sa.Connection) -> None:
            # Python's driver would begin only at the first insert: what was looked
            # up before it could be out of date by then, if another process writes.
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgresql(url: sa.URL) -> Engines:
    return Engines(
        _postgresql_engine(url, pool_size=_WRITERS),
        # A list asks twice, for the number and for the page: of one moment.
        _postgresql_engine(url, pool_size=READERS, isolation_level="REPEATABLE READ"),
    )


def _postgresql_engine(url: sa.URL, **options: Any) -> sa.Engine:
    defaults = {
        "application_name": "keywordsai",
        "connect_timeout": _CONNECT_TIMEOUT,
    }
    engine = sa.create_engine(
        url,
        connect_args={k: v for k, v in defaults.items() if k not in url.query},
        hide_parameters=True,  # an error must not quote a log
        max_overflow=0,
        # A connection that a restart of the database cut is replaced when it is
        # next taken, rather than failing whoever takes it.
        pool_pre_ping=True,
        **options,
    )

    @sa.event.listens_for(engine, "handle_error")
    def be_brief(context: sa.engine.ExceptionContext) -> None:
        # PostgreSQL's errors go on with details, which quote values.
        error, said = context.sqlalchemy_exception, context.original_exception
        primary = getattr(getattr(said, "diag", None), "message_primary", None)
        if (
            primary
            and isinstance(said, Exception)
            and isinstance(error, sa.exc.DBAPIError)
        ):
            error.orig = type(said)(primary)
            error.args = (f"({type(said).__name__}) {primary}",)

    return engine
