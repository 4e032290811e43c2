"""Whether a value fits its field: the structure hooks of the converter.

The hooks check and change nothing: what the caller passed is what is sent. For
an object only the keys that are there are looked at, and those whose value is
of a type that always fits cost one look-up. A misfit is collected with its path
and looking goes on, so that every problem is told in one go.

A value is checked as what it becomes in JSON: a UUID is text, an Enum its value.
"""

from __future__ import annotations

from collections import UserString
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, TypeAlias, Union, get_args, get_origin

import attrs
from cattrs import Converter

from keywordsai._excerpt import excerpt
from keywordsai.logs.problems import Mismatch, Problem, step_of

__all__ = ["register_checks"]

Hook: TypeAlias = Callable[[Any, Any], Any]

# More steps towards JSON than any object needs; one that never arrives has none.
_STEPS = 8
_HINTS = 20
_WORDS = {
    str: "a string",
    int: "an integer",
    float: "a number",
    Decimal: "a number",
    bool: "true or false",
    datetime: "a datetime",
    date: "a datetime",
}
# The types that fit without a closer look.
_EXACT: dict[Any, frozenset[type]] = {
    str: frozenset({str}),
    int: frozenset({int}),
    float: frozenset({float, int}),
    Decimal: frozenset(),
    bool: frozenset({bool}),
    datetime: frozenset({datetime}),
    date: frozenset({date}),
}
# Named, since `X | Y` in an isinstance is built anew at every call.
_LISTS = (list, tuple, Sequence, AbstractSet)
_NO_LISTS = (str, bytes, bytearray, memoryview, UserString)
_NUMBERS = frozenset({int, float, bool, Decimal, NoneType})


def register_checks(
    converter: Converter, *, natural: Callable[[Any], Any], strict: bool
) -> None:
    """Teach a converter to check values against the schema's annotations.

    Args:
        converter: Its structure hooks come to check; they return nothing.
        natural: One step towards JSON; raises Mismatch where there is none.
        strict: Whether keys that a class does not know are problems.
    """

    def shape(kind: Any) -> Hook:
        return _shape_hook(kind, converter, natural)

    def whole(kind: Any) -> Hook:
        return _object_hook(kind, converter, natural, strict=strict)

    for kind in _EXACT:
        # cattrs would convert these: "15" to 15, and 1 to "1".
        converter.register_structure_hook(kind, shape(kind))
    converter.register_structure_hook_factory(_is_shape, shape)
    converter.register_structure_hook_factory(attrs.has, whole)


def _is_shape(kind: Any) -> bool:
    return get_origin(kind) in {Union, UnionType, Mapping, Sequence}


def _members(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)


def _exact(kind: Any) -> frozenset[type]:
    """The types of which every value fits a field of this kind."""
    members = _members(kind)
    if Any in members:
        return frozenset()
    found: set[type] = {NoneType}
    plain_object = not any(attrs.has(member) for member in members)
    for member in members:
        found |= _EXACT.get(member, frozenset())
        if get_origin(member) is Mapping and plain_object:
            found.add(dict)
        if get_origin(member) is Sequence and get_args(member) == (Any,):
            found |= {list, tuple}
    return frozenset(found)


@attrs.frozen
class _Shape:
    """What a field takes: scalars, objects, lists, or several of them.

    Attributes:
        scalars: The kinds of scalars.
        objects: Whether it takes objects, and the hook that looks into them.
        lists: Whether it takes lists, and the hook for their items.
        expected: All of it in words.
    """

    scalars: tuple[Any, ...]
    objects: tuple[bool, Hook | None]
    lists: tuple[bool, Hook | None]
    expected: str

    @classmethod
    def of(cls, kind: Any, converter: Converter) -> _Shape:
        """Read an annotation."""
        members = tuple(member for member in _members(kind) if member is not NoneType)
        classes = [member for member in members if attrs.has(member)]
        lists = [member for member in members if get_origin(member) is Sequence]
        items = [get_args(member)[0] for member in lists]
        hook_of = converter.get_structure_hook
        return cls(
            tuple(member for member in members if member in _EXACT),
            (
                any(get_origin(member) is Mapping for member in members),
                hook_of(classes[0]) if classes else None,
            ),
            (bool(lists), hook_of(items[0]) if items and items[0] is not Any else None),
            _expected(members),
        )


