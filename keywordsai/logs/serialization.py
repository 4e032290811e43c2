"""A log as bytes, and answers as objects: the one converter of the package.

`encode_log` checks a log with the converter's structure hooks (`checks`) and has
orjson write it, which asks the unstructure hooks (`natural`) for what it does not
know. A dict is never rebuilt: orjson writes the caller's own. What orjson
refuses, the standard library's JSON writes (`json_text`).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

import attrs
from cattrs import Converter

from keywordsai._excerpt import cut
from keywordsai.errors import InvalidLogError
from keywordsai.logs.checks import register_checks
from keywordsai.logs.json_text import write_json
from keywordsai.logs.natural import ExactNumber, register_hooks
from keywordsai.logs.problems import Mismatch, cannot_become_json
from keywordsai.logs.schema import LogParams

try:
    import orjson
except ImportError:  # pragma: no cover  where there are no wheels of it: PyPy
    orjson = None  # type: ignore[assignment]  # a module, or none

__all__ = ["MAX_BODY", "decode_json", "encode_json", "encode_log"]

MAX_BODY = 20 * 1024**2
"""Most bytes of a log: 20 MiB, the service's limit."""


@attrs.frozen(eq=False)
class _Codec:
    """The converter with its hooks looked up."""

    check: Any
    natural: Any
    default: Any


def encode_log(log: Mapping[str, Any] | LogParams, *, strict: bool = False) -> bytes:
    """Validate a log and write it as JSON.

    Every key of the log is in the result as it was given, except top-level keys
    whose value is None, which are left out. The log is not changed.

    Args:
        log: A mapping or a `LogParams`; nested values may be plain, attrs
            objects, dataclasses, pydantic models and the other kinds that
            `keywordsai.logs.natural` lists, mixed at will.
        strict: Whether keys that the schema does not know are problems.

    Returns:
        UTF-8 JSON, at most 20 MiB.

    Raises:
        InvalidLogError: With every problem and its path.

    Example:
        >>> encode_log({"model": "gpt-4", "cost": None})
        b'{"model":"gpt-4"}'
        >>> encode_log({"prompt_tokens": "15", "stream": "false"})
        Traceback (most recent call last):
        ...
        keywordsai.errors.InvalidLogError: prompt_tokens: expected an integer, \
got '15' (str); stream: expected true or false, got 'false' (str)
    """
    codec = _codec(strict)
    try:
        body = log if type(log) is dict else _mapping(log, codec)
        if any(value is None for value in body.values()):
            body = {key: value for key, value in body.items() if value is not None}
        encoded = _checked(body, codec)
    except Mismatch as mismatch:
        raise InvalidLogError(mismatch.problems) from None
    except Exception as error:  # noqa: BLE001
        # An object of the caller's own raised when it was looked at. What it said
        # may quote the log, so it is not passed on.
        reason = f"reading it raised {cut(type(error).__name__)}"
        raise InvalidLogError([("", reason)]) from None
    if len(encoded) > MAX_BODY:
        raise InvalidLogError(
            [("", f"the log is {len(encoded)} bytes of JSON, over {MAX_BODY} (20 MiB)")]
        )
    return encoded


def encode_json(value: Any) -> bytes:
    """Write any value by the rules of `encode_log`, without a schema.

    Raises:
        InvalidLogError: Some part cannot become JSON.
    """
    try:
        return _write(value, _codec(strict=False))
    except Mismatch as mismatch:
        raise InvalidLogError(mismatch.problems) from None


def decode_json(data: bytes) -> Any:
    """Read JSON as the service sends it, exactly: orjson would round big integers.

    Raises:
        ValueError: It is no JSON.
    """
    try:
        try:
            return json.loads(data)
        except json.JSONDecodeError:
            raise
        except ValueError:  # an integer beyond sys.get_int_max_str_digits()
            return json.loads(data, parse_int=lambda digits: int(Decimal(digits)))
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


@functools.cache
def _codec(strict: bool) -> _Codec:  # noqa: FBT001  a key of the cache
    converter = Converter()
    register_hooks(converter)
    unstructure = converter.unstructure

    def natural(value: Any) -> Any:
        """One step towards JSON; what has none, or fails to give it, is a problem."""
        try:
            step = unstructure(value)
        except Exception as error:
            raise cannot_become_json(value) from error
        if step is value and not isinstance(value, _NATIVE):
            raise cannot_become_json(value)
        return step

    register_checks(converter, natural=natural, strict=strict)

    def default(value: Any) -> Any:
        step = natural(value)
        return orjson.Fragment(step) if isinstance(step, ExactNumber) else step

    return _Codec(converter.get_structure_hook(LogParams), natural, default)


_NATIVE = (str, int, float, dict, list, tuple, type(None))


def _mapping(log: Any, codec: _Codec) -> Mapping[str, Any]:
    if isinstance(log, LogParams):
        body: Mapping[str, Any] = codec.natural(log)
        return body
    if isinstance(log, Mapping):
        return dict(log)
    kind = cut(type(log).__name__)
    raise Mismatch.of(f"a log is a mapping or a LogParams, got {kind}")


def _checked(body: Mapping[str, Any], codec: _Codec) -> bytes:
    try:
        codec.check(body, None)
    except Mismatch as mismatch:
        # Told together with what the schema does not look into.
        known = {path for path, _text in mismatch.problems}
        with suppress(RecursionError):
            try:
                write_json(body, codec.natural)
            except Mismatch as unwritable:
                mismatch.problems += [
                    item for item in unwritable.problems if item[0] not in known
                ]
        raise
    return _write(body, codec)


def _write(value: Any, codec: _Codec) -> bytes:
    if orjson is not None:
        try:
            return orjson.dumps(value, codec.default, _OPTIONS)
        except TypeError:  # orjson refuses something: the other writer says what
            pass
    return write_json(value, codec.natural)


_OPTIONS = (
    orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS if orjson else 0
)
