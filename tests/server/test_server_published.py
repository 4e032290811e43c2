"""The published SDK, in an environment of its own, against the real server."""

from __future__ import annotations

import json
import subprocess

import pytest
from server_tools import KEY, clean_environment, create, get, keep, serving

# What real programs send: shapes that no documentation allows.
BODIES = [
    {
        "model": "m",
        "prompt_messages": [{"role": "user", "content": "Hi"}],
        "completion_message": {"role": "assistant", "content": "Hello"},
        "customer_params": {
            "customer_identifier": 12,
            "name": "Jo",
            "email": "jo@example.com",
            "metadata": {"plan": "pro"},
            "period_budget": 3,
        },
        "generation_time": 1.5,
        "ttft": 0.25,
        "positive_feedback": True,
        "keywordsai_api_controls": {"block": True},
    },
    {
        "prompt_messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "see"},
                    {
                        "type": "image_url",
                        "image_url": {"url": "https://example.com/a.png"},
                    },
                    "more",
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": None,
                        "type": "function",
                        "function": {"name": "f", "arguments": {"a": 1}},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c", "content": "1"},
        ]
    },
    {
        "model": None,
        "text": "half \ud800",
        "cost": None,
        "latency": 10**400,
        "prompt_tokens": 10**30,
        "failed": False,
        "tags": ["a"],
        "latency_ms": 12,
        "type": "llm",
    },
    {},
    {
        "customer_identifier": 1,
        "custom_identifier": 2,
        "thread_identifier": 3,
        "group_identifier": 4,
        "trace_unique_id": 5,
        "prompt_id": 7,
        "user_id": {"a": 1},
        "warnings": {"slow": True},
        "stop": "END",
        "tool_choice": "any",
        "cost": 0,
        "log_type": "span",
        "status": "error",
        "reasoning": "because",
        "thinking": "hm",
        "input": [{"role": "user", "content": "Hi"}],
        "output": {"role": "assistant", "content": "Hello"},
        "full_request": [1, 2],
        "full_response": "text",
        "embedding": [0.1, "x"],
        "timestamp": "2026-01-20T10:30:00.123456789Z",
        "start_time": "20/01/2026 at ten",
        "prompt": {"prompt_id": 5, "version": "newest"},
        "usage": {"prompt_tokens": 1},
        "tool_calls": [{"id": None, "function": None}],
    },
]

# What is taken no more, and may be in a database all the same.
FROM_BEFORE = [
    {
        "customer_identifier": 1,
        "custom_identifier": 2,
        "thread_identifier": 3,
        "group_identifier": 4,
        "trace_unique_id": 5,
        "span_unique_id": 6,
        "prompt_id": 7,
        "user_id": {"a": 1},
        "customer_email": 9,
        "session_identifier": 1.5,
    },
    {
        "warnings": {"slow": True},
        "error_message": {"code": 5},
        "stop": "END",
        "tool_choice": "any",
        "cost": 0,
        "log_type": "span",
        "status": "error",
        "reasoning": "because",
        "thinking": "hm",
        "response_format": "json",
        "tools": {"name": "f"},
    },
    {
        "prompt_messages": [
            {"role": "function", "content": "x"},
            {"role": "user"},
            {"content": None},
            "text",
            5,
        ],
        "completion_message": "just text",
        "completion_messages": {"role": "user"},
        "messages": None,
    },
    {
        "prompt_messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "input_audio",
                        "input_audio": {"data": "", "format": "wav"},
                    }
                ],
            }
        ],
        "messages": [{"role": "user", "content": [{"type": "text"}]}],
        "tool_calls": [{"id": None, "function": None}, "x"],
    },
    {
        "input": [{"role": "user", "content": "Hi"}],
        "output": {"role": "assistant", "content": "Hello"},
        "full_request": [1, 2],
        "full_response": "text",
        "usage": "many",
        "embedding": [0.1, "x"],
        "variables": [],
        "metadata": None,
        "prompt": {"prompt_id": 5, "version": "newest"},
    },
    {
        "input": None,
        "output": None,
        "timestamp": "2026-01-20T10:30:00.123456789Z",
        "start_time": "20/01/2026 at ten",
        "logit_bias": {"50256": "x"},
        "n": 1.5,
        "seed": "s",
        "temperature": "hot",
        "max_tokens": "many",
        "logprobs": 5,
        "timeout": "30s",
        "top_p": 10**400,
        "cache_ttl": 1e300,
    },
    {
        "prompt": ["a"],
        "eval_params": {
            "evaluators": [{"evaluator_slug": "x"}],
            "eval_inputs": {"ideal_output": 5},
        },
        "customer_params": {
            "budget_duration": "weekdays",
            "rate_limit": "x",
            "period_start": "soon",
        },
        "cache_options": [],
        "retry_params": {"num_retries": 0},
        "load_balance_models": [{"model": "m"}],
        "mem0_params": {},
        "linkup_params": {"q": 1},
        "posthog_integration": 1,
        "keywordsai_api_controls": 0,
        "ds_run_at": "then",
        "credential_override": 1,
    },
    {
        "id": "mine",
        "unique_id": 5,
        "organization_id": [],
        "is_test": "no",
        "environment": 1,
        "disable_log": "no",
        "span_handoffs": [1],
        "span_tools": "x",
        "models": "m",
        "model_name_map": {"a": 1},
        "error_bit": "x",
        "hour_group": 1,
        "period_end": {},
        "log_method": 1,
        "status": 2,
        "full_text": [],
        "has_warnings": "?",
        "user": {"id": 1},
        "properties": "x",
        "field_name": None,
        "encoding_format": 1,
    },
]