def _shape_hook(kind: Any, converter: Converter, natural: Callable[[Any], Any]) -> Hook:
    """Check scalars, objects and lists alike: whichever the value turns out to be."""
    shape = _Shape.of(kind, converter)
    takes_objects, look_inside = shape.objects
    takes_lists, look_at_item = shape.lists
    if look_inside is not None and not shape.scalars and not takes_lists:
        return look_inside

    def fits(value: Any) -> bool:
        if type(value) is not list and isinstance(value, Mapping):
            if look_inside is not None:
                look_inside(value, None)
            return takes_objects
        if _is_list(value):
            if look_at_item is not None:
                _check_items(value, look_at_item)
            return takes_lists
        return _fits_scalar(value, shape.scalars)

    def check(value: Any, _kind: Any) -> None:
        if value is None or fits(value):
            return
        if not any(step is None or fits(step) for step in _steps(value, natural)):
            raise Mismatch.of(f"expected {shape.expected}, got {excerpt(value)}")

    return check


def _object_hook(
    cls: Any, converter: Converter, natural: Callable[[Any], Any], *, strict: bool
) -> Hook:
    """Check the keys that an object has against the fields of a class."""
    attrs.resolve_types(cls)
    exact: dict[Any, frozenset[type]] = {}
    hooks: dict[Any, Hook] = {}
    for field in attrs.fields(cls):
        if field.name != "extra":
            exact[field.name] = _exact(field.type)
            # Whether `Any` can become JSON shows when it is written.
            if field.type is not Any:
                hooks[field.name] = converter.get_structure_hook(field.type)
    needed = _required(cls)

    def check(value: Any, _kind: Any) -> None:
        if type(value) is not dict:
            value = _as_object(value, natural)
        problems: Sequence[Problem] = ()
        unknown: Sequence[Problem] = ()
        for key in value:
            # Nearly every key of nearly every log ends here.
            if key in exact and type(value[key]) in exact[key]:
                continue
            if key in hooks:
                try:
                    hooks[key](value[key], None)
                except Mismatch as mismatch:
                    problems = [*problems, *mismatch.under(step_of(key))]
            elif strict and key not in exact:
                unknown = unknown or _unknown(value, exact)
        for name in needed:
            if name not in value or value[name] is None:
                problems = [*problems, (name, "required")]
        if problems or unknown:
            raise Mismatch([*problems, *unknown])

    return check


def _required(cls: Any) -> list[str]:
    return [field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING]


def _steps(value: Any, natural: Callable[[Any], Any]) -> Iterator[Any]:
    """What a value becomes, step by step, as far as it goes."""
    for _ in range(_STEPS):
        if value is None or _is_json(value):
            return
        step = natural(value)
        if step is value:
            return
        value = step
        yield value


def _as_object(value: Any, natural: Callable[[Any], Any]) -> Mapping[Any, Any]:
    if isinstance(value, Mapping):
        return value
    for step in _steps(value, natural):
        if isinstance(step, Mapping):
            return step
    raise Mismatch.of(f"expected an object, got {excerpt(value)}")


def _check_items(items: Iterable[Any], hook: Hook) -> None:
    problems: list[Problem] = []
    for index, item in enumerate(items):
        try:
            hook(item, None)
        except Mismatch as mismatch:  # noqa: PERF203  every misfit is collected
            problems += mismatch.under(f"[{index}]")
    if problems:
        raise Mismatch(problems)


def _fits_scalar(value: Any, kinds: tuple[Any, ...]) -> bool:
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, int):
        return int in kinds or float in kinds
    if isinstance(value, float):
        return float in kinds
    if isinstance(value, Decimal):
        # Only one that is written without a point or an exponent is an integer.
        return float in kinds or (int in kinds and value.as_tuple().exponent == 0)
    return isinstance(value, tuple(kind for kind in kinds if kind not in _NUMBERS))


def _is_list(value: Any) -> bool:
    return isinstance(value, _LISTS) and not isinstance(value, _NO_LISTS)


def _is_json(value: Any) -> bool:
    """Whether a value is what it becomes: a step would bring it no nearer."""
    return isinstance(value, (Mapping, Decimal)) or _is_list(value)


def _expected(members: tuple[Any, ...]) -> str:
    words: list[str] = []
    for member in members:
        if attrs.has(member) or get_origin(member) is Mapping:
            word = "an object"
        elif get_origin(member) is Sequence:
            word = "a list"
        else:
            word = _WORDS.get(member, "")
        if word and word not in words:
            words.append(word)
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def _unknown(value: Mapping[Any, Any], known: Mapping[Any, Any]) -> list[Problem]:
    import difflib  # noqa: PLC0415  needed for typos only

    names = list(known)
    problems = []
    for number, key in enumerate(key for key in value if key not in known):
        step = step_of(key)
        # Looking for the nearest takes its time: not for each of thousands.
        close = difflib.get_close_matches(step, names, 1) if number < _HINTS else []
        hint = f"; did you mean {close[0]}?" if close else ""
        problems.append((step, f"unknown{hint}"))
    return problems
