"""Logs into their tables, many rows by one statement."""

from __future__ import annotations

import functools
import itertools
import sqlite3
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from keywordsai.server.engines import copy_rows
from keywordsai.server.tables import attributes, bodies, logs, texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keywordsai.server.indexing import Index
    from keywordsai.server.newlogs import NewLog

__all__ = ["insert_index", "insert_logs", "insert_rows"]

_COPIED = 20  # so many rows are worth a COPY, which takes more turns
# Of one statement; older SQLites take no more than 999 parameters.
_MOST_PARAMETERS = 8192 if sqlite3.sqlite_version_info >= (3, 32) else 999

_columns_of = itemgetter(*[column.name for column in logs.columns][3:])


def insert_logs(
    connection: sa.Connection, new: Sequence[NewLog], seqs: Sequence[int]
) -> None:
    """Insert all that there is to store of logs, but their counts.

    Args:
        connection: In a transaction.
        new: The logs.
        seqs: By what the database is to keep each.
    """
    narrow, whole = [], []
    for log, seq in zip(new, seqs, strict=True):
        narrow.append((seq, log.id, log.timestamp, *_columns_of(log.index.columns)))
        whole.append(
            (seq, log.idempotency, log.prompt, log.answer, log.changes, log.body)
        )
    insert_rows(connection, logs, narrow)
    insert_rows(connection, bodies, whole)
    insert_index(connection, [log.index for log in new], seqs)


def insert_index(
    connection: sa.Connection, indexes: Sequence[Index], seqs: Sequence[int]
) -> None:
    """Insert what filters look at beside the columns; arguments as `insert_logs`."""
    named, written = [], []
    for index, seq in zip(indexes, seqs, strict=True):
        named += [
            (name, text, seq, number)
            for (name, text), number in index.attributes.items()
        ]
        written += [(seq, name, folded, text) for name, folded, text in index.texts]
    named.sort()  # by the primary key: neighbours are quickly put beside each other
    insert_rows(connection, attributes, named)
    insert_rows(connection, texts, written)


def insert_rows(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Sequence[Any]]
) -> None:
    """Insert rows, each with a value for every column of the table, in their order.

    SQLAlchemy would have the driver run the statement once for every row. Python's
    driver for SQLite lets go of the interpreter each time, and where other threads
    are busy it waits each time to have it back. PostgreSQL takes rows by COPY in a
    third of the time that it needs for as many statements.
    """
    if len(rows) >= _COPIED and connection.dialect.driver == "psycopg":
        copy_rows(connection, table, rows)
        return
    if not connection.dialect.positional:
        names = [column.name for column in table.columns]
        named = [dict(zip(names, row, strict=True)) for row in rows]
        if named:
            connection.execute(sa.insert(table), named)
        return
    done, at_once = 0, 1 << (_MOST_PARAMETERS // len(table.columns)).bit_length() - 1
    while done < len(rows):
        while at_once > len(rows) - done:
            at_once //= 2  # few sizes, so that statements are known
        values = tuple(itertools.chain.from_iterable(rows[done : done + at_once]))
        connection.exec_driver_sql(_statement(table, at_once), values)
        done += at_once


@functools.lru_cache(maxsize=64)  # some ten for each table
def _statement(table: sa.Table, rows: int) -> str:
    """The statement for so many rows, all columns of each in their order."""
    names = ", ".join(column.name for column in table.columns)
    row = f"({', '.join('?' * len(table.columns))})"
    values = ", ".join([row] * rows)
    return f"INSERT INTO {table.name} ({names}) VALUES {values}"  # noqa: S608  names
