"""One module for each version of the tables; Alembic finds them by their folder."""
