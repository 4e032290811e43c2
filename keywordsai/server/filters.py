"""Conditions of a list as SQL.

A condition asks columns of ``logs``, or rows beside it: those of other values, and
those of texts that are too long for an index or whose case SQL cannot fold. A
`Clause` holds both apart, for which way is quick depends on how many rows there are.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import attrs
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.sql.functions import GenericFunction

from keywordsai.server.fields import Kind, resolve
from keywordsai.server.ids import seq_of, seqs_of
from keywordsai.server.indexing import (
    EMPTY,
    MARK,
    as_float,
    canonical,
    clamp,
    name_of,
    storable,
)
from keywordsai.server.tables import (
    FIRST_TEXTS,
    INTEGER_COLUMNS,
    attributes,
    logs,
    texts,
)
from keywordsai.server.times import parse_time
from keywordsai.server.values import COMPARE, OPPOSITES, number_in, texts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from keywordsai.server.query import Condition, Plain

__all__ = ["Clause", "clause"]

_FLAT = 50  # tests that stand in one row

_Bool = sa.ColumnElement[bool]
_Column = sa.ColumnElement[Any]


@attrs.frozen
class Clause:
    """A condition: the log's own columns say so, or it is in one of some lists.

    Attributes:
        own: What the columns say; None if they cannot.
        listed: Selects of the ``seq`` of logs.
        negated: Whether those logs are meant of which none of this is true.
        unique: Whether no list has a log twice.
    """

    own: _Bool | None = None
    listed: tuple[sa.Select[tuple[int]], ...] = ()
    negated: bool = False
    unique: bool = False

    def sql(self, *, probing: bool = False) -> _Bool:
        """The condition over a row of ``logs``.

        Args:
            probing: Look into the lists log by log, rather than make them first:
                quicker where they are long and few logs are wanted.
        """
        either = [] if self.own is None else [self.own]
        for listed in self.listed:
            if probing:
                (seq,) = listed.selected_columns
                either.append(listed.where(seq == logs.c.seq).correlate(logs).exists())
            else:
                either.append(logs.c.seq.in_(listed))
        found = sa.or_(*either) if either else sa.false()
        # What is unknown, of a column without a value, is not the case.
        return sa.not_(sa.func.coalesce(found, sa.false())) if self.negated else found


class position(GenericFunction[int]):  # noqa: N801 - a function, named like one
    """Where in a text another begins, from 1; 0 if nowhere. LIKE has wildcards."""

    inherit_cache = True


@compiles(position)
def _instr(element: position, compiler: Any, **options: Any) -> str:
    return f"instr({compiler.process(element.clauses, **options)})"


@compiles(position, "postgresql")
def _strpos(element: position, compiler: Any, **options: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **options)})"


def _contains(column: _Column, text: str) -> _Bool:
    return position(column, text) > 0


def _starts(column: _Column, text: str) -> _Bool:
    return sa.func.substr(column, 1, len(text)) == text


def _ends(column: _Column, text: str) -> _Bool:
    long = sa.func.length(column) >= len(text)
    start = sa.func.length(column) - (len(text) - 1)
    return sa.and_(long, sa.func.substr(column, start) == text)


_SEARCH: dict[str, Callable[[_Column, str], _Bool]] = {
    "contains": _contains,
    "startswith": _starts,
    "endswith": _ends,
    **COMPARE,
}
_FOLDED: dict[str, Callable[[_Column, str], _Bool]] = {
    "icontains": _contains,
    "iexact": operator.eq,
}


def _any(tests: Sequence[_Bool]) -> _Bool:
    """Whether one of many holds: in halves, for SQLite limits how deep this may be."""
    if len(tests) <= _FLAT:
        return sa.or_(sa.false(), *tests)
    half = len(tests) // 2
    first, second = (Grouping(_any(part)) for part in (tests[:half], tests[half:]))
    return Grouping(first.bool_op("OR")(second))  # `sa.or_` would undo the halves


def clause(condition: Condition) -> Clause:
    """The condition in SQL.

    Raises:
        ValueError: Of a field that only bodies have.
    """
    name, values = condition.operator, condition.values
    kind, field = resolve(condition.field)
    opposite = name in OPPOSITES or (name == "isnull" and values == (False,))
    found = _CLAUSES[kind](field, OPPOSITES.get(name, name), values)
    return attrs.evolve(found, negated=not found.negated) if opposite else found


def _texts(field: str, name: str, text: str) -> sa.Select[tuple[int]]:
    """The logs of which a text beside the index says so."""
    column, folded = texts.c.text, texts.c.folded
    if name in _FOLDED:
        test = _FOLDED[name]
        says = sa.or_(
            sa.and_(folded == 1, test(column, text)),
            sa.and_(folded == 0, test(sa.func.lower(column), text)),
        )
    else:
        says = sa.and_(folded == 0, _SEARCH[name](column, text))
    return sa.select(texts.c.seq).where(texts.c.name == name_of(field), says)


def _says(column: _Column, name: str, value: Plain) -> tuple[_Bool, str]:
    """What an index says of a text, and the text to look for beside it."""
    text = storable(texts_of([value])[0])
    if name in _FOLDED:
        text = text.casefold()
        said = _FOLDED[name](sa.func.lower(column), text)
    else:
        said = _SEARCH[name](column, text)
    return sa.and_(said, position(column, MARK) == 0), text


def _text(field: str, name: str, values: Sequence[Plain]) -> Clause:
    column = logs.c[field]
    if name == "isnull":
        return Clause(column.is_(None))
    if name == "empty":
        return Clause(sa.or_(column.is_(None), column == ""))
    if name in {"", "in"}:
        asked = list(dict.fromkeys(map(canonical, texts_of(values))))
        own: _Bool = column.in_(asked)
        if field == "status" and FIRST_TEXTS[0] not in asked:
            own = sa.and_(own, column != sa.literal_column(f"'{FIRST_TEXTS[0]}'"))
        return Clause(own)
    own, text = _says(column, name, values[0])
    return Clause(own, (_texts(field, name, text),))


def _attribute(field: str, name: str, values: Sequence[Plain]) -> Clause:
    column = attributes.c.text
    rows = sa.select(attributes.c.seq).where(attributes.c.name == name_of(field))
    if name == "isnull":
        return Clause(listed=(rows,), negated=True)
    if name == "empty":
        return Clause(listed=(rows.where(column.not_in(["", EMPTY])),), negated=True)
    if name in {"", "in"}:
        asked = list(dict.fromkeys(map(canonical, texts_of(values))))
        listed = (rows.where(column.in_(asked)),)
        return Clause(listed=listed, unique=len(asked) == 1)
    number = as_float(number_in(values[0]))
    if name in COMPARE and number is not None:
        literal: sa.BindParameter[float] = sa.literal(number, sa.Double())
        said = COMPARE[name](attributes.c.number, literal)
        return Clause(listed=(rows.where(said),))
    said, text = _says(column, name, values[0])
    if name in COMPARE:
        said = sa.and_(said, attributes.c.number.is_(None))
    return Clause(listed=(rows.where(said), _texts(field, name, text)))


def _number(field: str, name: str, values: Sequence[Plain]) -> Clause:
    column = logs.c[field]
    if name in {"isnull", "empty"}:
        return Clause(column.is_(None))
    numbers = [n for n in map(number_in, values) if n is not None]
    literals: list[Any] = [
        clamp(n)
        if isinstance(n, int) and field in INTEGER_COLUMNS
        else sa.literal(as_float(n), sa.Double())
        for n in numbers
    ]
    test: Callable[[Any, Any], Any] = COMPARE.get(
        name, operator.eq
    )  # of a number, iexact is nothing special
    own: _Bool = _any([test(column, it) for it in literals])
    if field == "status_code" and test is operator.eq and FIRST_TEXTS[1] not in numbers:
        own = sa.and_(own, column != sa.literal_column(f"{FIRST_TEXTS[1]}"))
    return Clause(own)


def _time(field: str, name: str, values: Sequence[Plain]) -> Clause:
    column = logs.c[field]
    if name in {"isnull", "empty"}:
        return Clause(column.is_(None))
    instants = [at for at in map(parse_time, values) if at is not None]
    test: Callable[[Any, Any], Any] = COMPARE.get(name, operator.eq)
    return Clause(_any([test(column, instant) for instant in instants]))


def _id(_field: str, name: str, values: Sequence[Plain]) -> Clause:
    if name in {"isnull", "empty"}:
        return Clause(sa.false())
    ids = [str(value).replace("-", "").lower() for value in values]
    if name in {"", "in", "iexact"}:
        found = [
            sa.and_(logs.c.seq.between(*seqs_of(log_id)), logs.c.id == log_id)
            for log_id in ids
            if seq_of(log_id) >= 0  # no database takes just any text
        ]
        return Clause(_any(found))
    search = {**_SEARCH, **_FOLDED}[name]
    return Clause(search(logs.c.id, storable(ids[0])))


def _body(field: str, _name: str, _values: Sequence[Plain]) -> Clause:
    raise ValueError(f"{field} is in no table")


_CLAUSES: dict[Kind, Callable[[str, str, Sequence[Plain]], Clause]] = {
    Kind.ID: _id,
    Kind.TEXT: _text,
    Kind.INTEGER: _number,
    Kind.NUMBER: _number,
    Kind.TIME: _time,
    Kind.ATTRIBUTE: _attribute,
    Kind.BODY: _body,
}
