"""The page's own files, each under a URL that changes when the file does.

So a browser may keep them for good, and still has the new ones after an update.
"""

from __future__ import annotations

import functools
import hashlib
from importlib.resources import files

from keywordsai.transport.base import HTTPResponse

__all__ = ["asset", "asset_url"]

_TYPES = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_LONG = "public, max-age=31536000, immutable"


@functools.cache
def _content(name: str) -> bytes:
    return (files(__package__) / "static" / name).read_bytes()


@functools.cache
def asset_url(name: str) -> str:
    """Where a page finds one of the files."""
    digest = hashlib.sha256(_content(name)).hexdigest()[:16]
    return f"/_static/{digest}/{name}"


def asset(path: str) -> HTTPResponse | None:
    """The file at a path below ``/_static/``, None if there is none.

    Under an older hash it is today's file: a page from before an update asks for
    it, and must not keep it.
    """
    name = path.rpartition("/")[2]
    if name not in _TYPES:
        return None
    known = path == asset_url(name)
    headers = {
        "Content-Type": _TYPES[name],
        "Cache-Control": _LONG if known else "no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    return HTTPResponse(status=200, headers=headers, body=_content(name))
