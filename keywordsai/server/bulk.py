"""A bulk of logs, read: every log with the very text it came in.

The body is gone through by hand as far as the logs, and each log by the scanner of
Python's json, which says where it ended. So every log is parsed once, its text
is a slice of the body, and one that is wrong does not spoil the others. Knows
neither the store nor who sends.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import attrs

from keywordsai.server.answers import Refusal
from keywordsai.server.bodies import (
    DECODERS,
    LOG_BODY,
    TOO_DEEP,
    misshapen,
)
from keywordsai.server.validation import problems_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Entry", "read_bulk"]

_MOST_PROBLEMS = 10  # told of one log
_TOO_LARGE = f"Too large: {LOG_BODY.rule}."
_NO_JSON = "A number that is no JSON."

_MARK = re.compile(r"[ \t\n\r]*([{}\[\]:,]|\Z)[ \t\n\r]*")
_PARTS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{\[]+|[}\]]+|[,"]', re.DOTALL)


@attrs.frozen(kw_only=True)
class Entry:
    """What stands at one place in a bulk.

    Attributes:
        problem: Why it cannot be stored, without a word of it; empty if it can.
        text: Its JSON just as it came; empty if there is a problem.
    """

    problem: str = ""
    text: str = attrs.field(default="", repr=False)


class _Reader:
    """Goes through a JSON text, value by value.

    Every method raises the `Refusal` of the whole body where that is no JSON.
    """

    def __init__(self, text: str, most: int) -> None:
        self._text = text
        self._at = 0
        self.most = most

    def mark(self, *allowed: str) -> str:
        """Pass one of the marks, with the blanks around it; "" is the end."""
        found = _MARK.match(self._text, self._at)
        if found is None or found[1] not in allowed:
            raise _no_bulk(self.most)
        self._at = found.end()
        return found[1]

    def value(self) -> Any:
        """Pass a value, and give it; None if Python cannot hold it."""
        return self._scan()[0]

    def entry(self) -> Entry:
        """Pass a value, and say whether it can be stored."""
        start = self._at
        value, problem = self._scan()
        text = self._text[start : self._at]
        problem = _too_large(text) or problem or misshapen(value, text)
        if not problem and (problems := problems_of(value)):
            # One line of what a single create is told field by field.
            problem = "; ".join(
                f"{path}: {message}" for path, message in problems[:_MOST_PROBLEMS]
            )
        return Entry(problem=problem) if problem else Entry(text=text)

    def _scan(self) -> tuple[Any, str]:
        """Pass a value: give it, and what keeps Python from holding it."""
        problem = _NO_JSON
        for decoder in DECODERS:
            try:
                value, self._at = decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                raise _no_bulk(self.most) from None
            except ValueError:  # perhaps the next one can
                continue
            except RecursionError:
                problem = TOO_DEEP
                break
            return value, ""
        self._at = self._end()
        return None, problem

    def _end(self) -> int:
        """Where a value ends that json stumbled over in the middle."""
        depth = 0
        for found in _PARTS.finditer(self._text, self._at):
            part = found[0]
            if part[0] in "{[":
                depth += len(part)
            elif part[0] in "}]":  # perhaps more of them than are the value's
                if len(part) >= depth:
                    return found.start() + depth
                depth -= len(part)
            elif part == "," and depth == 0:
                return found.start()
            elif part == '"':  # a string without an end
                break
        raise _no_bulk(self.most)


def _too_large(text: str) -> str:
    # A character takes at most four bytes: nearly always a look at the length will do.
    large = len(text) > LOG_BODY.size // 4 and len(text.encode()) > LOG_BODY.size
    return _TOO_LARGE if large else ""


def _no_bulk(most: int) -> Refusal:
    return Refusal(
        400,
        "Invalid request format: expected a JSON object with an array of 1 to "
        f'{most} logs under "logs", once',
    )


def read_bulk(raw: bytes, *, most: int) -> Iterator[Entry]:
    """Read a bulk log by log, so that never more than one is held as objects.

    Args:
        raw: The body.
        most: How many logs it may have.

    Raises:
        Refusal: 400, it is no bulk, which may show only after its logs.
    """
    try:
        reader = _Reader(raw.decode(), most)
    except ValueError:
        raise _no_bulk(most) from None
    found = False
    reader.mark("{")
    mark = ","
    while mark == ",":
        name = reader.value()
        reader.mark(":")
        if name != "logs":
            if not isinstance(name, str):
                raise _no_bulk(most)
            reader.value()
        elif found:
            raise _no_bulk(most)
        else:
            found = True
            yield from _read_array(reader)
        mark = reader.mark(",", "}")
    reader.mark("")
    if not found:
        raise _no_bulk(most)


def _read_array(reader: _Reader) -> Iterator[Entry]:
    reader.mark("[")
    for _ in range(reader.most):
        yield reader.entry()
        if reader.mark(",", "]") == "]":
            return
    raise _no_bulk(reader.most)
