"""Log content made fit to be shown: bounded, and with nothing that hides.

Escaping is the templates' business (they autoescape). What escaping leaves is
handled here: characters that turn the direction of the text around them, that
cannot be seen, or that no encoding takes, are shown by their number.
"""

from __future__ import annotations

import json
import re
from typing import Any

import attrs

__all__ = ["Cut", "cut", "cut_json", "lay_out", "visible"]

# Controls but tab and newline; the soft hyphen; marks and overrides of direction;
# blanks without width, but not the joiners that scripts and emoji need; halves of
# surrogate pairs; non-characters; tags, which hold whole texts that nobody sees.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\uffff\U000e0000-\U000e0fff]"
)


_LINE = 60  # characters of a value that is not laid out over lines


def visible(text: str) -> str:
    r"""The text with what cannot be seen written as its number.

    Example:
        >>> visible("user\u202etxt.exe")
        'user⟦U+202E⟧txt.exe'
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n")
    return _HIDDEN.sub(lambda found: f"⟦U+{ord(found[0]):04X}⟧", text)


@attrs.frozen
class Cut:
    """A text and how many characters of it were left out at its end."""

    text: str = attrs.field(repr=False)
    left_out: int = 0


def cut(text: str, limit: int) -> Cut:
    """No more than so many characters of a text."""
    return Cut(text[:limit], max(0, len(text) - limit))


def cut_json(value: Any, limit: int) -> Cut:
    """A value as JSON, over lines if it is long, no more than so many characters.

    How much was left out is not known exactly, for the rest is never written.
    """
    line = _written(value, min(limit, _LINE), indent=None)
    if not line.left_out:
        return line
    return _written(value, limit, indent=2)


def _written(value: Any, limit: int, *, indent: int | None) -> Cut:
    pieces, length = [], 0
    encoder = json.JSONEncoder(ensure_ascii=False, indent=indent)
    for piece in encoder.iterencode(value):
        pieces.append(piece)
        length += len(piece)
        if length > limit:
            break
    return cut("".join(pieces), limit)


_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_DEEPEST = 40  # levels of indentation


def lay_out(text: str, limit: int) -> Cut:
    r"""JSON text laid out over lines, each token of it just as it stands there.

    Example:
        >>> print(lay_out('{"a": [1.50, {}], "b": "\\u0041"}', 1000).text)
        {
          "a": [
            1.50,
            {}
          ],
          "b": "\u0041"
        }
    """
    pieces: list[str] = []
    length = depth = end = 0
    before = ""
    for found in _TOKEN.finditer(text):
        word = found[0]
        if word in "}]":
            depth -= 1
        opened = before in ("{", "[")
        if (before == "," or opened) if word not in "}]" else not opened:
            pieces.append("\n" + "  " * min(depth, _DEEPEST))
            length += len(pieces[-1])
        pieces.append(": " if word == ":" else word)
        length += len(pieces[-1])
        if word in "{[":
            depth += 1
        before, end = word, found.end()
        if length > limit:
            break
    laid = "".join(pieces)
    return Cut(laid[:limit], max(0, len(laid) - limit) + len(text) - end)
