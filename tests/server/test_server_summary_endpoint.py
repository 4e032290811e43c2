"""Sums and means over logs, over a real socket."""

from __future__ import annotations

import pytest
from server_tools import call, create

NOTHING = {
    "number_of_requests": 0,
    "total_cost": 0,
    "total_tokens": 0,
    "total_prompt_tokens": 0,
    "total_completion_tokens": 0,
    "avg_latency": None,
    "avg_tps": None,
    "avg_ttft": None,
    "scores": {},
}


def summary(url, body=None, **query):
    method = "GET" if body is None else "POST"
    answer = call(f"{url}/api/request-logs/summary/", method, body, query=query)
    assert answer.status == 200, answer.body
    return answer.json


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_the_path_with_and_without_prefix_and_slash(shared_url, prefix, slash):
    path = f"{shared_url}{prefix}/request-logs/summary{slash}"
    for method in ("GET", "POST"):
        assert call(path, method).json.keys() == NOTHING.keys()
    assert call(path, "HEAD").status == 200
    assert call(path, "PUT").headers["Allow"] == "GET, HEAD, POST"
    assert call(path, key=None).status == 401


def test_of_no_logs(url):
    assert summary(url) == NOTHING


def test_sums_and_means(url):
    create(url, {"model": "a", "cost": 0.5, "prompt_tokens": 3, "latency": 1})
    create(
        url,
        {
            "model": "a",
            "prompt_unit_price": 0.25,
            "prompt_tokens": 2,
            "completion_tokens": 6,
            "generation_time": 3,
            "ttft": 0.5,
        },
    )
    create(url, {"model": "b", "cost": 7})
    found = {
        "number_of_requests": 2,
        "total_cost": 1,
        "total_tokens": 11,
        "total_prompt_tokens": 5,
        "total_completion_tokens": 6,
        "avg_latency": 2,
        "avg_tps": 2,
        "avg_ttft": 0.5,
        "scores": {},
    }
    filters = {"model": {"operator": "", "value": ["a"]}}
    assert summary(url, model="a") == summary(url, {"filters": filters}) == found
    assert summary(url)["number_of_requests"] == 3
    assert summary(url, end_time="2020-01-01", start_time="2019-01-01") == NOTHING


@pytest.mark.parametrize(
    ("body", "query"),
    [
        (b"{", {}),
        ({"filters": 5}, {}),
        (None, {"start_time": "soon"}),
        (None, {"page": "0"}),
    ],
)
def test_what_cannot_be_read_is_told(shared_url, body, query):
    method = "GET" if body is None else "POST"
    answer = call(f"{shared_url}/request-logs/summary", method, body, query=query)
    assert answer.status == 400
    assert list(answer.json) == ["detail"]
