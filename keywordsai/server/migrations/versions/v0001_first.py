"""The tables of keywordsai 2.0.0, which wrote no version down."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    texts = (
        *("model", "log_type", "customer_identifier", "custom_identifier"),
        *("group_identifier", "thread_identifier", "trace_unique_id"),
    )
    integers = (
        *("status_code", "prompt_tokens", "completion_tokens"),
        "total_request_tokens",
    )
    numbers = ("cost", "latency", "time_to_first_token", "tokens_per_second")
    op.create_table(
        "logs",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("created", sa.BigInteger, nullable=False, index=True),
        sa.Column("timestamp", sa.BigInteger, nullable=False, index=True),
        sa.Column("idempotency", sa.String(64), unique=True),
        *(
            sa.Column(name, sa.Text)
            for name in (*texts, "status", "environment", "prompt_id")
        ),
        *(sa.Column(name, sa.BigInteger) for name in integers),
        *(sa.Column(name, sa.Double) for name in numbers),
        sa.Column("body", sa.Text, nullable=False),
    )
    for name in (*texts, "status_code"):
        op.create_index(f"ix_logs_{name}_timestamp", "logs", [name, "timestamp"])
    op.create_table(
        "log_attributes",
        sa.Column("log_id", sa.String(32), sa.ForeignKey("logs.id"), primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("number", sa.Double),
    )
    for column in ("text", "number"):
        name = f"ix_log_attributes_name_{column}"
        op.create_index(name, "log_attributes", ["name", column])
