"""``/openapi.json``: every route and every field is in it, and it is served."""

from __future__ import annotations

import json

import pytest
from server_tools import call

from keywordsai.logs.schema import LogParams
from keywordsai.server.openapi import described
from keywordsai.server.routes import ROUTES

DOCUMENT = json.loads(described())


def test_every_route_is_in_it():
    found = {
        (path, method.upper())
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
    }
    assert found == {
        (route.path, method) for route in ROUTES for method in route.methods
    }
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            assert all(said["description"] for said in operation["responses"].values())


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_only_those_methods_are_taken(shared_url, route):
    path = f"{shared_url}{route.path}".replace("{id}", "0" * 32)
    answer = call(path, "OPTIONS")
    assert answer.status == 405
    allowed = {method.lower() for method in answer.headers["Allow"].split(", ")}
    assert allowed == set(DOCUMENT["paths"][route.path])
    needs_key = call(path, route.methods[0], key=None).status == 401
    operation = DOCUMENT["paths"][route.path][route.methods[0].lower()]
    assert needs_key == (operation.get("security") != [])


@pytest.mark.parametrize("path", ["/openapi.json", "/api/openapi.json/"])
def test_it_is_served_without_a_key(shared_url, path):
    answer = call(shared_url + path, key=None)
    assert (answer.status, answer.json) == (200, DOCUMENT)
    assert answer.headers["Content-Type"] == "application/json"
    assert call(shared_url + path, "HEAD", key=None).status == 200


def test_every_field_of_a_log_is_described():
    schema = DOCUMENT["components"]["schemas"]["LogParams"]
    assert set(schema["properties"]) == set(LogParams.__annotations__) - {"extra"}
    for name, one in DOCUMENT["components"]["schemas"].items():
        if name in {"Any", "Row"}:
            continue
        assert one.get("description") or "allOf" in one, name
    assert all(field["description"] for field in schema["properties"].values())
