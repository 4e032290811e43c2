"""Rows into a table, many of them by one statement."""

from __future__ import annotations

import functools
import itertools
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["insert_rows"]

_MOST_PARAMETERS = 999  # of one statement: all that older SQLites take


def insert_rows(
    connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]
) -> None:
    """Insert rows, each with a value for every column of the table.

    SQLAlchemy would have the driver run the statement once for every row. Python's
    driver for SQLite lets go of the interpreter each time, and where other threads
    are busy it waits each time to have it back.
    """
    done = 0
    if connection.dialect.positional:
        values_of = itemgetter(*(column.name for column in table.columns))
        at_once = _MOST_PARAMETERS // len(table.columns)
        while len(rows) - done >= at_once:
            part = rows[done : done + at_once]
            values = tuple(itertools.chain.from_iterable(map(values_of, part)))
            statement = _statement(table, at_once, connection.dialect)
            connection.exec_driver_sql(statement, values)
            done += at_once
    if done < len(rows):
        connection.execute(sa.insert(table), rows[done:])


@functools.lru_cache(maxsize=16)  # two of each database, and few are in use
def _statement(table: sa.Table, rows: int, dialect: sa.Dialect) -> str:
    """The statement for so many rows, all columns of each in their order."""
    values: list[dict[str, Any]] = [
        {column.name: sa.bindparam(f"{column.name}_{row}") for column in table.columns}
        for row in range(rows)
    ]
    return str(sa.insert(table).values(values).compile(dialect=dialect))
