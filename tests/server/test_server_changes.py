"""Changing and removing a log, over a real socket."""

from __future__ import annotations

import json
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_tools import call, create, get, keep, listed, serving

from keywordsai import LogAPI
from keywordsai.server.app import serve_in_thread
from keywordsai.server.changes import joined, overlaid

UNKNOWN = {"detail": "Log not found"}
ALLOWED = (
    "cannot be changed: expected metadata, note, positive_feedback or custom_identifier"
)


def change(url, log_id, body, **options):
    return call(f"{url}/api/request-logs/{log_id}/", "PATCH", body, **options)


def remove(url, log_id, **options):
    return call(f"{url}/api/request-logs/{log_id}/", "DELETE", **options)


def test_a_log_is_changed_and_found_by_what_it_is_now(url):
    sent = {"model": "m", "note": "old", "metadata": {"a": 1, "b": {"c": 2}}, "n": 1}
    log_id = create(url, sent)
    asked = {
        "note": "new",
        "positive_feedback": True,
        "custom_identifier": "mine",
        "metadata": {"a": None, "b": {"d": 3}, "e": "f"},
    }
    answer = change(url, log_id, asked)
    assert answer.status == 200
    assert answer.json == get(url, log_id)
    found = answer.json
    assert found["metadata"] == {"b": {"d": 3}, "e": "f"}
    assert (found["note"], found["positive_feedback"]) == ("new", True)
    assert (found["custom_identifier"], found["model"], found["n"]) == ("mine", "m", 1)
    assert (found["as_sent"], found["as_changed"]) == (sent, asked)
    (row,) = listed(url, custom_identifier="mine", e="f", note="new")["results"]
    assert row.keys() == found.keys() - {"as_sent", "as_changed"}
    assert listed(url, a="1")["count"] == listed(url, note="old")["count"] == 0
    assert listed(url, model="m", n="1")["count"] == listed(url)["count"] == 1


def test_changes_add_up(url):
    log_id = create(url, {"metadata": {"a": 1, "b": None}, "timestamp": "2020-05-01"})
    for asked in (
        {"note": "one", "metadata": {"c": 3}},
        {"custom_identifier": 5},
        {"note": None, "metadata": {"a": None}},
        {},
    ):
        found = change(url, log_id, asked).json
    assert found["metadata"] == {"b": None, "c": 3}
    assert "note" not in found
    assert found["custom_identifier"] == 5
    assert found["timestamp"] == "2020-05-01T00:00:00.000000Z"
    assert change(url, log_id, {"metadata": None}).json["metadata"] == {}
    assert change(url, log_id, {"metadata": {"a": 2}}).json["metadata"] == {"a": 2}


def test_without_a_change_nothing_is_changed(url):
    log_id = create(url, {"note": "old"})
    before = get(url, log_id)
    assert change(url, log_id, {}).json == before
    assert "as_changed" not in before


@pytest.mark.parametrize("changed", [False, True])
def test_the_client_reads_what_it_is_now(url, changed):
    log_id = create(url, {"note": "old", "metadata": {"a": 1}, "output": {"b": 2}})
    if changed:
        change(url, log_id, {"note": "new", "metadata": {"a": None}})
    with LogAPI("key", url) as client:
        log = client.get(log_id)
    assert (log["note"], log.metadata) == (
        ("new", {}) if changed else ("old", {"a": 1})
    )
    assert log.output == {"b": 2}


@pytest.mark.parametrize(
    ("asked", "errors"),
    [
        (
            {"model": "m", "note": "new", "as_sent": 1},
            {"model": [ALLOWED], "as_sent": [ALLOWED]},
        ),
        ({"note": 5}, {"note": ["expected a string, got an integer"]}),
        (
            {"metadata": [], "positive_feedback": "yes", "cost": 1},
            {
                "cost": [ALLOWED],
                "metadata": ["expected an object, got a list"],
                "positive_feedback": ["expected true or false, got a string"],
            },
        ),
        (
            {"custom_identifier": 1.5},
            {"custom_identifier": ["expected a string or an integer, got a number"]},
        ),
        ({"x" * 1000: 1}, {"x" * 40: [ALLOWED]}),
    ],
)
def test_what_cannot_be_changed_is_named(shared_url, asked, errors):
    log_id = create(shared_url, {"note": "old"})
    answer = change(shared_url, log_id, asked)
    assert answer.status == 422
    assert answer.json == {"detail": "Validation error", "errors": errors}
    assert "as_changed" not in get(shared_url, log_id)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"note": NaN}'])
