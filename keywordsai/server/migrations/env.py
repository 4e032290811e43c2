"""What Alembic runs to migrate: within the transaction of whoever asked for it."""

from __future__ import annotations

from alembic import context

from keywordsai.server.migrations import VERSION_TABLE

config = getattr(context, "config", None)
if config is not None:  # else this is only being imported
    context.configure(
        connection=config.attributes["connection"], version_table=VERSION_TABLE
    )
    context.run_migrations()
