"""Looking up a request's headers, which come in any case of letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["header"]


def header(headers: Mapping[str, str], name: str) -> str:
    """The value of a header, "" without one; ``name`` is in lower case."""
    for key, value in headers.items():
        if key.lower() == name:
            return value
    return ""
