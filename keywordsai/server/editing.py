"""A log changed or removed, with all that stands beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from keywordsai.server.finding import StoredLog, find_one, kept_by
from keywordsai.server.hours import note_removed
from keywordsai.server.inserts import insert_index
from keywordsai.server.tables import attributes, bodies, logs, texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from keywordsai.server.newlogs import NewLog

__all__ = ["change", "remove"]


def _lock(connection: sa.Connection, log_id: str) -> int | None:
    """Keep others from changing a log until the transaction ends; give its seq."""
    seq = kept_by(connection, log_id)
    if seq is None:
        return None
    # SQLite has one writer at a time, and no words for this.
    query = sa.select(bodies.c.seq).where(bodies.c.seq == seq).with_for_update()
    found: int | None = connection.execute(query).scalar()
    return found


def _forget_index(connection: sa.Connection, seq: int) -> None:
    for table in (attributes, texts):
        connection.execute(sa.delete(table).where(table.c.seq == seq))


def change(
    connection: sa.Connection, log_id: str, edit: Callable[[StoredLog], NewLog]
) -> bool:
    """Store what is made of a log in its place; whether there is such a log.

    What was sent, its instant and its idempotency digest stay as they are.

    Args:
        connection: In a transaction that may write.
        log_id: The log's id.
        edit: Makes the new one.
    """
    seq = _lock(connection, log_id)
    # Read once it is locked: as it is now, whoever changed it before.
    found = None if seq is None else find_one(connection, log_id)
    if seq is None or found is None:
        return False
    new = edit(found)
    columns = sa.update(logs).where(logs.c.seq == seq).values(new.index.columns)
    connection.execute(columns)
    beside = {"prompt": new.prompt, "answer": new.answer, "changes": new.changes}
    connection.execute(sa.update(bodies).where(bodies.c.seq == seq).values(beside))
    _forget_index(connection, seq)
    insert_index(connection, [new.index], [seq])
    return True


def remove(connection: sa.Connection, log_id: str, *, part: int) -> bool:
    """Remove a log; whether there was such a log.

    Args:
        connection: In a transaction that may write.
        log_id: The log's id.
        part: As `keywordsai.server.hours.note_removed` has it.
    """
    seq = _lock(connection, log_id)
    if seq is None:
        return False
    at = sa.select(logs.c.timestamp).where(logs.c.seq == seq)
    timestamp = connection.execute(at).scalar_one()
    _forget_index(connection, seq)
    for table in (logs, bodies):
        connection.execute(sa.delete(table).where(table.c.seq == seq))
    note_removed(connection, [timestamp], part=part)
    return True
