"""Tables of which lists read only narrow ones.

Those of version 0001 are not altered: if they hold logs,
`keywordsai.server.rebuilding` makes the newest tables at once, and moves the logs
into them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_FOUND_BY = (
    *("model", "customer_identifier", "custom_identifier", "group_identifier"),
    *("thread_identifier", "trace_unique_id"),
)
_TEXTS = (
    *_FOUND_BY,
    *("log_type", "log_method", "status", "environment", "prompt_id", "prompt_name"),
    *("customer_email", "customer_name"),
)
_INTEGERS = (
    *("status_code", "prompt_tokens", "completion_tokens", "total_request_tokens"),
)
_NUMBERS = ("cost", "latency", "time_to_first_token", "tokens_per_second")


def upgrade() -> None:
    """Make them in place of the others, which hold nothing."""
    held = op.get_bind().execute(sa.text("SELECT id FROM logs LIMIT 1")).first()
    if held is not None:
        raise RuntimeError("logs of version 0001 are moved, not altered")
    op.drop_table("log_attributes")
    op.drop_table("logs")
    _make_logs()
    op.create_table(
        "log_bodies",
        _seq(),
        sa.Column("idempotency", sa.String(64)),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("changes", sa.Text),
        sa.Column("body", sa.Text, nullable=False),
    )
    _index("log_bodies", "idempotency", where="idempotency IS NOT NULL", unique=True)
    op.create_table(
        "log_attributes",
        sa.Column("name", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("text", _TEXT, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Double),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_log_attributes_seq", "log_attributes", ["seq"])
    _index("log_attributes", "number", "name", "number", where="number IS NOT NULL")
    op.create_table(
        "log_texts",
        sa.Column("seq", sa.BigInteger, nullable=False, index=True),
        sa.Column("name", sa.BigInteger, nullable=False, index=True),
        sa.Column("folded", sa.Integer, nullable=False),
        sa.Column("text", _TEXT, nullable=False),
    )
    op.create_table(
        "log_counts",
        sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _make_logs() -> None:
    op.create_table(
        "logs",
        _seq(),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("timestamp", sa.BigInteger, nullable=False, index=True),
        *(sa.Column(name, _TEXT) for name in _TEXTS),
        *(sa.Column(name, sa.BigInteger) for name in _INTEGERS),
        *(sa.Column(name, sa.Double) for name in _NUMBERS),
        sa.Column("start_time", sa.BigInteger),
        sa.Column("latency_bin", sa.Integer),
    )
    unusual = {"status": "status != 'success'", "status_code": "status_code != 200"}
    for name in (*_FOUND_BY, *unusual):
        where = unusual.get(name, f"{name} IS NOT NULL")
        _index("logs", name, name, "seq", "timestamp", where=where)


def _seq() -> sa.Column[int]:
    return sa.Column("seq", _SEQ, primary_key=True, autoincrement=False)


def _index(
    table: str, name: str, *columns: str, where: str, unique: bool = False
) -> None:
    op.create_index(
        f"ix_{table}_{name}",
        table,
        [*columns] or [name],
        unique=unique,
        sqlite_where=sa.text(where),
        postgresql_where=sa.text(where),
    )
