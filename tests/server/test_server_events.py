"""The event stream: told at once, told of others, and never in the way of the end."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from server_tools import DEADLINE, call, create, serving, stopped, until

from keywordsai.server import events, store
from keywordsai.server.app import serve_in_thread


class Stream:
    """What a browser's EventSource does, one line at a time."""

    def __init__(self, url, **headers):
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(
            parts.hostname, parts.port, timeout=DEADLINE
        )
        self.connection.request("GET", "/_events", headers=headers)
        self.response = self.connection.getresponse()

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.response.close()
        self.connection.close()

    def next(self):
        """The next event: its name and its data; None at the end."""
        found = {}
        while line := self.response.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if name == "" and "event" in found:
                return found["event"], found["data"]
            found[name] = value
        return None

    def until(self, log_id):
        while (event := self.next()) != ("logs", log_id):
            assert event is not None


def test_a_log_is_told_at_once(monkeypatch):
    monkeypatch.setattr(events, "_LOOK_FOR_LOGS", 3600)  # the process's own need none
    with serve_in_thread() as url, Stream(url) as stream:
        assert stream.response.status == 200
        assert stream.response.headers["Content-Type"] == "text/event-stream"
        assert stream.response.headers["Cache-Control"] == "no-store"
        for _ in range(3):
            made = create(url, {"n": 1})
            assert stream.next() == ("logs", made)


def test_it_begins_with_the_newest_log():
    with serve_in_thread() as url:
        made = create(url, {"n": 1})
        with Stream(url) as stream:
            assert stream.next() == ("logs", made)


def test_the_logs_of_other_processes_are_told_within_a_second(database):
    with (
        serving(database) as (_, one),
        serving(database) as (_, two),
        Stream(one) as stream,
    ):
        create(one, {"n": 1})
        stream.next()
        for _ in range(2):
            made = create(two, {"n": 2})
            start = time.monotonic()
            stream.until(made)
            assert time.monotonic() - start < 3  # a second, on an idle machine


def test_many_commits_are_few_events():
    with serve_in_thread() as url, Stream(url) as stream:
        for n in range(200):
            last = create(url, {"n": n})
        told = 1
        while stream.next() != ("logs", last):
            told += 1
        assert told < 100


@pytest.mark.parametrize("streams", [1, 20])
def test_open_streams_never_hold_up_the_end(sqlite_file, streams):
    with serving(sqlite_file) as (process, url), contextlib.ExitStack() as stack:
        opened = [stack.enter_context(Stream(url)) for _ in range(streams)]
        made = create(url, {"n": 1})
        for stream in opened:
            stream.until(made)
        start = time.monotonic()
        assert stopped(process) == (0, "", "")
        assert time.monotonic() - start < 3  # requests under way would have 5
        assert [stream.next() for stream in opened] == [None] * streams


def test_the_database_is_asked_only_while_somebody_listens(monkeypatch):
    asked, real = [], store.Store.newest_id
    monkeypatch.setattr(
        store.Store, "newest_id", lambda self: asked.append(1) or real(self)
    )
    monkeypatch.setattr(events, "_LOOK_FOR_LOGS", 0.01)
    monkeypatch.setattr(events, "_LOOK_FOR_CLIENT", 0.01)
    with serve_in_thread() as url:
        create(url, {})
        assert asked == []
        with Stream(url) as stream:
            stream.next()
            until(lambda: len(asked) > 5)

        def silent():
            before = len(asked)
            time.sleep(0.1)
            return len(asked) == before

        until(silent)
        made = create(url, {})
        with Stream(url) as stream:
            stream.until(made)


def test_a_look_that_fails_ends_no_stream(monkeypatch, caplog):
    failing, real = [True], store.Store.newest_id

    def newest_id(self):
        if failing:
            raise sa.exc.OperationalError("SELECT private", {}, Exception("private"))
        return real(self)

    monkeypatch.setattr(store.Store, "newest_id", newest_id)
    monkeypatch.setattr(events, "_LOOK_FOR_LOGS", 0.01)
    with serve_in_thread() as url, Stream(url) as stream:
        until(lambda: "looking for new logs failed: OperationalError" in caplog.text)
        stream.until(create(url, {}))
        failing.clear()
    assert "private" not in caplog.text


def test_a_silent_stream_is_kept_alive(monkeypatch):
    monkeypatch.setattr(events, "_HEARTBEAT", 0.05)
    monkeypatch.setattr(events, "_LOOK_FOR_CLIENT", 0.02)
    with serve_in_thread() as url, Stream(url) as stream:
        until(lambda: stream.response.readline() == b": still here\n")


def test_there_are_not_more_than_so_many(monkeypatch):
    monkeypatch.setattr(events, "_MOST_STREAMS", 3)
    monkeypatch.setattr(events, "_LOOK_FOR_CLIENT", 0.01)
    with serve_in_thread() as url:
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(Stream(url))
            refused = call(f"{url}/_events", key=None)
            assert (refused.status, refused.headers["Retry-After"]) == (503, "30")

        def there_is_room():
            with Stream(url) as stream:
                return stream.response.status == 200

        until(there_is_room)  # for those who came have left


def test_who_may_listen():
    with serve_in_thread() as url:
        assert call(f"{url}/_events", "POST", {}).headers["Allow"] == "GET"
        for site in ("cross-site", "same-site"):
            assert (
                call(f"{url}/_events", headers={"Sec-Fetch-Site": site}).status == 403
            )
        with Stream(url, **{"Sec-Fetch-Site": "same-origin"}) as stream:
            assert stream.response.status == 200


def test_streams_leave_nothing_behind():
    before = threading.active_count()
    with serve_in_thread() as url:
        parts = urlsplit(url)
        for _ in range(10):
            with socket.create_connection((parts.hostname, parts.port)) as client:
                client.sendall(
                    f"GET /_events HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
                )
                assert client.recv(1)
    until(lambda: threading.active_count() == before)
