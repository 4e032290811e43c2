"""Takes the logs out of the tables of keywordsai 2.0.0, and stores them anew.

Those tables were too different to be altered step by step. All of it is done in the
transaction of whoever asks for it.
"""

from __future__ import annotations

import sqlalchemy as sa

from keywordsai.server.hours import note_added
from keywordsai.server.ids import seqs_of
from keywordsai.server.inserts import insert_logs
from keywordsai.server.newlogs import PostedLog
from keywordsai.server.tables import metadata

__all__ = ["rebuild"]

_AT_ONCE = 500
_old = sa.table(
    "logs_of_2_0_0",
    *map(sa.column, ("id", "created", "timestamp", "idempotency", "body")),
)


def rebuild(connection: sa.Connection) -> None:
    """Make the tables of now, and move every log into them under its id."""
    connection.execute(sa.text("DROP TABLE log_attributes"))
    for index in sa.inspect(connection).get_indexes("logs"):
        if str(index["name"]).startswith("ix_"):
            connection.execute(sa.text(f'DROP INDEX "{index["name"]}"'))
    connection.execute(sa.text(f"ALTER TABLE logs RENAME TO {_old.name}"))
    metadata.create_all(connection)
    last_id, last_seq = "", -1
    query = sa.select(_old).order_by(_old.c.id).limit(_AT_ONCE)
    while found := connection.execute(query.where(_old.c.id > last_id)).all():
        new, seqs = [], []
        for row in found:
            log = PostedLog(
                id=row.id,
                arrived=row.created,
                body=row.body,
                idempotency=row.idempotency,
            )
            # The ids of one millisecond often have the same seq: one after the other.
            last_seq = max(last_seq + 1, seqs_of(row.id)[0])
            new.append(log.ready())
            seqs.append(last_seq)
        insert_logs(connection, new, seqs)
        times = [log.timestamp for log in new]
        note_added(connection, zip(times, seqs, strict=True), part=0)
        last_id = found[-1].id
    connection.execute(sa.text(f"DROP TABLE {_old.name}"))
