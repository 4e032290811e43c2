"""Paths, sign-in, error bodies and limits, over a real socket."""

from __future__ import annotations

import http.client
import json
import re
from urllib.parse import urlsplit

import pytest
from server_tools import DEADLINE, KEY, call, create, get, listed

from keywordsai import LogAPI
from keywordsai.logs.serialization import encode_log
from keywordsai.server.app import serve_in_thread

LIMIT = 20 * 1024**2
INVALID = {"detail": "Invalid request format"}


@pytest.mark.parametrize("path", ["healthz", "openapi.json"])
def test_who_gives_no_key_sends_no_large_body(shared_url, path):
    answer = call(f"{shared_url}/{path}", body=b" " * 1025, key=None)
    assert answer.status == 413
    assert call(f"{shared_url}/{path}", body=b" ", key=None).status == 200


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_path_with_and_without_prefix_and_slash(shared_url, prefix, slash):
    base = shared_url + prefix
    created = call(f"{base}/request-logs/create{slash}", "POST", {"model": "m"})
    assert created.status == 201
    assert created.json.keys() == {"message", "unique_id", "id"}
    assert created.json["message"] == "log successful"
    for name in ("id", "unique_id"):
        assert re.fullmatch("[0-9a-f]{32}", created.json[name])
        found = call(f"{base}/request-logs/{created.json[name]}{slash}")
        assert (found.status, found.json["model"]) == (200, "m")
    assert call(f"{base}/request-logs/list{slash}").json["count"] >= 1
    assert call(f"{base}/request-logs/list{slash}", "POST", {}).json["count"] >= 1
    assert call(f"{base}/request-logs/list{slash}", "POST", b"").json["count"] >= 1
    healthy = call(f"{base}/healthz{slash}", key=None)
    assert (healthy.status, healthy.json) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/",
        "/nope",
        "/api/api/healthz",
        "/request-logs/",
        "/request-logs/a/b",
        "/request-logs/create/x",
        "//healthz",
    ],
)
def test_unknown_path(shared_url, path):
    answer = call(shared_url + path)
    assert (answer.status, answer.json) == (404, {"detail": "Not found"})


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/request-logs/create/", "POST"),
        ("PUT", "/api/request-logs/list/", "GET, HEAD, POST"),
        ("PUT", f"/api/request-logs/{'0' * 32}/", "GET, HEAD, PATCH, DELETE"),
        ("POST", "/healthz", "GET, HEAD"),
    ],
)
def test_wrong_method(shared_url, method, path, allowed):
    answer = call(shared_url + path, method)
    assert answer.status == 405
    assert list(answer.json) == ["detail"]
    assert answer.headers["Allow"] == allowed


def test_unknown_log(shared_url):
    answer = call(f"{shared_url}/api/request-logs/{'0' * 32}/")
    assert (answer.status, answer.json) == (404, {"detail": "Log not found"})


def test_an_id_may_be_written_as_a_uuid(shared_url):
    found = create(shared_url, {"model": "m"})
    dashed = "-".join([found[:8], found[8:12], found[12:16], found[16:20], found[20:]])
    assert get(shared_url, dashed.upper())["id"] == found


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer    ", "Basic abc", KEY]
)
@pytest.mark.parametrize("path", ["request-logs/list/", "request-logs/0/"])
def test_without_a_key(shared_url, header, path):
    headers = {} if header is None else {"Authorization": header}
    answer = call(f"{shared_url}/api/{path}", key=None, headers=headers)
    assert answer.status == 401
    assert answer.json["detail"].startswith(
        "Your API key is invalid or expired, please check your API key at "
    )


def test_with_a_key_only_that_one_is_taken():
    with serve_in_thread(api_key="right") as url:
        assert call(f"{url}/request-logs/list", key="right").status == 200
        for wrong in ("wrong", "righ", "rightt", "None", "r\xefght"):
            answer = call(f"{url}/request-logs/list", key=wrong)
            assert answer.status == 401
            assert wrong not in answer.body.decode()
        assert call(f"{url}/request-logs/create", "POST", {}, key=None).status == 401
        assert call(f"{url}/healthz", key=None).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b"null",
        b'"text"',
        b"\xff",
        b'{"a": "\xe9"}',
        b"\xef\xbb\xbf{}",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        "{}".encode("utf-16"),
        b'{"a": ' + b"[" * 401 + b"]" * 401 + b"}",
        b'{"a": ' + b"[" * 500_000 + b"]" * 500_000 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"a": ' + b"9" * 5000 + b', "b": NaN}',
    ],
    ids=lambda body: repr(body[:12]),
)
def test_no_json_object(shared_url, body):
    answer = call(f"{shared_url}/api/request-logs/create/", "POST", body)
    assert (answer.status, answer.json) == (400, INVALID)


@pytest.mark.parametrize(
    ("field", "wrong", "right"),
    [
        ("prompt_tokens", ["1", 1.5, True, []], [0, 7, 10**30]),
        ("completion_tokens", ["1"], [1]),
        ("total_tokens", [{}], [1]),
        ("status_code", ["200", False], [200, 599]),
        ("cost", ["0.1", True], [0, 0.1, -1]),
        ("latency", ["1"], [1, 1.5]),
        ("generation_time", [[]], [1.5]),
        ("ttft", ["1"], [0.2]),
        ("time_to_first_token", ["1"], [0.2]),
        ("metadata", [[], "x", 1], [{}, {"a": {"b": 1}}]),
        ("prompt_messages", [{}, "x"], [[], [{"role": "critic"}]]),
        ("stream", ["false", 0], [True]),
        ("positive_feedback", ["yes"], [False]),
    ],
)
def test_what_cannot_be_used_is_named(shared_url, field, wrong, right):
    for value in wrong:
        answer = call(
            f"{shared_url}/api/request-logs/create/", "POST", {field: value, "tags": 1}
        )
        assert answer.status == 422
        assert answer.json["detail"] == "Validation error"
        assert list(answer.json["errors"]) == [field]
        assert all(isinstance(text, str) for text in answer.json["errors"][field])
    for value in [None, *right]:
        create(shared_url, {field: value})


