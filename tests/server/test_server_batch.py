"""Many logs in one request, in the older form that tells of every log."""

from __future__ import annotations

import pytest
from server_tools import call, get, listed

from keywordsai.server.app import serve_in_thread

EXPECTED = {
    "detail": "Invalid request format: expected a JSON object with an array of 1 to "
    '5000 logs under "logs", once'
}
ERROR = "cost: expected a number, got a string"


def batch(url, body, **options):
    return call(f"{url}/api/request-logs/batch/create/", "POST", body, **options)


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_the_path_with_and_without_prefix_and_slash(shared_url, prefix, slash):
    path = f"{shared_url}{prefix}/request-logs/batch/create{slash}"
    answer = call(path, "POST", {"logs": [{}]})
    assert answer.status == 201
    (result,) = answer.json["results"]
    assert result == {"id": result["id"], "status": "success"}
    assert call(path).headers["Allow"] == "POST"


def test_only_with_the_key():
    with serve_in_thread(api_key="right") as url:
        assert batch(url, {"logs": [{}]}, key="wrong").status == 401
        assert batch(url, {"logs": [{}]}, key="right").status == 201


def test_every_log_has_its_result_at_its_place(url):
    logs = [{"n": 0}, {"cost": "free"}, {"n": 2}, 5]
    answer = batch(url, {"logs": logs})
    assert answer.status == 201
    first, second, third, fourth = answer.json["results"]
    assert second == {"index": 1, "status": "error", "error": ERROR}
    assert fourth == {"index": 3, "status": "error", "error": "Expected an object."}
    for result, log in ((first, logs[0]), (third, logs[2])):
        assert result["status"] == "success"
        assert get(url, result["id"])["as_sent"] == log
    assert listed(url)["count"] == 2


def test_when_all_are_wrong(url):
    answer = batch(url, {"logs": [{"cost": "free"}]})
    assert answer.status == 400
    assert answer.json == {
        "detail": "None of the logs was accepted",
        "results": [{"index": 0, "status": "error", "error": ERROR}],
    }


def test_the_most_logs(url):
    answer = batch(url, {"logs": [{"n": n} for n in range(5000)]})
    assert answer.status == 201
    ids = [result["id"] for result in answer.json["results"]]
    assert len(set(ids)) == 5000
    assert ids == sorted(ids)
    more = batch(url, {"logs": [{}] * 5001})
    assert (more.status, more.json) == (400, EXPECTED)
    assert listed(url, page_size=1)["count"] == 5000


def test_sent_again_with_its_key_it_is_stored_once(url):
    body, again = {"logs": [{"n": 1}, {"n": 2}]}, {"Idempotency-Key": "one"}
    first = batch(url, body, headers=again)
    assert batch(url, body, headers=again).json == first.json
    assert listed(url)["count"] == 2
    assert batch(url, body).json != first.json
