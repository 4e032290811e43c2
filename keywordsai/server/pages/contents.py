"""The content of a message in parts, in the forms that providers give it.

A part of an unknown kind is shown as the JSON it is. Images are shown only if they
are in the log itself and of a type that cannot hold a program.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from keywordsai.server.pages.parts import (
    Argument,
    Call,
    Part,
    Room,
    held_json,
    name_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "CALL_PARTS",
    "MOST_PARTS",
    "RESULT_PARTS",
    "call_part",
    "content_parts",
    "parts_of",
]

MOST_PARTS = 100
"""How many parts of one message are shown."""

_MOST_ARGUMENTS = 50
_IMAGE_TYPES = "png|jpeg|gif|webp"
_DATA_URL = re.compile(rf"data:image/({_IMAGE_TYPES});base64,([A-Za-z0-9+/]+=*)")
_MEDIA_TYPE = re.compile(rf"image/({_IMAGE_TYPES})")


def _image(room: Room, url: Any) -> Part:
    """The image if it is part of the log; one that is elsewhere is only named."""
    if isinstance(url, dict):
        url = url.get("url")
    if not isinstance(url, str):
        return room.value(url, label="Image, in a form this page does not know")
    if not url.startswith("data:"):
        return room.text(url, label="Image from elsewhere, not loaded", code=True)
    found = _DATA_URL.fullmatch(url)
    if found is None:
        what = url[:40].partition(",")[0]
        return room.text(what, label="Image of a kind that is not shown", code=True)
    image = room.image(url, found[1])
    if image is None:
        what = f"image/{found[1]}, {len(url):,} characters"
        return room.text(what, label="Image too large to be shown here", code=True)
    return image


def _source(part: dict[str, Any]) -> Any:
    """The URL in an image part of whatever provider."""
    source = part.get("source")
    if isinstance(source, dict):
        media, data = source.get("media_type"), source.get("data")
        if isinstance(media, str) and isinstance(data, str):
            if _MEDIA_TYPE.fullmatch(media):
                return f"data:{media};base64,{data}"
            return f"data:{media[:40]},"
        return source.get("url", source)
    for name in ("image_url", "image", "url"):
        if part.get(name) is not None:
            return part[name]
    return part


def call_part(room: Room, call: Any) -> Part:
    """A call of a tool, its arguments by their names."""
    if not isinstance(call, dict):
        return room.value(call, label="Tool call")
    function = call.get("function")
    function = function if isinstance(function, dict) else call
    arguments = function.get("arguments", function.get("input"))
    if isinstance(arguments, str):
        arguments = held if (held := held_json(arguments)) is not None else arguments
    if isinstance(arguments, dict):
        named = list(arguments.items())
        laid = [
            Argument(name=name_of(name), value=room.value(value))
            for name, value in named[:_MOST_ARGUMENTS]
        ]
        if len(named) > _MOST_ARGUMENTS:
            more = room.text(f"{len(named) - _MOST_ARGUMENTS} more arguments")
            laid.append(Argument(name="", value=more))
    elif arguments is None or arguments == "":
        laid = []
    else:
        laid = [Argument(name="", value=room.value(arguments))]
    return Call(
        name=name_of(function.get("name")) or "a tool without a name",
        call_id=name_of(call.get("id", call.get("call_id"))),
        arguments=tuple(laid),
    )


def _text_in(part: dict[str, Any]) -> Any:
    """What a part of text says; an object, if it is not text after all."""
    for name in ("text", "thinking", "refusal", "reasoning", "summary", "content"):
        if part.get(name) is not None:
            return part[name]
    return part


_TEXT_PARTS = {
    "text": "",
    "input_text": "",
    "output_text": "",
    "refusal": "Refusal",
    "thinking": "Reasoning",
    "reasoning": "Reasoning",
    "redacted_thinking": "Reasoning, redacted",
}
CALL_PARTS = ("tool_use", "function_call", "tool_call", "server_tool_use")
_IMAGE_PARTS = ("image_url", "input_image", "image")
RESULT_PARTS = ("tool_result", "function_call_output")


def parts_of(room: Room, part: Any) -> Iterator[Part]:
    """What a part of a message's content is shown as."""
    if isinstance(part, str):
        yield room.text(part)
        return
    if not isinstance(part, dict):
        yield room.value(part)
        return
    kind = part.get("type")
    kind = kind if isinstance(kind, str) else ("text" if "text" in part else "")
    if kind in _TEXT_PARTS:
        said, label = _text_in(part), _TEXT_PARTS[kind]
        plain = isinstance(said, str)
        yield room.text(said, label=label) if plain else room.value(said, label=label)
    elif kind in _IMAGE_PARTS:
        yield _image(room, _source(part))
    elif kind in CALL_PARTS:
        yield call_part(room, part)
    elif kind in RESULT_PARTS:
        yield from _result(room, part)
    else:
        yield room.value(part, label=f"Part: {name_of(kind)}" if kind else "Part")


def _result(room: Room, part: dict[str, Any]) -> Iterator[Part]:
    """What a tool gave."""
    answers = name_of(part.get("tool_use_id", part.get("call_id")))
    label = f"Result of {answers}" if answers else "Result"
    result = part.get("content", part.get("output"))
    if not isinstance(result, list):
        yield room.value(result, label=label)
        return
    yield room.text("", label=label)
    for inner in result[:MOST_PARTS]:
        if isinstance(inner, dict) and inner.get("type") in RESULT_PARTS:
            yield room.value(inner)  # results within results: no deeper
        else:
            yield from parts_of(room, inner)


def content_parts(room: Room, content: Any, *, plain: bool) -> Iterator[Part]:
    """What a message's content is shown as; text as text only if it is ``plain``."""
    if content is None or content == "":
        return
    if isinstance(content, list):
        for part in content[:MOST_PARTS]:
            yield from parts_of(room, part)
        if len(content) > MOST_PARTS:
            yield room.text("", label=f"{len(content) - MOST_PARTS} more parts")
    elif isinstance(content, str) and plain:
        yield room.text(content)
    else:
        yield room.value(content)
