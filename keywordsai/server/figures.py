"""Sums, means and percentiles over many logs, added up by the database.

A percentile comes of counting latencies in bins, each of which spans one percent;
of its bin, the mean is given. So it is at most one percent off, and right where the
logs of a bin have one latency.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import sqlalchemy as sa

from keywordsai.server.aggregates import Figures, Group, Overview, Percentiles, Span
from keywordsai.server.finding import matching_seqs
from keywordsai.server.tables import MOST_PARAMETERS, logs
from keywordsai.server.where import Where

if TYPE_CHECKING:
    from keywordsai.server.query import Selection

__all__ = ["GROUPED", "MOST_GROUPS", "MOST_SPANS", "overview", "summarize"]

GROUPED = ("model", "customer_identifier", "prompt_id")
"""The fields by which an overview groups logs."""

MOST_GROUPS = 20
"""Of a field."""

MOST_SPANS = 1000
"""Of an overview; a shorter step is made longer."""

_FAILED = sa.or_(
    logs.c.status.in_(["failed", "error"]),
    sa.and_(logs.c.status.is_distinct_from("success"), logs.c.status_code >= 400),
)


def _sum(column: sa.ColumnElement[Any]) -> sa.ColumnElement[float]:
    # As floats, of which no sum is too large for the database.
    return sa.func.coalesce(sa.func.sum(sa.cast(column, sa.Double)), 0.0)


_SUMMED: dict[str, sa.ColumnElement[Any]] = {
    "requests": sa.func.count(),
    "errors": _sum(sa.case((_FAILED, 1), else_=0)),
    "cost": _sum(logs.c.cost),
    "tokens": _sum(logs.c.total_request_tokens),
    "prompt_tokens": _sum(logs.c.prompt_tokens),
    "completion_tokens": _sum(logs.c.completion_tokens),
    "latency": _sum(logs.c.latency),
    "timed": sa.func.count(logs.c.latency),
    "tokens_per_second": _sum(logs.c.tokens_per_second),
    "paced": sa.func.count(logs.c.tokens_per_second),
    "time_to_first_token": _sum(logs.c.time_to_first_token),
    "started": sa.func.count(logs.c.time_to_first_token),
}
_COLUMNS = tuple(column.label(f"its_{name}") for name, column in _SUMMED.items())
_COUNTS = ("requests", "errors", "tokens", "prompt_tokens", "completion_tokens")


@attrs.define
class _Sums:
    """Adds up rows of sums, and counts of latencies by their bins."""

    sums: dict[str, float] = attrs.field(factory=lambda: dict.fromkeys(_SUMMED, 0))
    bins: dict[int, tuple[int, float]] = attrs.field(factory=dict)

    def add(self, values: Sequence[Any]) -> None:
        for name, value in zip(_SUMMED, values, strict=True):
            self.sums[name] += value

    def count(self, number: int, many: int, latency: float) -> None:
        before, total = self.bins.get(number, (0, 0.0))
        self.bins[number] = (before + many, total + latency)

    def figures(self) -> Figures:
        sums = self.sums
        return Figures(
            **{name: int(sums[name]) for name in _COUNTS},
            cost=float(sums["cost"]),
            latency=_mean(sums["latency"], sums["timed"]),
            tokens_per_second=_mean(sums["tokens_per_second"], sums["paced"]),
            time_to_first_token=_mean(sums["time_to_first_token"], sums["started"]),
        )

    def percentiles(self) -> Percentiles:
        count = sum(many for many, _ in self.bins.values())
        if not count:
            return Percentiles()
        ordered = sorted(self.bins.items())

        def at(percent: int) -> float:
            passed = 0
            for _, (many, total) in ordered:
                passed += many
                if passed * 100 >= count * percent:
                    return total / many
            raise AssertionError

        return Percentiles(p50=at(50), p95=at(95), p99=at(99))


def _mean(total: float, count: float) -> float | None:
    return total / count if count else None


@attrs.frozen
class _Reading:
    """Reads sums over the logs of a selection, by whatever they are divided by."""

    connection: sa.Connection
    where: Where
    seqs: list[int] | None
    by_time: bool

    @classmethod
    def of(cls, connection: sa.Connection, selection: Selection) -> _Reading:
        where = Where.of(connection, selection)
        seqs = matching_seqs(connection, selection, where)
        return cls(connection, where, seqs, not where.in_order(connection))

    def rows(self, *columns: Any, by: Sequence[Any] = (), **more: Any) -> Iterator[Any]:
        """Rows of aggregates; of one group there may be several, to be added up."""
        for select in self._selects(columns):
            limited = select.where(*more.get("where", ())).group_by(*by)
            yield from self.connection.execute(limited)

    def _selects(self, columns: tuple[Any, ...]) -> Iterator[sa.Select[Any]]:
        if self.seqs is None:
            yield self.where.select(*columns, by_time=self.by_time)
            return
        for start in range(0, len(self.seqs), MOST_PARAMETERS):
            part = self.seqs[start : start + MOST_PARAMETERS]
            yield sa.select(*columns).where(logs.c.seq.in_(part))

    def sums(self, key: sa.ColumnElement[Any]) -> dict[Any, _Sums]:
        """The sums of every group."""
        found: dict[Any, _Sums] = {}
        for value, *values in self.rows(key, *_COLUMNS, by=[key]):
            found.setdefault(value, _Sums()).add(values)
        return found

    def count(self, key: sa.ColumnElement[Any], groups: dict[Any, _Sums]) -> None:
        """Count the latencies of these groups by their bins."""
        number = logs.c.latency_bin
        where: list[sa.ColumnElement[bool]] = [number.is_not(None)]
        if isinstance(key, sa.Column):  # else they are all there are
            known = [value for value in groups if value is not None]
            within = key.in_(known)
            where.append(sa.or_(within, key.is_(None)) if None in groups else within)
        many, latency = sa.func.count(), sa.func.sum(logs.c.latency)
        columns = key, number, many, latency
        for value, *counted in self.rows(*columns, by=[key, number], where=where):
            if value in groups:  # a log may have come in the meantime
                groups[value].count(*counted)


def summarize(connection: sa.Connection, selection: Selection) -> Figures:
    """Sums and means over the logs that match."""
    sums = _Sums()
    for row in _Reading.of(connection, selection).rows(*_COLUMNS):
        sums.add(row)
    return sums.figures()


def overview(connection: sa.Connection, selection: Selection, *, step: int) -> Overview:
    """Figures over the logs that match, by time and by what they share."""
    reading = _Reading.of(connection, selection)
    start, end = selection.start, selection.end
    if start is None or end is None:
        at = logs.c.timestamp
        found = reading.rows(sa.func.min(at), sa.func.max(at))
        known = [tuple(row) for row in found if row[0] is not None]
        if known:
            start = min(first for first, _ in known) if start is None else start
            end = max(last for _, last in known) if end is None else end
    step = max(step, 1)
    numbers = range(0)
    if start is not None and end is not None and start <= end:
        while end // step - start // step >= MOST_SPANS:
            step *= 2
        numbers = range(start // step, end // step + 1)
    number = _floor(logs.c.timestamp, step)
    sums = reading.sums(number)
    reading.count(number, sums)
    total = _Sums()
    for one in sums.values():
        total.add(list(one.sums.values()))
        for bin_, counted in one.bins.items():
            total.count(bin_, *counted)
    nothing = _Sums()
    spans = ((n, sums.get(n, nothing)) for n in numbers)
    return Overview(
        total=total.figures(),
        latency=total.percentiles(),
        step=step,
        spans=tuple(
            Span(start=n * step, figures=one.figures(), latency=one.percentiles())
            for n, one in spans
        ),
        groups={name: _groups(reading, name) for name in GROUPED},
    )


def _floor(column: sa.ColumnElement[int], step: int) -> sa.ColumnElement[int]:
    """Which step an instant is in; before 1970 too, where databases round up."""
    early = sa.case((column < 0, column - (step - 1)), else_=column)
    return sa.cast(early.op("/")(sa.literal_column(str(step))), sa.BigInteger)


def _groups(reading: _Reading, name: str) -> tuple[Group, ...]:
    sums = reading.sums(logs.c[name])
    ranked = sorted(
        sums.items(), key=lambda group: (-group[1].sums["requests"], group[0] or "")
    )
    most = dict(ranked[:MOST_GROUPS])
    reading.count(logs.c[name], most)
    return tuple(
        Group(value=value, figures=one.figures(), latency=one.percentiles())
        for value, one in most.items()
    )
