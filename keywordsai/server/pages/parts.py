"""The parts of a message as they are shown, and the room there is for them.

Every text of a log goes through one `Room`: however large the log, what is shown
of it is bounded, and each part says how much of it was left out.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, TypeAlias

import attrs

from keywordsai.server.pages.shown import Cut, cut, cut_json, visible

__all__ = ["Argument", "Call", "Image", "Part", "Room", "Text", "held_json", "name_of"]

_LONGEST_TEXT = 20_000  # characters, of one part
_LONGEST = 400_000  # of all texts together
_LONGEST_NAME = 200
_LONGEST_HELD = 12_000_000  # characters of a text that may hold JSON
_LARGEST_IMAGE = 4_000_000  # characters of a data URL
_LARGEST_IMAGES = 12_000_000  # together


@attrs.frozen(kw_only=True)
class Text:
    """A text, or a value as JSON.

    Attributes:
        text: As much of it as is shown.
        left_out: How many characters of it are not shown.
        code: Whether it is set as code.
        label: What it is, where that does not go without saying.
    """

    kind: ClassVar[str] = "text"
    text: str = attrs.field(repr=False)
    left_out: int = 0
    code: bool = False
    label: str = ""


@attrs.frozen(kw_only=True)
class Image:
    """An image that is part of the log; ``source`` is a data URL of a known type."""

    kind: ClassVar[str] = "image"
    source: str = attrs.field(repr=False)
    description: str


@attrs.frozen(kw_only=True)
class Argument:
    """One argument of a call; ``name`` is empty where they have no names."""

    name: str
    value: Text


@attrs.frozen(kw_only=True)
class Call:
    """A tool that the model wants called."""

    kind: ClassVar[str] = "call"
    name: str
    call_id: str
    arguments: tuple[Argument, ...]


Part: TypeAlias = Text | Image | Call


@attrs.define
class Room:
    """What may still be shown of a log.

    Attributes:
        characters: Of all texts together.
        images: Characters of data URLs.
    """

    characters: int = _LONGEST
    images: int = _LARGEST_IMAGES

    def text(self, text: str, *, label: str = "", code: bool = False) -> Text:
        """A text, as much of it as there is room for."""
        return self._take(cut(text, self._limit), label=label, code=code)

    def value(self, value: Any, *, label: str = "") -> Text:
        """Any value: a text that holds JSON is laid out like a value."""
        if isinstance(value, str):
            held = held_json(value)
            if held is None:
                return self.text(value, label=label)
            value = held
        code = isinstance(value, dict | list)
        return self._take(cut_json(value, self._limit), label=label, code=code)

    def image(self, url: str, kind: str) -> Image | None:
        """The image of a data URL, None if there is no room for it."""
        if len(url) > min(_LARGEST_IMAGE, self.images):
            return None
        self.images -= len(url)
        return Image(source=url, description=f"Image in the log, {kind.upper()}")

    @property
    def _limit(self) -> int:
        return max(0, min(_LONGEST_TEXT, self.characters))

    def _take(self, taken: Cut, *, label: str, code: bool) -> Text:
        self.characters -= len(taken.text)
        return Text(text=taken.text, left_out=taken.left_out, label=label, code=code)


def held_json(text: str) -> Any:
    """The object or array that a text holds, None if it holds neither."""
    if not text.lstrip()[:1] in ("{", "[") or len(text) > _LONGEST_HELD:  # noqa: E713
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def name_of(value: Any) -> str:
    """A name, whatever it is made of, in one short line."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return visible(text[:_LONGEST_NAME])
