"""The table of the API's paths: what leads where, and what may be sent there.

`keywordsai.server.handler` finds its way by it, and `keywordsai.server.openapi`
describes what is in it, so that neither knows a path that the other does not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import unquote

import attrs

from keywordsai.server.bodies import BULK_BODY, LOG_BODY, BodyLimit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PREFIX", "ROUTES", "Endpoint", "Route", "find_route"]

Endpoint: TypeAlias = Literal[
    "health",
    "describe",
    "create",
    "bulk",
    "batch",
    "list",
    "summary",
    "get",
    "change",
    "remove",
]

PREFIX: Final = "/api"
"""May stand before every path, and is left out by version 1 of the SDK."""


@attrs.frozen(kw_only=True)
class Route:
    """A path and what may be done with it.

    Attributes:
        path: With a slash at its end where the service has one; it works without
            too. ``{id}`` stands for the id of a log.
        endpoints: What is done, by the method.
        limit: How large a body may be.
        needs_key: Whether the sender has to sign in.
    """

    path: str
    endpoints: Mapping[str, Endpoint]
    limit: BodyLimit = LOG_BODY
    needs_key: bool = True

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods taken, HEAD wherever GET is."""
        return tuple(self.endpoints)


_NO_BODY = BodyLimit(1024, "nothing is read of it")  # of whom nobody knows


def _reading(endpoint: Endpoint) -> dict[str, Endpoint]:
    return {"GET": endpoint, "HEAD": endpoint}


ROUTES: Final = (
    Route(path="/request-logs/create/", endpoints={"POST": "create"}),
    Route(path="/request-logs/bulk/", endpoints={"POST": "bulk"}, limit=BULK_BODY),
    Route(
        path="/request-logs/batch/create/",
        endpoints={"POST": "batch"},
        limit=BULK_BODY,
    ),
    Route(path="/request-logs/list/", endpoints={**_reading("list"), "POST": "list"}),
    Route(
        path="/request-logs/summary/",
        endpoints={**_reading("summary"), "POST": "summary"},
    ),
    Route(
        path="/request-logs/{id}/",
        endpoints={**_reading("get"), "PATCH": "change", "DELETE": "remove"},
    ),
    Route(
        path="/healthz",
        endpoints=_reading("health"),
        limit=_NO_BODY,
        needs_key=False,
    ),
    Route(
        path="/openapi.json",
        endpoints=_reading("describe"),
        limit=_NO_BODY,
        needs_key=False,
    ),
)

_FIXED = {route.path.removesuffix("/"): route for route in ROUTES}
_ONE_LOG = _FIXED["/request-logs/{id}"]
_ID = re.compile(r"/request-logs/([^/]+)")


def find_route(path: str) -> tuple[Route, str] | None:
    """Find where a path leads, with ``/api`` before it or not, ``/`` after it or not.

    Returns:
        The route and the id of the log in the path, which is empty where there is
        none; None if the path leads nowhere.

    Example:
        >>> route, log_id = find_route("/request-logs/0af1")
        >>> route.path, log_id
        ('/request-logs/{id}/', '0af1')
    """
    if path.startswith(f"{PREFIX}/"):
        path = path.removeprefix(PREFIX)
    path = path.removesuffix("/")
    route = _FIXED.get(path)
    if route is not None:
        return route, ""
    found = _ID.fullmatch(path)
    return None if found is None else (_ONE_LOG, unquote(found[1]))
