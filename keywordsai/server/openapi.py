"""The API described for machines, in OpenAPI 3.1: ``/openapi.json``.

Made of the table of routes and of the SDK's schema, so that it says what is the
case. What is written here are the words for it.
"""

from __future__ import annotations

import functools
from typing import Any

from keywordsai import __version__
from keywordsai.server.answers import to_json
from keywordsai.server.components import component, components
from keywordsai.server.operations import BATCH, BULK
from keywordsai.server.query import SORTABLE
from keywordsai.server.routes import PREFIX, ROUTES, Endpoint, Route

__all__ = ["described"]

_JSON = "application/json"

_ABOUT = """The hosted service's API for logs, as this server speaks it.

Every path works with and without a slash at its end. Any key is taken by a server
that was started without one. A server that was told to fail, for tests, may answer
with any status.
"""

_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Of two requests with the same one from the same API key only the "
    "first stores something; in a bulk that goes for every place.",
    "schema": {"type": "string"},
}
_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The id of a log: 32 hex digits, also written as a UUID.",
    "schema": {"type": "string", "pattern": "^[0-9a-fA-F]{32}$"},
}


def _query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    said = {"name": name, "in": "query", "description": description}
    # An empty value is as none.
    wanted = {"anyOf": [schema, {"const": ""}]} if schema else {"type": "string"}
    return {**said, "schema": wanted}


_TIME = {"type": "string", "format": "date-time"}
_SELECTION = [
    _query(
        "start_time", "The earliest timestamp; other ISO 8601 is taken too.", **_TIME
    ),
    _query("end_time", "The latest timestamp; now if absent.", **_TIME),
    *(
        _query(name, "Accepted, without effect.")
        for name in ("is_test", "all_envs", "fetch_filters")
    ),
    {
        "name": "filters",
        "in": "query",
        "description": "Any other name: the field of that name must equal the value. "
        "`name[operator]=…` beside `name[value]=…` asks for another comparison. A name "
        "that is no field of a log is a key of its metadata.",
        "style": "form",
        "explode": True,
        "schema": {"type": "object"},
    },
]
_PAGE = [
    _query("page", "From 1.", type="integer", minimum=1, maximum=10**9, default=1),
    _query(
        "page_size",
        "How many logs a page has.",
        type="integer",
        minimum=1,
        maximum=1000,
        default=100,
    ),
    _query(
        "sort_by",
        "What to sort by; `-` before it for the largest first.",
        enum=[sign + name for name in sorted(SORTABLE) for sign in ("", "-")],
        default="-id",
    ),
    _query("include_fields", "The only keys wanted of a row, with commas between."),
]

_SUMMARY: dict[Endpoint, str] = {
    "create": "Create a log",
    "bulk": "Create many logs, and be told how many",
    "batch": "Create many logs, and be told of every one",
    "list": "List logs",
    "summary": "Sum up logs",
    "get": "Read a log",
    "change": "Change what may be changed of a log",
    "remove": "Remove a log",
    "health": "Ask whether the server is up",
    "describe": "Read this description",
}
_BODIES: dict[Endpoint, str] = {
    "create": "LogParams",
    "bulk": "Bulk",
    "batch": "Batch",
    "list": "Filters",
    "summary": "Filters",
    "change": "Changes",
}
_ANSWERS: dict[Endpoint, tuple[int, str, str]] = {
    "create": (201, "The log is stored.", "Created"),
    "bulk": (
        201,
        "At least one log was accepted, and all that were are stored.",
        "BulkAnswer",
    ),
    "batch": (
        201,
        "At least one log was accepted, and all that were are stored.",
        "BatchAnswer",
    ),
    "list": (200, "A page of logs.", "Page"),
    "summary": (200, "Sums and means over the logs that match.", "Summary"),
    "get": (200, "The log.", "LogDetail"),
    "change": (200, "The log as it reads now.", "LogDetail"),
    "remove": (204, "The log is removed.", ""),
    "health": (200, "It is.", "Health"),
    "describe": (200, "OpenAPI 3.1.", "Any"),
}
_PAGING: frozenset[Endpoint] = frozenset({"list"})
_SELECTING: frozenset[Endpoint] = frozenset({"list", "summary"})
_IDEMPOTENT: frozenset[Endpoint] = frozenset({"create", "bulk", "batch"})
_OF_ONE: frozenset[Endpoint] = frozenset({"get", "change", "remove"})
_NONE_ACCEPTED: dict[Endpoint, str] = {"bulk": "NoBulk", "batch": "NoBatch"}