def padded(size):
    return b'{"x": "' + b"a" * (size - 9) + b'"}'


def test_the_largest_body(url):
    create(url, padded(LIMIT))
    answer = call(f"{url}/api/request-logs/create/", "POST", padded(LIMIT + 1))
    assert answer.status == 413
    assert list(answer.json) == ["detail"]
    assert listed(url)["count"] == 1


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 201), (LIMIT + 1, 413)])
def test_the_largest_chunked_body(shared_url, size, status):
    body = padded(size)
    parts = urlsplit(shared_url)
    connection = http.client.HTTPConnection(
        parts.hostname, parts.port, timeout=DEADLINE
    )
    try:
        connection.request(
            "POST",
            "/request-logs/create",
            (body[start : start + 2**20] for start in range(0, len(body), 2**20)),
            {"Authorization": f"Bearer {KEY}", "Transfer-Encoding": "chunked"},
            encode_chunked=True,
        )
        assert connection.getresponse().status == status
    finally:
        connection.close()


def test_a_broken_compression(shared_url):
    answer = call(
        f"{shared_url}/request-logs/create",
        "POST",
        b"no gzip",
        headers={"Content-Encoding": "gzip"},
    )
    assert answer.status == 400


@pytest.mark.parametrize(
    "body",
    [
        b'{"text": "half \\ud800 of a pair", "customer_identifier": "\\udfff", "metadata": {"\\ud800": "\\ud800"}}',
        b'{"text": "\\u0000", "model": "\\u0000", "metadata": {"\\u0000": "\\u0000"}}',
        b'{"prompt_tokens": '
        + b"9" * 40
        + b', "cost": '
        + b"8" * 400
        + b', "metadata": {"n": '
        + b"7" * 30
        + b"}}",
        b'{"cost": 1e999, "metadata": {"n": -1e999}, "latency": 0, "completion_tokens": 1}',
        b'{"a": ' + b"[" * 399 + b"]" * 399 + b"}",
        '{"a": "é 🎉", "A": 1.0, "a2": 1.10, "b": -0.0, "c": 1E5}'.encode(),
        b'{"as_sent": {"as_sent": 1}, "id": 7, "unique_id": 8, "timestamp": "then", "as_changed": 1}',
        b' {"a" :1}\n',
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_was_sent_is_given_back(url, body):
    log_id = create(url, body)
    found = call(f"{url}/api/request-logs/{log_id}/")
    assert found.status == 200
    assert found.json["id"] == found.json["unique_id"] == log_id
    assert b'"as_sent": ' + body + b"}" in found.body
    assert json.dumps(found.json["as_sent"]) == json.dumps(json.loads(body))
    (row,) = listed(url)["results"]
    assert row["id"] == log_id
    assert row.keys() >= {
        "id",
        "unique_id",
        "timestamp",
        "status",
        "status_code",
        "log_method",
    }


def test_ids_are_in_the_order_of_time(url):
    ids = [create(url, {"n": n}) for n in range(30)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 30
    assert [row["id"] for row in listed(url)["results"]] == ids[::-1]


def test_the_same_idempotency_key_stores_one_log(url):
    again = {"Idempotency-Key": "one"}
    path = f"{url}/api/request-logs/create/"
    first = call(path, "POST", {"n": 1}, headers=again)
    assert call(path, "POST", {"n": 2}, headers=again).body == first.body
    other = call(path, "POST", {"n": 3}, headers=again, key="another account")
    assert other.json["id"] != first.json["id"]
    assert {row["n"] for row in listed(url)["results"]} == {1, 3}


def test_head_and_http_1_0(shared_url):
    assert call(f"{shared_url}/healthz", "HEAD", key=None).status == 200


LONG = 10**5000


def test_integers_longer_than_python_reads_are_kept(url):
    """Rows leave them out, as numbers that no float can hold; what was sent is whole."""
    log = {"n": LONG, "metadata": {"n": -LONG}, "prompt_tokens": LONG, "input": [LONG]}
    body = encode_log(log)
    made = call(f"{url}/api/request-logs/create/", "POST", body)
    assert made.status == 201
    many = b'{"logs":[' + body + b',{"model":"m"},{"n":NaN}]}'
    answered = call(f"{url}/api/request-logs/bulk/", "POST", many)
    assert (answered.json["success_count"], answered.json["error_count"]) == (2, 1)
    with LogAPI("key", url, retry=1) as client:
        page = client.list()
        assert page.count == 3
        assert [row.metadata for row in page if row.metadata] == [{"n": None}] * 2
        assert client.get(made.json["id"]).sent == log


def test_sums_longer_than_python_writes(url):
    largest = 10**4300 - 1
    body = encode_log({"prompt_tokens": largest, "completion_tokens": largest})
    assert call(f"{url}/api/request-logs/create/", "POST", body).status == 201
    (row,) = call(f"{url}/api/request-logs/list/").json["results"]
    assert row["prompt_tokens"] == largest
    assert row.get("total_request_tokens") is None
