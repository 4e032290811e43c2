"""What the access log says of a request: one line of JSON, and nothing of a log.

Of a path only the words that this server knows are shown, of a query nothing.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from keywordsai.server.times import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["access_line", "path_template"]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_AREAS = frozenset(
    {"request-logs", "healthz", "openapi.json", "logs", "overview", "_static"}
    | {"_events", "_faults", "sign-in", "sign-out", "favicon.ico"}
)
_BELOW = {
    "request-logs": "create|bulk|batch/create|list|summary",
    "logs": "",
    "_static": "",
}


def path_template(path: str) -> str:
    """The path without what somebody put there.

    Example:
        >>> path_template("/api/request-logs/0190/"), path_template("/who/knows")
        ('/api/request-logs/{id}/', '{unknown}')
    """
    found = re.fullmatch(r"(/api)?/([^/]*)(?:/(.+?))?(/?)", path, re.DOTALL)
    if found is None or (found[2] and found[2] not in _AREAS):
        return "{unknown}"
    return "".join(_template(*found.groups()))


def _template(
    prefix: str | None, area: str, rest: str | None, slash: str
) -> Iterator[str]:
    yield f"{prefix or ''}/{area}"
    if rest is not None:
        known = area in _BELOW and re.fullmatch(_BELOW[area], rest)
        yield f"/{rest}" if known else "/{id}"
    yield slash


def access_line(
    *,
    time: int,
    method: str,
    path: str,
    status: int | None,
    bytes_in: int,
    bytes_out: int,
    seconds: float,
    peer: str,
) -> str:
    """One request as a line of JSON.

    Args:
        time: When it began, microseconds since 1970.
        method: Its method.
        path: Its path, as it came.
        status: That of the answer, None where none was given.
        bytes_in: The length of its body as it came.
        bytes_out: That of the answer's.
        seconds: How long it took.
        peer: The address it came from; behind a proxy, the proxy's.
    """
    return json.dumps(
        {
            "time": format_time(time),
            "method": method if method in _METHODS else "OTHER",
            "path": path_template(path),
            "status": status,
            "bytes_in": bytes_in,
            "bytes_out": bytes_out,
            "ms": round(seconds * 1000, 3),
            "peer": peer,
        }
    )