def _says(description: str, schema: str, **headers: str) -> dict[str, Any]:
    said: dict[str, Any] = {"description": description}
    if schema:
        said["content"] = {_JSON: {"schema": component(schema)}}
    if headers:
        said["headers"] = {
            name.replace("_", "-"): {
                "description": text,
                "schema": {"type": "string"},
            }
            for name, text in headers.items()
        }
    return said


def _responses(endpoint: Endpoint, method: str, route: Route) -> dict[str, Any]:
    status, description, schema = _ANSWERS[endpoint]
    found = {str(status): _says(description, schema)}
    has_body = method in {"POST", "PATCH"}
    if has_body or endpoint in _SELECTING:
        found["400"] = _says(
            "What was asked cannot be read.", _NONE_ACCEPTED.get(endpoint, "Problem")
        )
    if route.needs_key:
        found["401"] = _says(
            "No key, or another.", "Problem", WWW_Authenticate="`Bearer`"
        )
    found["403"] = _says("Asked for by a name that is not the server's.", "Problem")
    if endpoint in _OF_ONE:
        found["404"] = _says("There is no such log.", "Problem")
    if has_body:
        found["413"] = _says(f"Too large: {route.limit.rule}.", "Problem")
        found["415"] = _says("Packed by neither gzip nor deflate.", "Problem")
    if endpoint in {"create", "change"}:
        found["422"] = _says("Values that are not allowed.", "Invalid")
    found["500"] = _says("The server failed.", "Problem")
    if route.needs_key:
        found["503"] = _says(
            "The database is full, or cannot be used now.",
            "Problem",
            Retry_After="Seconds.",
        )
    if method == "HEAD":
        for said in found.values():
            said.pop("content", None)
    return found


def _operation(endpoint: Endpoint, method: str, route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{endpoint}-{method}".lower(),
        "summary": _SUMMARY[endpoint],
        "responses": _responses(endpoint, method, route),
    }
    parameters = [
        *([_ID] if endpoint in _OF_ONE else []),
        *(_SELECTION if endpoint in _SELECTING else []),
        *(_PAGE if endpoint in _PAGING else []),
        *([_IDEMPOTENCY] if endpoint in _IDEMPOTENT else []),
    ]
    if parameters:
        operation["parameters"] = parameters
    if method in {"POST", "PATCH"}:
        operation["requestBody"] = {
            "description": f"At most {route.limit.size} bytes; may come packed by gzip "
            "or deflate, with a `Content-Encoding` that says so.",
            "required": endpoint not in _SELECTING,
            "content": {_JSON: {"schema": component(_BODIES[endpoint])}},
        }
    if not route.needs_key:
        operation["security"] = []
    return operation


@functools.cache
def described() -> bytes:
    """The description as JSON, made once."""
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Keywords AI log server",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [
            {"url": PREFIX, "description": "As the hosted service has it."},
            {"url": "/", "description": "As version 1 of the SDK asks."},
        ],
        "security": [{"key": []}],
        "paths": {
            route.path: {
                method.lower(): _operation(endpoint, method, route)
                for method, endpoint in route.endpoints.items()
            }
            for route in ROUTES
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": components(bulk=BULK.most_logs, batch=BATCH.most_logs),
        },
    }
    return to_json(document)
