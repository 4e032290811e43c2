"""Looking up a request's headers, which come in any case of letters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["bearer", "header"]

_BEARER = re.compile(r"Bearer +(\S.*)", re.IGNORECASE)


def header(headers: Mapping[str, str], name: str) -> str:
    """The value of a header, "" without one; ``name`` is in lower case."""
    for key, value in headers.items():
        if key.lower() == name:
            return value
    return ""


def bearer(headers: Mapping[str, str]) -> bytes:
    """The key in ``Authorization``, empty without one."""
    found = _BEARER.fullmatch(header(headers, "authorization").strip())
    return found[1].encode("utf-8", "surrogatepass") if found else b""
