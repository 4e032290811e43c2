"""What schemathesis makes of ``/openapi.json``: that it is valid, and true."""

from __future__ import annotations

import copy
import json
import sys

import pytest
from databases import DATABASES, fresh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server_tools import KEY, create

from keywordsai.logs.schema import LogParams
from keywordsai.server.app import serve_in_thread
from keywordsai.server.openapi import described
from keywordsai.server.validation import wrong_fields

if sys.version_info < (3, 11):
    pytest.skip("schemathesis needs Python 3.11", allow_module_level=True)
if "postgresql" not in DATABASES:  # an environment without what this needs
    pytest.skip("left to the environment `server`", allow_module_level=True)

import schemathesis
from jsonschema_rs import Draft202012Validator
from schemathesis.checks import CHECKS

DOCUMENT = json.loads(described())
SIGNED = {"Authorization": f"Bearer {KEY}"}

# Of every shape one: making up logs of all fields would take most of the time, and
# that the schema tells the truth about each is shown below.
SHAPES = """
    model prompt_messages completion_message prompt_tokens cost timestamp stop stream
    metadata status_code input log_type usage warnings prompt logprobs span_tools
"""


def bounded_api():
    document = copy.deepcopy(DOCUMENT)
    schemas = document["components"]["schemas"]
    for name in ("Bulk", "Batch"):
        # Thousands of logs in a request are tried elsewhere, and what a log may be
        # is tried with one.
        logs = schemas[name]["properties"]["logs"]
        del logs["maxItems"]
        logs["items"] = {"type": "object", "properties": {"cost": {"type": "number"}}}
    fields = schemas["LogParams"]["properties"]
    schemas["LogParams"]["properties"] = {name: fields[name] for name in SHAPES.split()}
    config = schemathesis.Config()
    # Whoever signs in wrongly is another check's matter.
    config.projects.default.generation.with_security_parameters = False
    return schemathesis.openapi.from_dict(document, config=config)


API = bounded_api()
bounded = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module", params=DATABASES)
def guarded_url(request, tmp_path_factory):
    """A server with a key, so that it can be seen to ask for it."""
    folder = tmp_path_factory.mktemp("guarded")
    with (
        fresh(request, request.param, folder) as database,
        serve_in_thread(database=database, api_key=KEY) as url,
    ):
        yield url


@API.parametrize()
@bounded
def test_no_answer_is_undocumented(case, guarded_url):
    names = []
    if case.path.endswith(("/list/", "/summary/")):
        # Which operators and values a field's conditions may have, no schema says.
        names = ["positive_data_acceptance"]
    elif case.path.endswith(("/bulk/", "/batch/create/")):
        # Where one log is wrong the others are stored.
        names = ["negative_data_rejection"]
    case.call_and_validate(
        base_url=f"{guarded_url}/api",
        headers=SIGNED,
        excluded_checks=CHECKS.get_by_names(names),
    )


@API.include(path_regex=r"\{id\}").parametrize()
@bounded
def test_nor_of_a_log_that_is_there(case, guarded_url):
    log_id = create(guarded_url, {"note": "new", "metadata": {"a": 1}})
    case.path_parameters["id"] = log_id
    excluded = CHECKS.get_by_names(["negative_data_rejection"])  # the path is right
    case.call_and_validate(
        base_url=f"{guarded_url}/api", headers=SIGNED, excluded_checks=excluded
    )


def test_it_is_valid_openapi():
    API.validate()
    assert DOCUMENT["openapi"] == "3.1.0"


def test_a_document_that_is_none_is_told_from_it():
    wrong = schemathesis.openapi.from_dict({**DOCUMENT, "info": {}})
    with pytest.raises(ValueError, match="title"):
        wrong.validate()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(0.25, 0.75) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "function", "name", "block", "type"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
LOG = Draft202012Validator(
    {"$ref": "#/components/schemas/LogParams", "components": DOCUMENT["components"]}
)


@settings(deadline=None, max_examples=100)
@given(
    st.dictionaries(
        st.sampled_from(sorted(LogParams.__annotations__)), VALUES, max_size=6
    )
)
def test_the_schema_allows_what_the_server_takes(log):
    assert LOG.is_valid(log) == (wrong_fields(log) == {})
