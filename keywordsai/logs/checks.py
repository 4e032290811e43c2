"""Whether a value fits its field: the structure hooks of the converter.

The hooks check and change nothing: what the caller passed is what is sent. For
an object only the keys that are there are looked at, and those whose value is
of a type that always fits cost one look-up; the plain objects of a list are looked
at together, field by field. A misfit is collected with its path and looking goes
on, so that every problem is told in one go.

A value is checked as what it becomes in JSON: a UUID is text, an Enum its value.
The same goes for a key.
"""

from __future__ import annotations

from collections import UserString
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from decimal import Decimal
from itertools import repeat
from types import NoneType, UnionType
from typing import Any, TypeAlias, Union, get_args, get_origin

import attrs
from cattrs import Converter

from keywordsai._excerpt import excerpt
from keywordsai.logs.json_text import key_text
from keywordsai.logs.problems import Mismatch, Problem, step_of

__all__ = ["members_of", "register_checks"]

Hook: TypeAlias = Callable[[Any, Any], Any]

# More steps towards JSON than any object needs; one that never arrives has none.
_STEPS = 8
_HINTS = 20
# So many objects in a list that looking at them together takes less time.
_MANY = 12
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
    converter: Converter,
    *,
    natural: Callable[[Any], Any],
    strict: bool,
    shown: Callable[[Any], str] = excerpt,
) -> None:
    """Teach a converter to check values against the schema's annotations.

    Args:
        converter: Its structure hooks come to check; they return nothing.
        natural: One step towards JSON; raises Mismatch where there is none.
        strict: Whether keys that a class does not know are problems.
        shown: How a problem names the value that does not fit.
    """

    def shape(kind: Any) -> Hook:
        return _shape_hook(kind, converter, natural, shown)

    def whole(kind: Any) -> Hook:
        return _Fields.of(kind, converter, natural, shown, strict=strict).check

    for kind in _EXACT:
        # cattrs would convert these: "15" to 15, and 1 to "1".
        converter.register_structure_hook(kind, shape(kind))
    converter.register_structure_hook_factory(_is_shape, shape)
    converter.register_structure_hook_factory(attrs.has, whole)


def _is_shape(kind: Any) -> bool:
    return get_origin(kind) in {Union, UnionType, Mapping, Sequence}


def members_of(kind: Any) -> tuple[Any, ...]:
    """The kinds that a union is of; of any other kind, that kind alone."""
    return get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)


def _exact(kind: Any) -> frozenset[type]:
    """The types of which every value fits a field of this kind."""
    members = members_of(kind)
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
        members = tuple(member for member in members_of(kind) if member is not NoneType)
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


def _shape_hook(
    kind: Any,
    converter: Converter,
    natural: Callable[[Any], Any],
    shown: Callable[[Any], str],
) -> Hook:
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
            raise Mismatch.of(f"expected {shape.expected}, got {shown(value)}")

    return check


@attrs.frozen(eq=False)
class _Fields:
    """The fields of a class, for objects to be checked against.

    Attributes:
        exact: Of each field the types of which every value fits.
        hooks: What looks closer; whether `Any` can become JSON shows when written.
        needed: The fields that have to be there.
        strict: Whether other keys are problems.
        natural: One step towards JSON.
        shown: How a problem names a value.
    """

    exact: Mapping[Any, frozenset[type]]
    hooks: Mapping[Any, Hook]
    needed: frozenset[str]
    strict: bool
    natural: Callable[[Any], Any]
    shown: Callable[[Any], str]

    @classmethod
    def of(
        cls,
        kind: Any,
        converter: Converter,
        natural: Callable[[Any], Any],
        shown: Callable[[Any], str],
        *,
        strict: bool,
    ) -> _Fields:
        """Read the annotations of a class."""
        attrs.resolve_types(kind)
        fields = [field for field in attrs.fields(kind) if field.name != "extra"]
        needed = {field.name for field in fields if field.default is attrs.NOTHING}
        return cls(
            {
                field.name: _exact(field.type)
                - ({NoneType} if field.name in needed else set())
                for field in fields
            },
            {
                field.name: converter.get_structure_hook(field.type)
                for field in fields
                if field.type is not Any
            },
            frozenset(needed),
            strict,
            natural,
            shown,
        )

    def check(self, value: Any, _kind: Any) -> None:
        """Check the keys that an object has."""
        if type(value) is not dict:
            value = self._as_object(value)
        exact, strict = self.exact, self.strict
        problems: Sequence[Problem] = ()
        unknown: Sequence[Problem] = ()
        for key in value:
            if key in exact:
                # Nearly every key of nearly every log ends here.
                if type(value[key]) in exact[key] or key not in self.hooks:
                    continue
                try:
                    self.hooks[key](value[key], None)
                except Mismatch as mismatch:
                    problems = [*problems, *mismatch.under(step_of(key))]
            elif strict or type(key) is not str:
                if not isinstance(key, str):
                    return self.check(self._named(value), None)
                if strict:
                    unknown = unknown or _unknown(value, exact)
        for name in self.needed:
            if name not in value or value[name] is None:
                problems = [*problems, (name, "required")]
        if problems or unknown:
            raise Mismatch([*problems, *unknown])
        return None

    def odd(self, items: list[dict[Any, Any]]) -> list[tuple[int, Any]]:
        """The plain objects of a list that need a closer look, and where they are.

        They are looked at in columns, without a step of Python for each.
        """
        exact, nothing = self.exact, frozenset[type]()
        odd = [key for key in self.needed.union(*items) if not self._fit(key, items)]
        places = {
            index
            for key in odd
            for kinds in (exact.get(key, nothing),)
            for index, item in enumerate(items)
            if type(item.get(key)) not in kinds
        }
        return [(index, items[index]) for index in sorted(places)]

    def _fit(self, key: Any, items: list[dict[Any, Any]]) -> bool:
        """Whether what plain objects have under a key, if they do, always fits."""
        if key not in self.exact:
            return isinstance(key, str) and not self.strict
        return self.exact[key].issuperset(map(type, map(dict.get, items, repeat(key))))

    def _as_object(self, value: Any) -> Mapping[Any, Any]:
        if isinstance(value, Mapping):
            return value
        for step in _steps(value, self.natural):
            if isinstance(step, Mapping):
                return step
        raise Mismatch.of(f"expected an object, got {self.shown(value)}")

    def _named(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        """An object by the keys that it has in JSON."""
        return {key_text(key, self.natural): value[key] for key in value}


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


def _check_items(items: Iterable[Any], hook: Hook) -> None:
    many = type(items) is list and len(items) >= _MANY
    problems: list[Problem] = []
    for index, item in _odd(items, hook) if many else enumerate(items):
        try:
            hook(item, None)
        except Mismatch as mismatch:  # noqa: PERF203  every misfit is collected
            problems += mismatch.under(f"[{index}]")
    if problems:
        raise Mismatch(problems)


def _odd(items: Any, hook: Hook) -> Iterable[tuple[int, Any]]:
    """The items that need a closer look, all unless they are plain objects."""
    fields = getattr(hook, "__self__", None)
    if isinstance(fields, _Fields) and {*map(type, items)} == {dict}:
        return fields.odd(items)
    return enumerate(items)


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
