"""Which logs a selection means, as SQL that goes the short way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import sqlalchemy as sa

from keywordsai.server.fields import Kind, resolve
from keywordsai.server.filters import Clause, clause
from keywordsai.server.hours import Window, count_in, window_of
from keywordsai.server.tables import logs

if TYPE_CHECKING:
    from keywordsai.server.query import Selection

__all__ = ["Where"]

_SHORT = 5_000  # logs that are quicker looked up one by one than passed by


@attrs.frozen
class Where:
    """A selection as SQL, without what only bodies tell.

    Attributes:
        window: The span of time.
        clauses: The conditions.
        probing: Of each clause, whether its lists are too long to be made first.
        few: Whether the span has so few logs that its index is the way.
    """

    window: Window
    clauses: tuple[Clause, ...]
    probing: tuple[bool, ...]
    few: bool = False

    @classmethod
    def of(cls, connection: sa.Connection, selection: Selection) -> Where:
        """Look at the logs that there are, and choose."""
        window = window_of(connection, selection)
        clauses = tuple(
            _bounded(clause(condition), window)
            for condition in selection.conditions
            if resolve(condition.field)[0] is not Kind.BODY
        )
        probing = tuple(
            any(_is_long(connection, listed) for listed in found.listed)
            for found in clauses
        )
        timed = window.start is not None or window.end is not None
        few = timed and count_in(connection, window) <= _SHORT
        return cls(window, clauses, probing, few)

    def select(self, *columns: Any, by_time: bool = False) -> sa.Select[Any]:
        """Columns of the logs that are meant.

        Args:
            columns: Of ``logs``.
            by_time: Whether to go by the index of the timestamps if no condition
                is shorter; else by the seq.
        """
        chosen = sa.select(*columns).select_from(logs)
        return chosen.where(
            *self.window.sql(by_time=by_time or (self.few and not self.clauses)),
            *(
                found.sql(probing=probing)
                for found, probing in zip(self.clauses, self.probing, strict=True)
            ),
        )

    def in_order(self, connection: sa.Connection) -> bool:
        """Whether the logs of the span came one after the other, with few between.

        Then reading along the seqs is quicker than to look up what an index names.
        """
        first, last = self.window.first, self.window.last
        if first is None or last is None:
            return True
        most = 2 * count_in(connection, self.window) + _SHORT
        seq = logs.c.seq
        between = sa.select(seq).where(seq.between(first, last)).limit(most).subquery()
        counting = sa.select(sa.func.count()).select_from(between)
        return bool(connection.execute(counting).scalar_one() < most)

    def count(self, connection: sa.Connection) -> int:
        """How many logs are meant."""
        if not self.clauses:
            return count_in(connection, self.window)
        everything = self.window.start is None and self.window.end is None
        if len(self.clauses) == 1 and self.clauses[0].own is None and everything:
            # The lists alone tell.
            (only,) = self.clauses
            listed = sa.union(*only.listed) if only.listed[1:] else only.listed[0]
            if not only.unique and not only.listed[1:]:
                listed = only.listed[0].distinct()
            counting = sa.select(sa.func.count()).select_from(listed.subquery())
            count = int(connection.execute(counting).scalar_one())
            return count_in(connection, self.window) - count if only.negated else count
        counting = self.select(sa.func.count())
        return int(connection.execute(counting).scalar_one())


def _bounded(found: Clause, window: Window) -> Clause:
    """A clause whose lists have no logs that are surely out of the span."""
    lists = []
    for listed in found.listed:
        (seq,) = listed.selected_columns
        first, last = window.first, window.last
        bounds = [
            *([] if first is None else [seq >= first]),
            *([] if last is None else [seq <= last]),
        ]
        lists.append(listed.where(*bounds))
    return attrs.evolve(found, listed=tuple(lists))


def _is_long(connection: sa.Connection, listed: sa.Select[tuple[int]]) -> bool:
    some = listed.limit(_SHORT + 1).subquery()
    counting = sa.select(sa.func.count()).select_from(some)
    return bool(connection.execute(counting).scalar_one() > _SHORT)
