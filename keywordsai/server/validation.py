"""Whether JSON that was posted is a log, by the very schema the SDK sends it by.

`keywordsai.logs.checks` holds the rules; a log that `LogAPI.create` takes is taken
here. What differs is told in words of JSON, and never with a value: an answer may
end up in the sender's own log.
"""

from __future__ import annotations

import functools
from itertools import islice
from typing import TYPE_CHECKING, Any

from cattrs import Converter

from keywordsai.logs.checks import register_checks
from keywordsai.logs.problems import Mismatch
from keywordsai.logs.schema import LogParams
from keywordsai.server.answers import Refusal
from keywordsai.server.bodies import LongInteger

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_log", "problems_of", "wrong_fields"]

_MOST_PROBLEMS = 100  # told of one log

_KINDS = {
    type(None): "null",
    bool: "a boolean",
    str: "a string",
    int: "an integer",
    LongInteger: "an integer",
    float: "a number",
    list: "a list",
    dict: "an object",
}


@functools.cache
def _check() -> Callable[[Any, Any], Any]:
    converter = Converter()
    register_checks(
        converter, natural=_natural, strict=False, shown=lambda it: _KINDS[type(it)]
    )
    check: Callable[[Any, Any], Any] = converter.get_structure_hook(LogParams)
    return check


def _natural(value: Any) -> Any:
    # To all who reckon with it a long integer is a float; to the schema it is none.
    return 0 if type(value) is LongInteger else value


def problems_of(body: dict[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with a log: paths, as ``prompt_messages[1].role``, and words."""
    try:
        _check()(body, None)
    except Mismatch as mismatch:
        return mismatch.problems
    return []


def wrong_fields(body: dict[str, Any]) -> dict[str, list[str]]:
    """The same by path, the first hundred; null is fine for every field of a log.

    Example:
        >>> wrong_fields({"cost": "1", "prompt_messages": [{"content": "Hi"}]})
        {'cost': ['expected a number, got a string'], \
'prompt_messages[0].role': ['required']}
    """
    wrong: dict[str, list[str]] = {}
    for path, text in islice(problems_of(body), _MOST_PROBLEMS):
        wrong.setdefault(path, []).append(text)
    return wrong


def check_log(body: dict[str, Any]) -> None:
    """Refuse a log that the schema does not allow.

    Raises:
        Refusal: 422, with everything that is wrong.
    """
    errors = wrong_fields(body)
    if errors:
        raise Refusal(422, "Validation error", errors=errors)
