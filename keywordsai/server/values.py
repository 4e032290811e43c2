"""What the values of a filter mean, next to those of a log.

Both the SQL of a filter and the filter in Python go by this.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any

from keywordsai.server.indexing import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from keywordsai.server.query import Plain

__all__ = ["COMPARE", "OPPOSITES", "number_in", "texts_of"]

COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}
"""Operators of order."""

OPPOSITES = {"not": "", "not_in": "in", "not_empty": "empty"}
"""Operators that say that what another says is not the case."""

_NUMBER = re.compile(r"[+-]?[0-9]+|[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LONGEST_NUMBER = 400  # digits; Python refuses to read integers of some thousands


def number_in(value: Plain) -> int | float | None:
    """The number that a value is, or that its text says."""
    if isinstance(value, bool):
        return None
    if not isinstance(value, str):
        return value
    found = _NUMBER.fullmatch(value.strip())
    if found is None or len(value) > _LONGEST_NUMBER:
        return None
    return float(value) if set(".eE") & set(value) else int(value)


def texts_of(values: Iterable[Plain]) -> list[str]:
    """The texts that values equal.

    From a URL everything is text: there, "True" is also the boolean, and "3.0" is
    also the number 3.
    """
    found = []
    for value in values:
        found.append(text_of(value) or "")
        if isinstance(value, str):
            number = number_in(value)
            if value.lower() in {"true", "false"}:
                found.append(value.lower())
            elif number is not None:
                found.append(text_of(number) or "")
    return found
