"""The filter language, read: conditions of a URL and of a posted body.

In a URL, ``field=value``, or ``field[operator]=gt&field[value]=3``; in a body,
``{"filters": {"field": {"operator": "gt", "value": [3]}}}``, where a field may have
a list of conditions. What cannot be meant is refused here, so that whoever
evaluates a condition need not doubt it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import attrs

from keywordsai.server.answers import Refusal
from keywordsai.server.fields import Kind, resolve
from keywordsai.server.times import parse_time
from keywordsai.server.values import number_in

__all__ = ["OPERATORS", "Condition", "Plain", "conditions_of_body", "quick_filters"]

Plain: TypeAlias = str | float | bool
"""What a field can be compared with; int is among float, as everywhere in typing."""

_EQUAL = ("", "not", "iexact")
_ORDER = ("lt", "lte", "gt", "gte")
_SEARCH = ("contains", "icontains", "startswith", "endswith")
_SEVERAL = ("in", "not_in")
_PARTS = ("operator", "value")
_PRESENCE = ("isnull", "empty", "not_empty")
OPERATORS = (*_EQUAL, *_ORDER, *_SEARCH, *_SEVERAL, *_PRESENCE)
"""All there are; the empty one is equality."""

_MOST_CONDITIONS = 100  # databases limit how deep an expression may be,
_MOST_VALUES = 1000  # and how many values a statement has
_NUMBERS = frozenset({Kind.INTEGER, Kind.NUMBER})
_QUICK_FILTER = re.compile(r"(.+?)(?:\[(value|operator)\])?", re.DOTALL)
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


@attrs.frozen(kw_only=True)
class Condition:
    """One condition of a list; all of them must hold.

    Attributes:
        field: The field as the request names it.
        values: Strings, numbers or booleans; from a URL they are always strings.
            One, but for ``in`` and ``not_in``; none for ``empty`` and ``not_empty``;
            True or False for ``isnull``.
        operator: One of `OPERATORS`.

    Example:
        >>> Condition(field="cost", operator="gt", values=(0.5,))
        Condition(field='cost', operator='gt')
    """

    field: str
    values: tuple[Plain, ...] = attrs.field(default=(), repr=False)
    operator: str = ""


def quick_filters(pairs: Iterable[tuple[str, str]]) -> list[Condition]:
    """Read the conditions of a URL.

    Args:
        pairs: Its parameters, without those that mean something else.

    Raises:
        Refusal: 400, with what is wrong.
    """
    plain: list[Condition] = []
    values: dict[str, list[Plain]] = {}
    operators: dict[str, list[str]] = {}
    for name, value in pairs:
        found = _QUICK_FILTER.fullmatch(name)
        if found is None:
            continue  # a parameter without a name
        field, part = found.groups()
        if part == "operator":
            operators.setdefault(field, []).append(value)
        elif part == "value":
            values.setdefault(field, []).append(value)
        else:
            plain.append(_condition(field, "", (value,), field))
    stated = []
    for field in {**values, **operators}:
        asked, named = values.get(field, []), operators.get(field, [])
        stated += _paired(field, asked, named)
    return _bounded([*plain, *stated])


def _paired(field: str, values: list[Plain], names: list[str]) -> list[Condition]:
    """Conditions of as many operators as values; of several, the first goes first."""
    if len(names) == 1 and names[0] in _SEVERAL:
        if len(values) == 1:
            values = [*str(values[0]).split(",")]
        return [_condition(field, names[0], values, field)]
    if len(names) == 1 and names[0] in _PRESENCE and not values:
        return [_condition(field, names[0], (), field)]
    names = names or [""] * len(values)
    if len(names) != len(values):
        raise Refusal(
            400, f"{field[:100]}: expected as many [value] as [operator] parameters"
        )
    return [
        _condition(field, name, (value,), field)
        for name, value in zip(names, values, strict=True)
    ]


def conditions_of_body(body: dict[str, Any]) -> list[Condition]:
    """Read ``{"filters": {field: condition, or a list of them}}``.

    Raises:
        Refusal: 400, with what is wrong.
    """
    filters = body.get("filters")
    if filters is None:
        return []
    if not isinstance(filters, dict):
        raise Refusal(400, "filters: expected an object of conditions by field")
    return _bounded(
        [
            _stated(field, one)
            for field, stated in filters.items()
            for one in (stated if isinstance(stated, list) else [stated])
        ]
    )


def _stated(field: str, stated: Any) -> Condition:
    where = f"filters.{field}"
    if not isinstance(stated, dict):
        raise Refusal(
            400,
            f"{where[:100]}: expected an object with an operator and a value, or an "
            "array of them",
        )
    for part in stated:
        if part not in _PARTS:  # misspelt, it would be read as if it were not there
            raise Refusal(
                400,
                f"{where[:100]}: {part[:50]!r} is no part of a condition, expected "
                "operator and value",
            )
    name = stated.get("operator")
    values = stated.get("value", [])
    values = values if isinstance(values, list) else [values]
    if not all(isinstance(value, str | int | float) for value in values):
        raise Refusal(
            400,
            f"{where[:100]}: expected a value that is an array of strings, numbers "
            "and booleans",
        )
    return _condition(field, "" if name is None else name, values, where)


def _condition(field: str, name: Any, values: Sequence[Plain], where: str) -> Condition:
    """The condition, if it can be meant."""
    where = where[:100]
    if name not in OPERATORS:
        known = ", ".join(OPERATORS[1:])
        raise Refusal(
            400,
            f'{where}: unknown operator {str(name)[:50]!r}, expected "" (equal), '
            f"{known}",
        )
    if name in _PRESENCE:
        return Condition(field=field, operator=name, values=_truth(name, values, where))
    if name not in _SEVERAL and len(values) != 1:
        raise Refusal(
            400,
            f"{where}: expected one value with the operator {name!r}, "
            f"got {len(values)}",
        )
    _check_kind(resolve(field)[0], name, values, where)
    return Condition(field=field, operator=name, values=tuple(values))


def _truth(name: str, values: Sequence[Plain], where: str) -> tuple[bool, ...]:
    if name != "isnull":
        return ()
    if not values:
        return (True,)
    truth = _TRUTH.get(str(values[0]).lower())
    if truth is None or len(values) > 1:
        raise Refusal(400, f"{where}: isnull expects true or false")
    return (truth,)


def _check_kind(kind: Kind, name: str, values: Sequence[Plain], where: str) -> None:
    numeric = kind in _NUMBERS
    if not numeric and kind is not Kind.TIME:
        return
    what = "a number" if numeric else "an ISO 8601 time"
    if name in _SEARCH:
        known = ", ".join((*_EQUAL[1:], *_ORDER, *_SEVERAL, *_PRESENCE))
        raise Refusal(
            400,
            f'{where}: {name} is for texts, of {what} there are "" (equal), {known}',
        )
    read = number_in if numeric else parse_time
    if name in _ORDER and read(values[0]) is None:
        raise Refusal(400, f"{where}: {name} expects {what}")


def _bounded(conditions: list[Condition]) -> list[Condition]:
    if len(conditions) > _MOST_CONDITIONS:
        raise Refusal(400, f"filters: more than {_MOST_CONDITIONS} conditions")
    if sum(len(condition.values) for condition in conditions) > _MOST_VALUES:
        raise Refusal(400, f"filters: more than {_MOST_VALUES} values")
    return conditions
