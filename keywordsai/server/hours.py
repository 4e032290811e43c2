"""How many logs there are of each hour, kept up to date as they come and go.

So that the number of logs of any time is known without counting them: only those
of the first and the last hour are looked at. Each hour's arrivals are bounded too,
which tells a list by what part of the logs to go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import sqlalchemy as sa

from keywordsai.server.tables import HOUR, counts, logs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from keywordsai.server.query import Selection

__all__ = ["Window", "count_in", "note_added", "note_removed", "window_of"]

_NOTE = sa.text(
    """INSERT INTO log_counts (hour, part, count, first_seq, last_seq)
    VALUES (:hour, :part, :count, :first, :last)
    ON CONFLICT (hour, part) DO UPDATE SET
        count = log_counts.count + excluded.count,
        first_seq = CASE WHEN excluded.first_seq < log_counts.first_seq
            THEN excluded.first_seq ELSE log_counts.first_seq END,
        last_seq = CASE WHEN excluded.last_seq > log_counts.last_seq
            THEN excluded.last_seq ELSE log_counts.last_seq END"""
)


def note_added(
    connection: sa.Connection, added: Iterable[tuple[int, int]], *, part: int
) -> None:
    """Count logs that this transaction stored.

    Args:
        connection: In the transaction.
        added: Of each log its timestamp and its seq.
        part: Whose row of the hour to change; each process has its own.
    """
    hours: dict[int, list[int]] = {}
    for timestamp, seq in added:
        hours.setdefault(timestamp // HOUR, []).append(seq)
    for hour, seqs in sorted(hours.items()):  # in one order: no deadlocks
        connection.execute(
            _NOTE,
            {
                "hour": hour,
                "part": part,
                "count": len(seqs),
                "first": min(seqs),
                "last": max(seqs),
            },
        )


def note_removed(
    connection: sa.Connection, timestamps: Iterable[int], *, part: int
) -> None:
    """Count off logs that this transaction removed, of which the timestamps are given.

    A part may count below zero, what counts is the sum.
    """
    hours: dict[int, int] = {}
    for timestamp in timestamps:
        hours[timestamp // HOUR] = hours.get(timestamp // HOUR, 0) + 1
    for hour, count in sorted(hours.items()):
        bounds = sa.select(
            sa.func.min(counts.c.first_seq), sa.func.max(counts.c.last_seq)
        ).where(counts.c.hour == hour)
        first, last = connection.execute(bounds).one()
        note = {"hour": hour, "part": part, "count": -count}
        connection.execute(_NOTE, {**note, "first": first or 0, "last": last or 0})


@attrs.frozen
class Window:
    """The span of time of a selection, as the logs that there are need it.

    Attributes:
        start: Its start; None if no log is earlier.
        end: Its end; None if no log is later.
        first: No log of the span has a lesser seq; None for no bound.
        last: No log of the span has a greater seq.
    """

    start: int | None = None
    end: int | None = None
    first: int | None = None
    last: int | None = None

    def sql(self, *, by_time: bool) -> list[sa.ColumnElement[bool]]:
        """The span as conditions over ``logs``.

        Args:
            by_time: Whether the index of the timestamps may be used; else the seqs
                are the way.
        """
        found: list[sa.ColumnElement[bool]] = []
        at: sa.ColumnElement[int] = logs.c.timestamp
        if not by_time:
            at = at + sa.literal_column("0")  # of this, there is no index
        if self.start is not None:
            found.append(at >= self.start)
        if self.end is not None:
            found.append(at <= self.end)
        if self.first is not None:
            found.append(logs.c.seq >= self.first)
        if self.last is not None:
            found.append(logs.c.seq <= self.last)
        return found


def window_of(connection: sa.Connection, selection: Selection) -> Window:
    """What of a selection's span has to be asked for, with the logs there are now."""
    start, end = selection.start, selection.end
    at = logs.c.timestamp
    if start is not None:
        earliest = connection.execute(sa.select(sa.func.min(at))).scalar_one()
        start = None if earliest is None or earliest >= start else start
    if end is not None:
        latest = connection.execute(sa.select(sa.func.max(at))).scalar_one()
        end = None if latest is None or latest <= end else end
    if start is None and end is None:
        return Window()
    bounds = sa.select(sa.func.min(counts.c.first_seq), sa.func.max(counts.c.last_seq))
    if start is not None:
        bounds = bounds.where(counts.c.hour >= start // HOUR)
    if end is not None:
        bounds = bounds.where(counts.c.hour <= end // HOUR)
    first, last = connection.execute(bounds).one()
    return Window(start, end, first, last)


def count_in(connection: sa.Connection, window: Window) -> int:
    """How many logs there are of a span of time."""
    first = None if window.start is None else window.start // HOUR
    last = None if window.end is None else window.end // HOUR
    whole = sa.select(sa.func.coalesce(sa.func.sum(counts.c.count), 0))
    if first is not None:
        whole = whole.where(counts.c.hour > first)
    if last is not None:
        whole = whole.where(counts.c.hour < last)
    # Of one hour only, it is counted as a whole.
    edges = {hour for hour in (first, last) if hour is not None}
    count = int(connection.execute(whole).scalar_one())
    for hour in edges:
        edge = sa.select(sa.func.count()).select_from(logs)
        edge = edge.where(logs.c.timestamp.between(hour * HOUR, hour * HOUR + HOUR - 1))
        if window.start is not None:
            edge = edge.where(logs.c.timestamp >= window.start)
        if window.end is not None:
            edge = edge.where(logs.c.timestamp <= window.end)
        count += connection.execute(edge).scalar_one()
    return count
