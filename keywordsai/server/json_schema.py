"""The SDK's classes as JSON Schema, with the descriptions of their docstrings.

One schema checks a log when it is sent, when it is taken, and tells others what
may be sent: the annotations of `keywordsai.logs`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from types import NoneType
from typing import Any, get_args, get_origin

import attrs

from keywordsai.logs.checks import members_of

__all__ = ["schemas_of"]

_SCALARS: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    Decimal: "number",
    bool: "boolean",
    datetime: "string",
    date: "string",
    NoneType: "null",
}
_FIELD = re.compile(r"^ {4}(\w+): (.*(?:\n {8,}.*)*)", re.MULTILINE)
_CODE = re.compile(r"`+([^`]+)`+")


def schemas_of(*classes: type[attrs.AttrsInstance]) -> dict[str, dict[str, Any]]:
    """The schemas of classes and of all the classes that they speak of, by name.

    Every one is open: it allows keys that it does not name, and null wherever a
    field need not be there.

    Example:
        >>> from keywordsai.logs.parts import APIControls
        >>> schemas_of(APIControls)["APIControls"]["properties"]["block"]["type"]
        ['boolean', 'null']
    """
    found: dict[str, dict[str, Any]] = {}
    waiting = list(classes)
    while waiting:
        kind = waiting.pop()
        if kind.__name__ not in found:
            attrs.resolve_types(kind)
            found[kind.__name__] = _object(kind)
            for field in attrs.fields(kind):
                waiting += _classes_in(field.type)
    return dict(sorted(found.items()))


def _object(kind: type[attrs.AttrsInstance]) -> dict[str, Any]:
    said = inspect.cleandoc(kind.__doc__ or "")
    described = {
        name: _plain(text)
        for name, text in _FIELD.findall(said.partition("\nAttributes:\n")[2])
    }
    fields = [field for field in attrs.fields(kind) if field.name != "extra"]
    needed = [field.name for field in fields if field.default is attrs.NOTHING]
    schema: dict[str, Any] = {
        "type": "object",
        "description": _plain(said.partition("\n")[0]),
        "properties": {
            field.name: {
                **_schema(field.type),
                "description": described.get(field.name, ""),
            }
            for field in fields
        },
    }
    return {**schema, "required": needed} if needed else schema


def _plain(text: str) -> str:
    """Text of a docstring on one line, in Markdown's way of marking code."""
    return _CODE.sub(r"`\1`", " ".join(text.split()))


def _classes_in(kind: Any) -> list[type[attrs.AttrsInstance]]:
    found = []
    for member in members_of(kind):
        if attrs.has(member):
            found.append(member)
        for argument in get_args(member):
            found += _classes_in(argument)
    return found


def _schema(kind: Any) -> dict[str, Any]:
    members = members_of(kind)
    if Any in members:
        return {}
    types: list[str] = []
    items: dict[str, Any] = {}
    classes = [member for member in members if attrs.has(member)]
    for member in members:
        origin = get_origin(member)
        if origin is Sequence:
            types.append("array")
            items = _items(get_args(member)[0])
        elif origin is Mapping and not classes:
            types.append("object")
        elif member in _SCALARS:
            types.append(_SCALARS[member])
    types = list(dict.fromkeys(types))
    plain: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
    if items:
        plain["items"] = items
    references = [{"$ref": f"#/components/schemas/{one.__name__}"} for one in classes]
    if not references:
        return plain
    return {"anyOf": [*references, plain]} if types else references[0]


def _items(kind: Any) -> dict[str, Any]:
    """What a list holds: what is no object there may be null, as on the wire."""
    schema = _schema(kind)
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    return schema
