"""What is refused: by the schema of the SDK, told in words of JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_tools import call, create, get

from keywordsai.errors import InvalidLogError
from keywordsai.logs.schema import LogParams
from keywordsai.logs.serialization import encode_log
from keywordsai.server.bodies import read_json
from keywordsai.server.validation import wrong_fields

REQUIRED = ["required"]


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (
            {"prompt_messages": [{"role": "user"}, {"content": "private words"}]},
            {"prompt_messages[1].role": REQUIRED},
        ),
        (
            {"completion_message": {"role": None}, "cost": "private words"},
            {
                "completion_message.role": REQUIRED,
                "cost": ["expected a number, got a string"],
            },
        ),
        (
            {"prompt_tokens": 1.0, "stop": 5, "usage": {"total_tokens": True}},
            {
                "prompt_tokens": ["expected an integer, got a number"],
                "stop": ["expected a string or a list, got an integer"],
                "usage.total_tokens": ["expected an integer, got a boolean"],
            },
        ),
        (
            {"tools": [{"function": {"name": {"private": "words"}}}, None]},
            {
                "tools[0].function.name": ["expected a string, got an object"],
                "tools[1]": ["expected an object, got null"],
            },
        ),
    ],
)
def test_every_problem_has_its_path(shared_url, body, errors):
    answer = call(f"{shared_url}/api/request-logs/create/", "POST", body)
    assert answer.status == 422
    assert answer.json == {"detail": "Validation error", "errors": errors}
    assert b"private" not in answer.body
    many = call(f"{shared_url}/api/request-logs/bulk/", "POST", {"logs": [{}, body]})
    told = "; ".join(f"{path}: {words[0]}" for path, words in errors.items())
    assert many.json["errors"] == [{"index": 1, "error": told}]


def test_of_very_many_problems_some_are_told(shared_url):
    body = {"prompt_messages": [1] * 10_000}
    answer = call(f"{shared_url}/api/request-logs/create/", "POST", body)
    assert len(answer.json["errors"]) == 100
    many = call(f"{shared_url}/api/request-logs/bulk/", "POST", {"logs": [body]})
    assert many.json["errors"][0]["error"].count("; ") == 9


# Shapes that no documentation allows, and programs send all the same.
REAL = [
    {
        "model": "m",
        "input": '[{"role": "user", "content": "Hi"}]',
        "output": '{"role": "assistant", "content": "Hello"}',
        "log_type": "workflow",
        "log_method": "tracing_integration",
        "total_request_tokens": 3,
        "span_parent_id": None,
        "usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}},
        "disable_fallback": False,
        "keywordsai_params": {"has_webhook": False},
        "field_name": "data: ",
        "warnings": "",
        "tool_choice": "auto",
        "cost": 0,
    },
    {
        "prompt_messages": [
            {"role": "critic", "content": None, "tool_calls": [{"id": None}]},
            {"role": "user", "content": [{"type": "image_url"}, "text"]},
            {"role": "assistant"},
        ],
        "customer_identifier": 5,
        "customer_params": {"customer_identifier": 5, "period_budget": 1000},
        "stop": "END",
        "tags": ["a"],
        "failed": False,
        "latency_ms": 12,
        "warnings": {"slow": True},
        "timestamp": "2026-01-10 10:00:01",
    },
    {
        "input": [{"role": "user", "content": "Hi"}],
        "output": {"role": "assistant", "content": "Hello"},
        "eval_params": {"evaluators": [{"evaluator_id": "e"}], "eval_inputs": {}},
        "prompt": {"prompt_id": "p", "variables": {"a": "b"}},
        "keywordsai_api_controls": {"block": True},
        "id": "mine",
        "request_id": "r",
    },
]


@pytest.mark.parametrize("body", REAL)
def test_what_programs_really_send_is_taken(shared_url, body):
    assert get(shared_url, create(shared_url, body))["as_sent"] == body


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "function", "name", "block", "n"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
FIELDS = st.sampled_from(sorted(LogParams.__annotations__))


@settings(deadline=None, max_examples=500)
@given(st.dictionaries(FIELDS | st.text(max_size=3), VALUES, max_size=6))
def test_the_server_and_the_sdk_refuse_the_same(log):
    """What the SDK sends is taken; what it finds wrong, the server finds there."""
    try:
        sent = encode_log(log)
    except InvalidLogError as error:
        found = wrong_fields(json.loads(json.dumps(log)))
        assert list(found) == list(dict.fromkeys(path for path, _ in error.problems))
    else:
        assert wrong_fields(read_json(sent.decode())) == {}


def test_integers_of_any_length_are_integers():
    long = "9" * 5000
    assert wrong_fields(read_json(f'{{"prompt_tokens": {long}, "cost": {long}}}')) == {}
    wrong = wrong_fields(read_json(f'{{"model": {long}}}'))
    assert wrong == {"model": ["expected a string, got an integer"]}
