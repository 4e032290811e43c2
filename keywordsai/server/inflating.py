"""Request bodies that come compressed, inflated piece by piece.

A few kilobytes can inflate to gigabytes. So never more than a small piece is
inflated at a time, and whoever collects the pieces stops when there are too many;
aiohttp's own inflating is left off, since its older releases know no bound.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from keywordsai.server.answers import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CODINGS", "PIECE", "Inflater", "inflater_of"]

CODINGS = "gzip, deflate"
"""What may be sent, as the header ``Accept-Encoding`` of an answer says it."""

PIECE = 256 * 1024
"""Bytes that are inflated at a time, at most."""

_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
_RAW = -zlib.MAX_WBITS


def inflater_of(coding: str) -> Inflater | None:
    """What inflates a body of that ``Content-Encoding``, None for one left as it is.

    Raises:
        Refusal: 415, the coding is neither gzip nor deflate.
    """
    coding = coding.strip().lower()
    if coding in {"", "identity"}:
        return None
    if coding in {"gzip", "x-gzip"}:
        return Inflater(gzip=True)
    if coding == "deflate":
        return Inflater(gzip=False)
    raise Refusal(
        415,
        "Content-Encoding not supported: expected gzip, deflate, or none",
        headers={"Accept-Encoding": CODINGS},
    )


class Inflater:
    """Inflates one body.

    Args:
        gzip: Whether it is gzip, of one member or several; else it is deflate,
            with the wrapping that the standard asks for or, as some send it,
            without.
    """

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._start = b""  # of deflate, until there is enough to tell its wrapping
        self._zlib = zlib.decompressobj(_GZIP) if gzip else None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give what more of the body inflates to, in pieces.

        Raises:
            Refusal: 400, it cannot be inflated.
        """
        if self._zlib is None:
            self._start += data
            if len(self._start) < 2:
                return
            data, self._start = self._start, b""
            self._zlib = zlib.decompressobj(_wrapping(data))
        piece = b""
        # After a full piece there may be more of it though all data was taken in.
        while data or len(piece) == PIECE:
            if self._zlib.eof:
                if not data:
                    return
                if not self._gzip:
                    raise _broken()
                self._zlib = zlib.decompressobj(_GZIP)  # of the next member
            try:
                piece = self._zlib.decompress(data, PIECE)
            except zlib.error:
                raise _broken() from None
            if piece:
                yield piece
            data = self._zlib.unconsumed_tail or self._zlib.unused_data

    def end(self) -> None:
        """Check that the body is whole.

        Raises:
            Refusal: 400, it ended early.
        """
        if self._zlib is None or not self._zlib.eof:
            raise _broken()


def _wrapping(start: bytes) -> int:
    """Whether deflated data has zlib's header, which is divisible by 31."""
    wrapped = start[0] & 0x0F == 8 and (start[0] << 8 | start[1]) % 31 == 0
    return _ZLIB if wrapped else _RAW


def _broken() -> Refusal:
    return Refusal(400, "Invalid request format: the compressed body is broken")