SCRIPT = """
import asyncio, json, sys
from keywordsai.logs.api import LogAPI
from keywordsai.types.log_types import KeywordsAILogParams
url, key = sys.argv[1:]
client = LogAPI(api_key=key, base_url=url)
ever = {"start_time": "2000-01-01T00:00:00Z"}
before = client.list(**ever, page_size=1000)
for row in before.results:
    assert client.get(row.id).unique_id == row.unique_id == row.id
params = KeywordsAILogParams(model="by-params", input="Hi", output="Hello", prompt_tokens=1, completion_tokens=2)
made = client.create(params)
plain = asyncio.run(client.acreate({
    "model": "by-dict", "prompt_messages": [{"role": "user", "content": "Hi"}], "latency": 1.5,
    "completion_message": {"role": "assistant", "content": "Hello"}, "thread_identifier": "t-1",
    "customer_params": {"customer_identifier": "c-1"}, "metadata": {"k": "v"}, "status_code": 500,
}))
one, two = client.get(made["id"]), asyncio.run(client.aget(plain["unique_id"]))
page = client.list(page=1, page_size=1)
found = asyncio.run(client.alist(model="by-dict", k="v"))
print(json.dumps({
    "before": len(before.results), "made": made,
    "one": [one.model, one.input, one.output, one.total_request_tokens, one.status],
    "two": [two.model, two.status, two.customer_identifier, two.latency, two.timestamp.tzinfo is not None],
    "page": [page.count, len(page.results), page.next, page.previous, page.results[0].id == plain["id"]],
    "found": [row.id for row in found.results] == [plain["id"]],
}))
"""


@pytest.mark.parametrize("base", ["", "/api", "/api/"])
def test_the_published_sdk(published_python, database, tmp_path, base):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    ids = keep(database, *FROM_BEFORE)
    with serving(database) as (_, url):
        for log_id, body in zip(ids, FROM_BEFORE, strict=True):
            assert get(url, log_id)["as_sent"] == body
        for body in BODIES:
            assert get(url, create(url, body))["as_sent"] == body
        done = subprocess.run(
            [published_python, "-I", script, url + base, KEY],
            capture_output=True,
            text=True,
            check=False,
            env=clean_environment(),
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["before"] == len(FROM_BEFORE) + len(BODIES)
    assert said["made"]["message"] == "log successful"
    assert said["one"] == ["by-params", "Hi", "Hello", 3, "success"]
    assert said["two"] == ["by-dict", "failed", "c-1", 1.5, True]
    assert said["page"] == [
        said["before"] + 2,
        1,
        f"{url}/request-logs/list?page_size=1&page=2",
        None,
        True,
    ]
    assert said["found"]
