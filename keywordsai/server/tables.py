"""The tables, in SQLAlchemy Core.

``logs`` is narrow: what lists sort and filter by, so that neither reads a body.
``log_bodies`` has the text of each log as it came. ``log_attributes`` has a row for
every other plain value that a filter may ask for: this way a filter needs no JSON
functions, which differ from one database to the next. ``log_texts`` has what an
index would not take of such a value, or could not say alike on every database.
``log_counts`` says how many logs there are of each hour, so that nobody counts them.

All of a log is found by ``seq``, the first bits of its id, which order logs as their
ids do. What goes into the columns is made in `keywordsai.server.indexing`.
"""

from __future__ import annotations

import sqlalchemy as sa

__all__ = [
    "FIRST_TEXTS",
    "HOUR",
    "INTEGER_COLUMNS",
    "MOST_PARAMETERS",
    "NUMBER_COLUMNS",
    "TEXT_COLUMNS",
    "TIME_COLUMNS",
    "attributes",
    "bodies",
    "counts",
    "logs",
    "metadata",
    "texts",
]

MOST_PARAMETERS = 500
"""In one ``IN (...)``, well below any database's limit."""

_INDEXED_TEXT = (
    *("model", "customer_identifier", "custom_identifier", "group_identifier"),
    *("thread_identifier", "trace_unique_id"),
)
TEXT_COLUMNS = (
    *_INDEXED_TEXT,
    *("log_type", "log_method", "status", "environment", "prompt_id", "prompt_name"),
    *("customer_email", "customer_name"),
)
INTEGER_COLUMNS = (
    *("status_code", "prompt_tokens", "completion_tokens", "total_request_tokens"),
)
NUMBER_COLUMNS = ("cost", "latency", "time_to_first_token", "tokens_per_second")
TIME_COLUMNS = ("start_time",)

HOUR = 3_600_000_000
"""Microseconds; the logs of each are counted."""

FIRST_TEXTS = ("success", 200)
"""The status and the status code of nearly every log: an index leaves them out."""

metadata = sa.MetaData()

# By code points, as SQLite has it, and not by some country's alphabet.
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # there, the row's number

logs = sa.Table(
    "logs",
    metadata,
    sa.Column("seq", _SEQ, primary_key=True, autoincrement=False),
    sa.Column("id", sa.String(32), nullable=False),
    sa.Column("timestamp", sa.BigInteger, nullable=False, index=True),
    *(sa.Column(name, _TEXT) for name in TEXT_COLUMNS),
    *(sa.Column(name, sa.BigInteger) for name in INTEGER_COLUMNS),
    *(sa.Column(name, sa.Double) for name in NUMBER_COLUMNS),
    *(sa.Column(name, sa.BigInteger) for name in TIME_COLUMNS),
    # So that percentiles can be had by counting, see `keywordsai.server.aggregates`.
    sa.Column("latency_bin", sa.Integer),
)


def _partial(name: str, *columns: str, where: sa.ColumnElement[bool]) -> None:
    """An index of the rows that have something to be found by."""
    sa.Index(
        f"ix_logs_{name}",
        *(logs.c[column] for column in columns),
        sqlite_where=where,
        postgresql_where=where,
    )


# With the seq, for the newest come first, and the timestamp, to be counted by.
for _name in _INDEXED_TEXT:
    _partial(_name, _name, "seq", "timestamp", where=logs.c[_name].is_not(None))
for _name, _usual in zip(("status", "status_code"), FIRST_TEXTS, strict=True):
    _where = logs.c[_name] != sa.literal_column(repr(_usual))
    _partial(_name, _name, "seq", "timestamp", where=_where)

bodies = sa.Table(
    "log_bodies",
    metadata,
    sa.Column("seq", _SEQ, primary_key=True, autoincrement=False),
    sa.Column("idempotency", sa.String(64)),
    sa.Column("prompt", sa.Text, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("changes", sa.Text),
    sa.Column("body", sa.Text, nullable=False),  # last: SQLite reads rows from the left
)
sa.Index(
    "ix_log_bodies_idempotency",
    bodies.c.idempotency,
    unique=True,
    sqlite_where=bodies.c.idempotency.is_not(None),
    postgresql_where=bodies.c.idempotency.is_not(None),
)

attributes = sa.Table(
    "log_attributes",
    metadata,
    sa.Column("name", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("text", _TEXT, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Double),
    sa.Index("ix_log_attributes_seq", "seq"),
    sqlite_with_rowid=False,  # the primary key is the table
)
sa.Index(
    "ix_log_attributes_number",
    attributes.c.name,
    attributes.c.number,
    sqlite_where=attributes.c.number.is_not(None),
    postgresql_where=attributes.c.number.is_not(None),
)

texts = sa.Table(
    "log_texts",
    metadata,
    sa.Column("seq", sa.BigInteger, nullable=False, index=True),
    sa.Column("name", sa.BigInteger, nullable=False, index=True),
    sa.Column("folded", sa.Integer, nullable=False),  # 1: without case
    sa.Column("text", _TEXT, nullable=False),
)

counts = sa.Table(
    "log_counts",
    metadata,
    sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
    # Several rows an hour, so that processes do not wait for each other's.
    sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("first_seq", sa.BigInteger, nullable=False),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
