"""What follows from a log, filled in as the service does."""

from __future__ import annotations

import json

import pytest
from server_tools import call, create, get, listed

from keywordsai.server.rows import derived

ASKED = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
SAID = {"role": "assistant", "content": "Hello"}
ABSENT = object()


def check(body, expected):
    full = derived(body, log_id="0", timestamp=0)
    found = {name: full.get(name, ABSENT) for name in expected}
    assert found == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"status": "success", "status_code": 200}),
        ({"status": "error"}, {"status": "failed"}),
        ({"status": "success", "status_code": 500}, {"status": "success"}),
        ({"status_code": 404}, {"status": "failed"}),
        ({"error_message": "It broke."}, {"status": "failed", "status_code": 200}),
        ({"generation_time": 2, "ttft": 1}, {"latency": 2, "time_to_first_token": 1}),
        ({"generation_time": 2, "latency": 0}, {"latency": 0}),
        ({"generation_time": 4, "completion_tokens": 10}, {"tokens_per_second": 2.5}),
        ({"latency": 0, "completion_tokens": 10}, {"tokens_per_second": ABSENT}),
        ({"prompt_tokens": 1, "completion_tokens": 2}, {"total_request_tokens": 3}),
        ({"prompt_tokens": 1, "total_tokens": 9}, {"total_request_tokens": 9}),
        (
            {"usage": {"prompt_tokens": 3, "completion_tokens": 4}},
            {"prompt_tokens": 3, "completion_tokens": 4, "total_request_tokens": 7},
        ),
        (
            {"usage": {"prompt_tokens": 3, "total_tokens": 9}, "prompt_tokens": 1},
            {
                "prompt_tokens": 1,
                "completion_tokens": ABSENT,
                "total_request_tokens": 9,
            },
        ),
        ({"usage": "many"}, {"total_request_tokens": ABSENT}),
        ({"usage": {"prompt_tokens": True}}, {"prompt_tokens": ABSENT}),
    ],
)
def test_numbers_and_status(body, expected):
    check(body, expected)


@pytest.mark.parametrize(
    ("body", "cost", "said"),
    [
        ({}, ABSENT, ABSENT),
        ({"prompt_unit_price": 0.1}, ABSENT, ABSENT),
        ({"prompt_unit_price": 0.1, "prompt_tokens": 3}, 0.3, True),
        ({"prompt_unit_price": 0.1, "prompt_tokens": 3, "cost": None}, 0.3, True),
        ({"prompt_unit_price": 0.1, "prompt_tokens": 3, "cost": 0}, 0, ABSENT),
        ({"prompt_unit_price": 0, "prompt_tokens": 3}, 0, True),
        (
            {
                "prompt_unit_price": 0.000002,
                "completion_unit_price": 0.00001,
                "usage": {"prompt_tokens": 150, "completion_tokens": 85},
            },
            0.00115,
            True,
        ),
        ({"completion_unit_price": 2, "completion_tokens": 10**400}, ABSENT, ABSENT),
        ({"completion_unit_price": 1e999, "completion_tokens": 0}, ABSENT, ABSENT),
        ({"prompt_unit_price": "cheap", "prompt_tokens": 3}, ABSENT, ABSENT),
        ({"prompt_unit_price": True, "prompt_tokens": 3}, ABSENT, ABSENT),
    ],
)
def test_the_cost_is_worked_out_from_prices_per_token(body, cost, said):
    check(body, {"cost": cost, "cost_derived": said})


TEXT = json.dumps


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"input": TEXT(ASKED), "output": TEXT(SAID), "log_type": "chat"},
            {
                "prompt_messages": ASKED,
                "completion_message": SAID,
                "input": TEXT(ASKED),
            },
        ),
        (
            {"input": ASKED, "output": SAID},
            {
                "prompt_messages": ASKED,
                "completion_message": SAID,
                "input": TEXT(ASKED),
            },
        ),
        ({"input": ASKED[1]}, {"prompt_messages": ASKED[1:]}),
        ({"output": [SAID]}, {"completion_message": SAID}),
        ({"output": [SAID, SAID]}, {"completion_message": ABSENT}),
        (
            {"input": TEXT(ASKED), "output": TEXT(SAID), "log_type": "workflow"},
            {"prompt_messages": ABSENT, "completion_message": ABSENT},
        ),
        (
            {"input": TEXT(ASKED), "prompt_messages": ASKED[:1], "output": "Hello"},
            {"prompt_messages": ASKED[:1], "completion_message": ABSENT},
        ),
        ({"input": TEXT(ASKED), "messages": ASKED[:1]}, {"prompt_messages": ABSENT}),
        (
            {"output": TEXT(SAID), "completion_messages": [SAID]},
            {"completion_message": ABSENT, "output": TEXT(SAID)},
        ),
        (
            {"messages": ASKED, "completion_messages": [SAID]},
            {"input": TEXT(ASKED), "output": TEXT([SAID])},
        ),
        *(
            ({"input": text}, {"prompt_messages": ABSENT, "input": text})
            for text in (
                'say "role" to me',
                '"role"',
                '[{"role": 5}]',
                '[{"role": "user"}, 1]',
                '[{"no": "role"}]',
                "[]",
                '{"role": "user", "n": NaN}',
                '[{"role": "user", "content": ' + "[" * 500 + "]" * 500 + "}]",
                '[{"role": "user", "content": ' + "[" * 99_000 + "]" * 99_000 + "}]",
            )
        ),
    ],
)
def test_messages_and_texts(body, expected):
    check(body, expected)


def test_what_was_sent_stays_as_it_was(url):
    body = {
        "input": TEXT(ASKED),
        "output": SAID,
        "prompt_unit_price": 0.5,
        "completion_unit_price": 0.25,
        "usage": {"prompt_tokens": 4, "completion_tokens": 2},
        "generation_time": 2,
        "status": "error",
    }
    found = get(url, create(url, body))
    assert found.pop("as_sent") == body
    assert (found["cost"], found["cost_derived"], found["status"]) == (
        2.5,
        True,
        "failed",
    )
    assert (found["prompt_messages"], found["completion_message"]) == (ASKED, SAID)
    (row,) = listed(url, cost="2.5", status="failed", prompt_tokens="4")["results"]
    assert row == found


def test_a_chat_with_integers_of_any_length_can_be_read(url):
    text = '[{"role": "user", "content": "Hi", "n": ' + "9" * 5000 + "}]"
    log_id = create(url, {"input": text})
    assert call(f"{url}/api/request-logs/{log_id}/").status == 200
    assert listed(url)["count"] == 1
