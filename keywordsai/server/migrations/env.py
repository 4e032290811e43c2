"""What Alembic runs to migrate: within the transaction of whoever asked for it."""

from __future__ import annotations

from alembic import context

from keywordsai.server.migrations import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"], version_table=VERSION_TABLE
)
context.run_migrations()
