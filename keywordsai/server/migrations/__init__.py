"""Versions of the tables, for Alembic.

`NEWEST` is the version of `keywordsai.server.tables`. Whoever changes the tables
adds a module to ``versions`` that changes those of the version before, numbered on,
and raises `NEWEST`. A new database is made as the tables are, by no migration, so a
module imports neither the tables nor what reads logs: both go on changing.
"""

from __future__ import annotations

__all__ = ["NEWEST", "VERSION_TABLE"]

NEWEST = "0002"
VERSION_TABLE = "log_schema_version"
