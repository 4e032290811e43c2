"""Lists: time, order, pages, filters; and what a row says."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

import pytest
from server_tools import call, create, get, listed

from keywordsai.server.app import serve_in_thread

EVER = {"start_time": "1970-01-01"}
NOW = datetime.now(timezone.utc)


def ago(**span):
    return (NOW - timedelta(**span)).isoformat()


@pytest.fixture(scope="module")
def ten():
    """Ten logs, a minute apart, the first the newest."""
    with serve_in_thread() as url:
        for n in range(10):
            create(
                url,
                {
                    "n": n,
                    "timestamp": ago(minutes=n),
                    "model": f"model-{n % 3}",
                    "cost": n / 10,
                    "latency": 10 - n,
                    "ttft": n % 2,
                    "prompt_tokens": n,
                    "completion_tokens": 2 * n,
                    "customer_identifier": n,
                    "log_type": "chat" if n else "span",
                    "status_code": 200 if n < 8 else 500,
                    "custom_identifier": "x" * 1000 + str(n),
                    "note": f"note {n}",
                    "customer_params": {
                        "customer_identifier": "other",
                        "email": f"{n}@example.com",
                    },
                    "metadata": {
                        "number": n,
                        "half": n / 2,
                        "even": n % 2 == 0,
                        "text": str(n),
                        "session": "abc",
                        "id": "m",
                        "big": 2**60 + n,
                        "none": None,
                        "list": [n],
                    },
                },
            )
        yield url


def tags(url, **query):
    return [row["tag"] for row in listed(url, **query)["results"]]


def numbers(url, **query):
    return [row["n"] for row in listed(url, **query)["results"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ({"sort_by": "id"}, list(range(10))),
        ({"sort_by": "-timestamp"}, list(range(10))),
        ({"sort_by": "timestamp"}, list(range(9, -1, -1))),
        ({"sort_by": "cost"}, list(range(10))),
        ({"sort_by": "-cost"}, list(range(9, -1, -1))),
        ({"sort_by": "latency"}, list(range(9, -1, -1))),
        ({"sort_by": "time_to_first_token"}, [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]),
        ({"sort_by": "-time_to_first_token"}, [9, 7, 5, 3, 1, 8, 6, 4, 2, 0]),
        ({"sort_by": "prompt_tokens", "page_size": "2"}, [0, 1]),
        ({"sort_by": "-completion_tokens", "page_size": "2"}, [9, 8]),
        ({"sort_by": "-all_tokens", "page_size": "1"}, [9]),
        ({"sort_by": "-total_request_tokens", "page_size": "1"}, [9]),
        ({"sort_by": "-tokens_per_second", "page_size": "1"}, [9]),
        (
            {
                "is_test": "false",
                "all_envs": "true",
                "fetch_filters": "true",
                "page_size": "1",
            },
            [9],
        ),
    ],
)
def test_order(ten, query, expected):
    assert numbers(ten, **query) == expected


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("model", "model-1", {1, 4, 7}),
        ("model[value]", "model-1", {1, 4, 7}),
        ("model", "model-", set()),
        ("customer_identifier", "3", {3}),
        ("customer_email", "3@example.com", {3}),
        ("custom_identifier", "x" * 1000 + "4", {4}),
        ("note", "note 5", {5}),
        ("log_type", "span", {0}),
        ("status", "failed", {8, 9}),
        ("status_code", "500", {8, 9}),
        ("status_code", "500.0", {8, 9}),
        ("status_code", "x", set()),
        ("cost", "0.3", {3}),
        ("cost", "3e-1", {3}),
        ("latency", "10", {0}),
        ("generation_time", "10.0", {0}),
        ("prompt_tokens", "4", {4}),
        ("prompt_tokens", "4.5", set()),
        ("prompt_tokens", "9" * 40, set()),
        ("prompt_tokens", "9" * 5000, set()),
        ("total_tokens", "9", {3}),
        pytest.param("timestamp", ago(minutes=3), {3}, id="timestamp-now"),
        ("timestamp", "x", set()),
        ("metadata__number", "3", {3}),
        ("number", "3", {3}),
        ("number", "3.0", {3}),
        ("half", "1.5", {3}),
        ("half", "2", {4}),
        ("even", "true", {0, 2, 4, 6, 8}),
        ("even", "False", {1, 3, 5, 7, 9}),
        ("text", "3", {3}),
        ("big", str(2**60 + 3), {3}),
        ("session", "abc", set(range(10))),
        ("session", "ABC", set()),
        ("metadata__id", "m", set(range(10))),
        ("none", "null", set()),
        ("nowhere", "", set()),
        ("a'b\"c%_]", "'; --", set()),
    ],
)
def test_equality(ten, field, value, expected):
    found = listed(ten, **{field: value})
    assert {row["n"] for row in found["results"]} == expected
    assert found["count"] == len(expected)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (None, set(range(10))),
        ({}, set(range(10))),
        ({"model": {"operator": "", "value": ["model-1"]}}, {1, 4, 7}),
        ({"model": {"value": ["model-1"]}, "n": {"operator": "", "value": [4]}}, {4}),
        (
            {"n": [{"operator": "", "value": [4]}, {"operator": "", "value": [5]}]},
            set(),
        ),
        ({"cost": {"operator": "", "value": 0.3}}, {3}),
        ({"metadata__even": {"operator": "", "value": [True]}}, {0, 2, 4, 6, 8}),
        ({"customer_identifier": {"operator": "", "value": [3]}}, {3}),
        ({"prompt_tokens": {"operator": "", "value": [True]}}, set()),
        ({"model": {"operator": "", "value": ["\ud800"]}}, set()),
    ],
)
def test_filters_in_the_body(ten, filters, expected):
    answer = call(f"{ten}/api/request-logs/list/", "POST", {"filters": filters})
    assert answer.status == 200
    assert {row["n"] for row in answer.json["results"]} == expected


def test_an_id_is_a_filter_too(ten):
    row = listed(ten, n="4")["results"][0]
    assert numbers(ten, id=row["id"]) == [4]
    assert numbers(ten, unique_id=row["unique_id"]) == [4]


def test_conditions_of_the_query_and_the_body_all_hold(ten):
    body = {"filters": {"even": {"operator": "", "value": [True]}}}
    answer = call(
        f"{ten}/request-logs/list",
        "POST",
        body,
        query={"model": "model-1", "sort_by": "id"},
    )
    assert [row["n"] for row in answer.json["results"]] == [4]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            {"filters": {"cost": {"operator": "above", "value": [1]}}},
            "cost: unknown operator 'above', expected \"\" (equal), not, iexact",
        ),
        ({"filters": {"cost": {"operator": 7, "value": [1]}}}, "operator"),
        ({"filters": []}, "filters: expected an object"),
        ({"filters": {"cost": 1}}, "filters.cost: expected an object"),
        (
            {"filters": {"cost": {"opertor": "not", "value": [1]}}},
            "filters.cost: 'opertor' is no part of a condition, expected operator and",
        ),
        ({"filters": {"cost": {"operator": "", "value": [1, 2]}}}, "filters.cost"),
        ({"filters": {"cost": {"operator": "", "value": [None]}}}, "filters.cost"),
        ({"filters": {"cost": {"operator": ""}}}, "filters.cost"),
        ([], "Invalid request format"),
    ],
)
def test_filters_that_are_refused(shared_url, body, words):
    answer = call(f"{shared_url}/request-logs/list", "POST", body)
    assert answer.status == 400
    assert words in answer.json["detail"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("page", value) for value in ("0", "-1", "x", "1.0", "9" * 5000)),
        *(("page_size", value) for value in ("0", "1001", "x")),
        ("sort_by", "model"),
        ("sort_by", "--id"),
        ("sort_by", "-"),
        ("start_time", "yesterday"),
        ("end_time", "2026-13-01"),
        ("start_time", "2026-01-01T25:00"),
        ("cost[operator]", "above"),
    ],
)
def test_options_that_are_refused(shared_url, name, value):
    answer = call(f"{shared_url}/request-logs/list", query={name: value})
    assert answer.status == 400
    assert answer.json["detail"].startswith(name.partition("[")[0])


def test_pages(ten):
    url, seen, sizes = f"{ten}/api/request-logs/list/?page_size=4&session=abc", [], []
    while url:
        page = call(url).json
        assert page["count"] == 10
        sizes.append(len(page["results"]))
        seen += [row["n"] for row in page["results"]]
        url = page["next"]
    assert sizes == [4, 4, 2]
    assert seen == list(range(9, -1, -1))
    back = urlsplit(page["previous"])
    assert (
        f"{back.scheme}://{back.netloc}{back.path}" == f"{ten}/api/request-logs/list/"
    )
    assert parse_qs(back.query) == {
        "page": ["2"],
        "page_size": ["4"],
        "session": ["abc"],
    }
    assert call(f"{ten}/request-logs/list").json["previous"] is None
    beyond = listed(ten, page="1000000000", page_size="1000")
    assert (beyond["count"], beyond["results"], beyond["next"]) == (10, [], None)


def test_only_some_keys(ten):
    for row in listed(ten, include_fields="id, model,nothing")["results"]:
        assert row.keys() == {"id", "model"}
    assert set(listed(ten, include_fields="")["results"][0]) > {"id", "model"}


def test_the_span_of_time(url):
    day = {
        "a": "2020-05-01T10:00:00Z",
        "b": "2020-05-01T12:00:00.5+02:00",
        "c": "2020-05-01 10:00:01",
        "d": "2020-05-01T10:00:02.123456789Z",
    }
    for name, timestamp in day.items():
        create(url, {"tag": name, "timestamp": timestamp})
    for n in ("soon", None, "", "2020-02-30", "1e9"):
        create(url, {"tag": "now", "timestamp": n})
    create(url, {"tag": "old", "timestamp": ago(minutes=61)})
    create(url, {"tag": "recent", "timestamp": ago(minutes=5)})
    create(url, {"tag": "future", "timestamp": ago(days=-1)})
    lately = {"start_time": ago(hours=1)}
    assert sorted(tags(url, **lately)) == ["now"] * 5 + ["recent"]
    assert "future" not in tags(url)
    assert len(tags(url)) == 11

    def between(start, end):
        return sorted(tags(url, start_time=start, end_time=end))

    assert between("2020-05-01", "2020-05-02") == ["a", "b", "c", "d"]
    assert between("2020-05-01T10:00:00Z", "2020-05-01T10:00:00Z") == ["a"]
    assert between("2020-05-01T10:00:00.500000001", "2020-05-01T12:00:01+0200") == [
        "b",
        "c",
    ]
    assert between("2020-05-01T10:00:02.123456", "2020-05-01T10:00:02.123456") == ["d"]
    unquoted = call(
        f"{url}/request-logs/list?start_time=2020-05-01T12:00:00+02:00&end_time=2020-05-01T12:00:00+02:00"
    )
    assert [row["tag"] for row in unquoted.json["results"]] == ["a"]
    assert "future" in tags(url, end_time=ago(days=-2))
    stamps = {row["tag"]: row["timestamp"] for row in listed(url, **EVER)["results"]}
    assert stamps["b"] == "2020-05-01T10:00:00.500000Z"
    assert stamps["d"] == "2020-05-01T10:00:02.123456Z"


def row_of(url, body):
    log_id = create(url, body)
    found = get(url, log_id)
    assert found.pop("as_sent") == body
    return found


def test_a_row_says_what_follows(shared_url):
    row = row_of(
        shared_url,
        {
            "prompt_messages": [{"role": "user", "content": "Hi"}],
            "completion_message": {"role": "assistant", "content": "Hé"},
            "prompt_tokens": 3,
            "completion_tokens": 4,
            "generation_time": 2,
            "ttft": 0.5,
            "mine": [1],
            "customer_params": {
                "customer_identifier": 7,
                "name": "Jo",
                "email": "jo@example.com",
            },
        },
    )
    assert row["input"] == '[{"role": "user", "content": "Hi"}]'
    assert row["output"] == '{"role": "assistant", "content": "Hé"}'
    assert (row["total_request_tokens"], row["tokens_per_second"]) == (7, 2)
    assert (
        row["latency"],
        row["generation_time"],
        row["time_to_first_token"],
        row["ttft"],
    ) == (2, 2, 0.5, 0.5)
    assert (
        row["customer_identifier"],
        row["customer_name"],
        row["customer_email"],
    ) == (7, "Jo", "jo@example.com")
    assert (row["status"], row["status_code"], row["log_method"]) == (
        "success",
        200,
        "logging_api",
    )
    assert row["mine"] == [1]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"status_code": 500}, {"status": "failed", "status_code": 500}),
        ({"error_message": "no"}, {"status": "failed", "status_code": 200}),
        ({"status_code": 500, "status": "success"}, {"status": "success"}),
        (
            {"total_tokens": 9, "prompt_tokens": 1},
            {"total_request_tokens": 9, "total_tokens": 9},
        ),
        ({"prompt_tokens": 1}, {"total_request_tokens": 1}),
        ({"latency": 1, "generation_time": 2}, {"latency": 1, "generation_time": 2}),
        (
            {
                "customer_identifier": "a",
                "customer_params": {"customer_identifier": "b"},
            },
            {"customer_identifier": "a"},
        ),
        (
            {"input": {"a": 1}, "output": [1], "warnings": {"w": 1}},
            {"input": '{"a": 1}', "output": "[1]", "warnings": '{"w": 1}'},
        ),
        ({"input": None}, {"input": ""}),
        ({"log_method": "batch"}, {"log_method": "batch"}),
        (
            {"start_time": "2026-01-01T00:00:00+01:00"},
            {"start_time": "2025-12-31T23:00:00.000000Z"},
        ),
        ({"start_time": "x"}, {"start_time": None}),
    ],
)
def test_rows(shared_url, body, expected):
    row = row_of(shared_url, body)
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize(
    "body",
    [
        {"full_request": [1]},
        {"log_type": "span"},
        {"tool_choice": "any"},
        {"messages": None},
        {"prompt_messages": [{"role": "critic"}]},
    ],
)
def test_rows_leave_out_what_the_published_sdk_cannot_read(shared_url, body):
    assert row_of(shared_url, body).keys().isdisjoint(body)


def test_more_conditions_than_a_database_takes_are_refused(shared_url):
    query = "&".join(["a=1"] * 101)
    answer = call(f"{shared_url}/request-logs/list?{query}")
    assert answer.status == 400
    assert "more than 100 conditions" in answer.json["detail"]