def test_no_change(shared_url, body):
    answer = change(shared_url, create(shared_url, {}), body)
    assert answer.status == 400
    assert answer.json == {"detail": "Invalid request format"}


def test_hard_texts_can_be_changes(url):
    log_id = create(url, {"metadata": {"a": "b"}})
    hard = b'{"note": "\\ud800\\u0000", "metadata": {"\\udfff": "\\u0000", "n": '
    assert change(url, log_id, hard + b"9" * 40 + b"}}").status == 200
    found = get(url, log_id)
    assert found["note"] == "\ud800\x00"
    assert found["metadata"] == {"a": "b", "\udfff": "\x00", "n": int("9" * 40)}
    for number in (b"9" * 5000, b"1e999"):
        answer = change(url, log_id, hard + number + b"}}")
        assert answer.status == 422
        told = ["a number in it is too large to be kept"]
        assert answer.json["errors"] == {"metadata": told}
    assert get(url, log_id) == found


def test_a_log_is_removed(url):
    kept, log_id = create(url, {"n": 1}), create(url, {"n": 2, "metadata": {"a": 1}})
    gone = remove(url, log_id)
    assert (gone.status, gone.body) == (204, b"")
    assert call(f"{url}/api/request-logs/{log_id}/").json == UNKNOWN
    assert [row["id"] for row in listed(url)["results"]] == [kept]
    assert listed(url, a="1")["count"] == 0
    again = remove(url, log_id)
    assert (again.status, again.json) == (404, UNKNOWN)


@pytest.mark.parametrize("log_id", ["0" * 32, "nothing", "%00", "%ff"])
def test_an_unknown_log(shared_url, log_id):
    for answer in (
        change(shared_url, log_id, {"note": "new"}),
        change(shared_url, log_id, {}),
        remove(shared_url, log_id),
    ):
        assert (answer.status, answer.json) == (404, UNKNOWN)


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_path_with_and_without_prefix_and_slash(shared_url, prefix, slash):
    log_id = create(shared_url, {})
    path = f"{shared_url}{prefix}/request-logs/{log_id}{slash}"
    assert call(path, "PATCH", {"note": "new"}).json["note"] == "new"
    assert call(path, "HEAD").status == 200
    assert call(path, "DELETE").status == 204
    assert call(path, "PUT").headers["Allow"] == "GET, HEAD, PATCH, DELETE"


def test_only_with_the_key():
    with serve_in_thread(api_key="right") as url:
        log_id = create(url, {}, key="right")
        assert change(url, log_id, {"note": "new"}, key="wrong").status == 401
        assert remove(url, log_id, key="wrong").status == 401
        assert remove(url, log_id, key="right").status == 204


def test_changes_outlive_the_server(database):
    (log_id,) = keep(database, {"metadata": {"a": 1}})
    with serving(database) as (_, url):
        assert change(url, log_id, {"metadata": {"b": 2}}).status == 200
    with serving(database) as (_, url):
        assert get(url, log_id)["metadata"] == {"a": 1, "b": 2}


def test_changes_at_the_same_moment_are_all_kept(url):
    log_id = create(url, {})
    threads = [
        threading.Thread(target=change, args=(url, log_id, {"metadata": {f"k{n}": n}}))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert get(url, log_id)["metadata"] == {f"k{n}": n for n in range(8)}


PLAIN = st.none() | st.integers() | st.text(max_size=2)
OBJECTS = st.dictionaries(st.sampled_from("abc"), PLAIN)
ASKED = st.fixed_dictionaries(
    {},
    optional={"note": PLAIN, "metadata": st.none() | OBJECTS},
)


@settings(deadline=None)
@given(
    st.fixed_dictionaries({}, optional={"note": PLAIN, "metadata": OBJECTS}),
    st.lists(ASKED, max_size=4),
)
def test_changes_add_up_as_if_each_had_been_made(sent, several):
    """The same as merging one after the other into what was sent."""
    changes, merged = {}, json.loads(json.dumps(sent))
    for asked in several:
        changes = joined(sent, changes, asked)
        for name, value in asked.items():
            if name == "metadata":
                before = merged.get("metadata", {})
                new = {} if value is None else {**before, **value}
                named = value or {}
                merged["metadata"] = {
                    key: new[key]
                    for key in new
                    if new[key] is not None or key not in named
                }
            elif value is None:
                merged.pop(name, None)
            else:
                merged[name] = value
        assert overlaid(sent, changes) == merged
