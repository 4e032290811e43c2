"""Pages of logs.

By which index a page is read is said here rather than left to the database, which
knows too little of the logs: the newest come first, and are found from that end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import sqlalchemy as sa

from keywordsai.server.ids import seq_of, seqs_of
from keywordsai.server.matching import Matching
from keywordsai.server.tables import MOST_PARAMETERS, bodies, logs
from keywordsai.server.where import Where

if TYPE_CHECKING:
    from keywordsai.server.query import ListQuery, Selection

__all__ = [
    "BriefLog",
    "Found",
    "StoredLog",
    "find",
    "find_brief",
    "find_one",
    "kept_by",
    "matching_seqs",
]


@attrs.frozen(kw_only=True)
class StoredLog:
    """A log as it is stored.

    Attributes:
        id: 32 hex digits.
        timestamp: Its instant, microseconds.
        body: Its JSON text as it came.
        changes: JSON of what was changed since, None if nothing was.
    """

    id: str
    timestamp: int
    body: str = attrs.field(repr=False)
    changes: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Found:
    """A page of logs, and how many logs match on all pages together."""

    count: int
    logs: Sequence[StoredLog]


@attrs.frozen(kw_only=True)
class BriefLog:
    """What a line of a list says of a log, without its body.

    Attributes:
        id: 32 hex digits.
        timestamp: Its instant, microseconds.
        prompt: The first words of what was asked.
        answer: The first words of what was answered.

    The others are as in its row, None where the log has no such value.
    """

    id: str
    timestamp: int
    model: str | None
    status: str | None
    status_code: int | None
    customer_identifier: str | None
    thread_identifier: str | None
    trace_unique_id: str | None
    prompt: str = attrs.field(repr=False)
    answer: str = attrs.field(repr=False)
    total_request_tokens: int | None
    cost: float | None
    latency: float | None


_STORED = (logs.c.id, logs.c.timestamp, bodies.c.body, bodies.c.changes)
_OF_BODIES = frozenset({"prompt", "answer"})
_BRIEF = tuple(
    (bodies if field.name in _OF_BODIES else logs).c[field.name]
    for field in attrs.fields(BriefLog)
)


def find_one(connection: sa.Connection, log_id: str) -> StoredLog | None:
    """The log of that id, None if there is none."""
    seq = kept_by(connection, log_id)
    if seq is not None:
        for found in _rows(connection, [seq], _STORED):
            return StoredLog(**found)
    return None


def kept_by(connection: sa.Connection, log_id: str) -> int | None:
    """The seq that a log is kept by, None if there is no such log."""
    first, last = seqs_of(log_id)
    between = logs.c.seq.between(first, last)
    for place in (logs.c.seq == seq_of(log_id), between):  # nearly always the former
        query = sa.select(logs.c.seq).where(place, logs.c.id == log_id)
        seq: int | None = connection.execute(query).scalar()
        if seq is not None:
            return seq
    return None


def _place(connection: sa.Connection, log_id: str) -> int:
    """Where a log is in the order of the seqs, or would be."""
    seq = kept_by(connection, log_id)
    return seq_of(log_id) if seq is None else seq


def find(connection: sa.Connection, query: ListQuery) -> Found:
    """A page of the logs that match, and the number of all that do."""
    selection = query.selection
    where = Where.of(connection, selection)
    column, seq = logs.c[query.sort_by], logs.c.seq
    order = [seq.desc() if query.descending else seq.asc()]
    if query.sort_by != "id":
        first = column.desc() if query.descending else column.asc()
        order.insert(0, first if query.sort_by == "timestamp" else first.nulls_last())
    by_time = query.sort_by == "timestamp"
    page = where.select(seq, by_time=by_time).order_by(*order)
    matching = matching_seqs(connection, selection, where, order=order)
    if matching is not None:
        seqs, count = matching, len(matching)
        seqs = seqs[query.offset : query.offset + query.page_size]
    else:
        count = where.count(connection)
        page = page.limit(query.page_size).offset(query.offset)
        seqs = list(connection.execute(page).scalars()) if query.offset < count else []
    rows = _rows(connection, seqs, _STORED)
    return Found(count=count, logs=[StoredLog(**found) for found in rows])


def find_brief(
    connection: sa.Connection,
    selection: Selection,
    *,
    before: str | None,
    after: str | None,
    limit: int,
) -> list[BriefLog]:
    """The newest logs that match, in brief; see `Store.brief`."""
    where = Where.of(connection, selection)
    seq = logs.c.seq
    rising = after is not None and before is None
    page = where.select(seq).order_by(seq.asc() if rising else seq.desc())
    if before is not None:
        page = page.where(seq < _place(connection, before))
    if after is not None:
        page = page.where(seq > _place(connection, after))
    matching = Matching.of(selection)
    if matching is None:
        seqs = list(connection.execute(page.limit(limit)).scalars())
    else:
        seqs = []
        for candidates in _parts(connection, page, rising=rising):
            for found, log in _stored(connection, candidates):
                if matching.holds(log):
                    seqs.append(found)
            if len(seqs) >= limit or matching.exhausted():
                break
        del seqs[limit:]
    found_rows = _rows(connection, seqs, _BRIEF)
    brief = [BriefLog(**found) for found in found_rows]
    return brief[::-1] if rising else brief


def matching_seqs(
    connection: sa.Connection,
    selection: Selection,
    where: Where,
    *,
    order: Sequence[sa.ColumnElement[Any]] = (),
) -> list[int] | None:
    """All the logs that match, if bodies have to be read to know; else None."""
    matching = Matching.of(selection)
    if matching is None:
        return None
    select = where.select(logs.c.seq).order_by(*order)
    candidates = connection.execute(select).scalars().all()
    found = _stored(connection, candidates)
    return [seq for seq, log in found if matching.holds(log)]


def _parts(
    connection: sa.Connection, page: sa.Select[Any], *, rising: bool
) -> Iterator[Sequence[int]]:
    """The seqs of a select that is ordered by them, some at a time."""
    seq, part = logs.c.seq, page
    while found := connection.execute(part.limit(MOST_PARAMETERS)).scalars().all():
        yield found
        part = page.where(seq > found[-1] if rising else seq < found[-1])


def _stored(
    connection: sa.Connection, seqs: Sequence[int]
) -> Iterator[tuple[int, StoredLog]]:
    """Logs with their seqs, in the order of those."""
    for row in _rows(connection, seqs, (logs.c.seq, *_STORED)):
        yield row.pop("seq"), StoredLog(**row)


def _rows(
    connection: sa.Connection, seqs: Sequence[int], columns: Sequence[sa.Column[Any]]
) -> Iterator[dict[str, Any]]:
    """Columns of logs and bodies by their names, in the order of the seqs."""
    names = [column.name for column in columns]
    for start in range(0, len(seqs), MOST_PARAMETERS):
        part = seqs[start : start + MOST_PARAMETERS]
        query = sa.select(logs.c.seq.label("its_seq"), *columns).where(
            logs.c.seq.in_(part), bodies.c.seq == logs.c.seq
        )
        found = {row[0]: row[1:] for row in connection.execute(query)}
        for seq in part:
            if seq in found:  # else it was removed just now
                yield dict(zip(names, found[seq], strict=True))
