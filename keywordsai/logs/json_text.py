"""Writes the JSON that orjson refuses, and says what cannot be written, and where.

orjson writes nearly every log. It refuses integers beyond 64 bits, text with
lone surrogates, keys that are no strings, objects nested over 254 levels and
cycles, and does not say where. This writer is slower and takes all but the last;
what it cannot write is collected with its path. It is also the writer where
there is no orjson, as on PyPy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from enum import Enum
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any

from keywordsai._excerpt import excerpt
from keywordsai.logs.natural import ExactNumber
from keywordsai.logs.problems import Mismatch, cannot_become_json, step_of

__all__ = ["key_text", "write_json"]

# Two frames a level: well within Python's own limit of 1,000 frames.
_DEEPEST = 300


def write_json(value: Any, natural: Callable[[Any], Any]) -> bytes:
    """Write a value as JSON.

    Args:
        value: Anything; it is not changed.
        natural: One step towards JSON; raises Mismatch where there is none.

    Raises:
        Mismatch: Every part that cannot be written, with its path.
    """
    writer = _Writer(natural)
    try:
        text = writer.write(value)
    except RecursionError:
        raise Mismatch.of("nested too deeply") from None
    if writer.problems:
        raise Mismatch(writer.problems)
    return text.encode("utf-8")


def key_text(key: Any, natural: Callable[[Any], Any]) -> str:
    """The text that a key becomes; of one that has none, how a path names it."""
    writer = _Writer(natural)
    text = writer.key(key)
    return step_of(key) if writer.problems else text


class _Writer:
    def __init__(self, natural: Callable[[Any], Any]) -> None:
        self._natural = natural
        self._path: list[str] = []
        self._around: set[int] = set()
        self.problems: list[tuple[str, str]] = []

    def write(self, value: Any) -> str:
        """The JSON of a value; a part that has none is noted and left empty."""
        if value is None or value is True or value is False:
            return {None: "null", True: "true", False: "false"}[value]
        if isinstance(value, ExactNumber):
            return str(value)
        if isinstance(value, Enum):
            return self.write(value.value)
        if isinstance(value, str):
            return _quoted(value)
        if isinstance(value, int):
            return _digits(value)
        if isinstance(value, float):
            return float.__repr__(value) if math.isfinite(value) else "null"
        return self._within(value)

    def _within(self, value: Any) -> str:
        """A container or an object, unless it is inside itself or too deep."""
        if id(value) in self._around:
            return self._problem("refers to itself")
        if len(self._around) >= _DEEPEST:
            return self._problem(f"nested too deeply (over {_DEEPEST} levels)")
        self._around.add(id(value))
        depth = len(self._path)
        try:
            if isinstance(value, dict):
                return self._object(value)
            if isinstance(value, list | tuple):
                return self._list(value)
            return self.write(self._natural(value))
        except Mismatch as mismatch:
            return self._problem(mismatch.problems[0][1])
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001  what a caller's own container raises
            del self._path[depth:]
            return self._problem(cannot_become_json(value).problems[0][1])
        finally:
            self._around.discard(id(value))

    def _object(self, value: Mapping[Any, Any]) -> str:
        written: dict[str, Any] = {}
        members = []
        for key, item in list(value.items()):
            name = key if type(key) is str else self.key(key)
            self._path.append(step_of(name))
            if name in written:
                same = f"{excerpt(written[name])} and {excerpt(key)}"
                self._problem(f"two keys become this one: {same}")
            written[name] = key
            members.append(f"{_quoted(name)}:{self.write(item)}")
            self._path.pop()
        return f"{{{','.join(members)}}}"

    def _list(self, value: list[Any] | tuple[Any, ...]) -> str:
        items = []
        for index, item in enumerate(value):
            self._path.append(f"[{index}]")
            items.append(self.write(item))
            self._path.pop()
        return f"[{','.join(items)}]"

    def key(self, key: Any) -> str:
        """A key that is no string as text: as JSON writes it, where it can."""
        if isinstance(key, Enum):
            key = key.value
        if isinstance(key, str):
            return str.__str__(key)
        # Whatever has JSON is named by it; what has none is a problem there too.
        text = self.write(key)
        return str(json.loads(text)) if text.startswith('"') else text

    def _problem(self, text: str) -> str:
        mismatch = Mismatch.of(text)
        for step in reversed(self._path):
            mismatch = Mismatch(mismatch.under(step))
        self.problems += mismatch.problems
        return "null"


def _quoted(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate: only an escape can carry it
        return encode_basestring_ascii(text)
    return encode_basestring(text)


def _digits(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:  # beyond sys.get_int_max_str_digits()
        return _long_digits(value)


def _long_digits(value: int) -> str:
    # Imported here: nearly nobody sends such a number.
    from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal  # noqa: PLC0415

    exact = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
    return str(exact.create_decimal(Decimal(value)).to_integral_value())
