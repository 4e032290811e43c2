"""Makes the tables of a new database, and brings those of an older one up to date.

The version is compared first, by plain queries; only if it differs is Alembic
imported. Whatever has to be done is done in one transaction that keeps others out,
for several processes may start at once.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from keywordsai.errors import ConfigurationError
from keywordsai.server.engines import shown
from keywordsai.server.migrations import NEWEST, VERSION_TABLE
from keywordsai.server.rebuilding import rebuild
from keywordsai.server.tables import metadata

if TYPE_CHECKING:
    from keywordsai.server.engines import Engines

__all__ = ["prepare"]

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = int.from_bytes(b"keywords", "big")  # PostgreSQL's are numbers
# Of the tables of version 0001, which did not say which version they are.
_UNVERSIONED = frozenset({"id", "created", "timestamp", "idempotency", "body"})
_version = sa.Table(  # as Alembic has it
    VERSION_TABLE,
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)


def prepare(engines: Engines) -> None:
    """See to it that the tables are those of this version.

    Raises:
        ConfigurationError: They are of a newer version, or of none.
        sqlalchemy.exc.SQLAlchemyError: The database does not do it.
    """
    with engines.reader.connect() as connection:
        if _version_of(connection) == NEWEST:
            return
    with engines.writer.begin() as connection:  # with SQLite, no other writes now
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        version = _version_of(connection)  # another process may have done it
        if version is None:
            version = _first_version(connection)
        if version != NEWEST:
            _upgrade(connection, version)


def _version_of(connection: sa.Connection) -> str | None:
    """The version of the tables, None if nothing says so."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(sa.select(_version.c.version_num)).scalar_one_or_none()


def _first_version(connection: sa.Connection) -> str:
    """Write the version down for the first time, of new tables unless there are some.

    Returns:
        The version.
    """
    looking = sa.inspect(connection)
    if not looking.has_table("logs"):
        version = NEWEST
        metadata.create_all(connection)
    elif {column["name"] for column in looking.get_columns("logs")} >= _UNVERSIONED:
        version = "0001"
    else:
        raise _refusal(connection, "it has a table logs that is not this server's")
    _version.create(connection)
    connection.execute(sa.insert(_version), {"version_num": version})
    return version


def _upgrade(connection: sa.Connection, version: str) -> None:
    if re.fullmatch("[0-9]{4}", version) is None or not "0001" <= version < NEWEST:
        raise _refusal(
            connection,
            f"its tables are of version {version}, and this keywordsai knows them up "
            f"to {NEWEST}; upgrade keywordsai, or name another database",
        )
    if version == "0001":
        rebuild(connection)
        connection.execute(sa.update(_version), {"version_num": NEWEST})
    else:
        _migrate(connection)


def _migrate(connection: sa.Connection) -> None:
    # Seldom needed, and a fifth of a second to import.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, NEWEST)


def _refusal(connection: sa.Connection, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"database: cannot use {shown(connection.engine.url)}: {why}"
    )
