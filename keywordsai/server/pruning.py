"""Old logs removed, a few at a time, with all that stands beside them."""

from __future__ import annotations

import sqlalchemy as sa

from keywordsai.server.hours import note_removed
from keywordsai.server.tables import attributes, bodies, logs, texts

__all__ = ["prune"]


def prune(connection: sa.Connection, *, before: int, most: int, part: int) -> int:
    """Remove the oldest logs; gives how many.

    Args:
        connection: In a transaction that may write.
        before: The instant up to which logs are old, microseconds.
        most: How many are removed at most, so that nobody waits for long.
        part: As `keywordsai.server.hours.note_removed` has it.
    """
    old = (
        sa.select(logs.c.seq, logs.c.timestamp)
        .where(logs.c.timestamp < before)
        .order_by(logs.c.timestamp)
        .limit(most)
    )
    # Locked as a change locks them. What another process has in hand is left to it
    # and to the next time; SQLite has one writer, and no words for this.
    held = (
        sa.select(bodies.c.seq)
        .where(bodies.c.seq.in_(sa.select(old.subquery().c.seq)))
        .with_for_update(skip_locked=True)
    )
    seqs = connection.execute(held).scalars().all()
    if not seqs:
        return 0
    query = sa.select(logs.c.timestamp).where(logs.c.seq.in_(seqs))
    timestamps = connection.execute(query).scalars().all()
    for table in (attributes, texts, logs, bodies):
        connection.execute(sa.delete(table).where(table.c.seq.in_(seqs)))
    note_removed(connection, timestamps, part=part)
    return len(seqs)
