"""The process that stores logs beside the server: at work, gone, and never there."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from server_tools import (
    DEADLINE,
    NOT_NOW,
    call,
    children,
    create,
    get,
    listed,
    serving,
    stopped,
    until,
)

from keywordsai.server import writing
from keywordsai.server.app import serve_in_thread
from keywordsai.server.engines import StoreFull, StoreUncertain, is_of_database
from keywordsai.server.intake import Intake
from keywordsai.server.store import Store
from keywordsai.server.writing import WriterProcess

ALONE = "without a process of its own"


def writer_of(process):
    """The process that a server's logs are stored by, once there is one."""
    return until(lambda: children(process.pid))[0]


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def posted(*bodies):
    intake = Intake()
    return [intake.posted(json.dumps(body), None) for body in bodies]


@contextlib.contextmanager
def at_work(url):
    """A store, and a process that writes to the same database."""
    store = Store.open(url)
    writer = WriterProcess(url, store)
    try:
        writer._beginning.join(DEADLINE)
        assert writer._is_ready
        yield store, writer
    finally:
        writer.close()
        writer.close()
        store.close()
    assert writer._process.returncode == 0


def test_logs_are_stored_by_another_process(database, monkeypatch):
    with at_work(database) as (store, writer):
        monkeypatch.setattr(store, "add_posted", None)  # not by this one
        logs = posted({"text": "\ud800 é ☕"}, {"n": 2**80}, {"metadata": {"k": "v"}})
        ids = [log.id for log in logs]
        assert writer.add_posted(logs) == ids
        for log in logs:
            assert store.find_one(log.id).body == log.body
        intake = Intake()
        first, again = (intake.posted("{}", "digest") for _ in range(2))
        assert writer.add_posted([first, again]) == [first.id, first.id]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("database or disk is full", StoreFull),
        ("database is locked", sa.exc.DBAPIError),
    ],
)
def test_what_went_wrong_is_raised_here_and_nothing_is_stored(sqlite_file, said, kind):
    with at_work(sqlite_file) as (store, writer):
        with store.writing() as connection:
            connection.exec_driver_sql(
                "CREATE TRIGGER bad BEFORE INSERT ON logs WHEN new.model = 'bad' "
                f"BEGIN SELECT RAISE(ABORT, '{said}'); END"
            )
        with pytest.raises(kind, match=said.removeprefix("database or ")) as raised:
            writer.add_posted(posted({"n": 1}, {"model": "bad"}))
        assert is_of_database(raised.value)
        assert getattr(raised.value, "params", None) is None  # they are the logs
        with pytest.raises(json.JSONDecodeError):
            writer.add_posted([*posted({"n": 2}), Intake().posted("no JSON", None)])
        good = posted({"n": 1})
        assert writer.add_posted(good) == [good[0].id]
        assert store.newest_id() == good[0].id


def test_until_it_is_there_logs_are_stored_here(database, monkeypatch):
    monkeypatch.setattr(writing, "_PROGRAM", "import sys; sys.stdin.buffer.read()")
    store = Store.open(database)
    writer = WriterProcess(database, store)
    try:
        logs = posted({"n": 1})
        assert writer.add_posted(logs) == [logs[0].id]
    finally:
        writer.close()
        store.close()


def stores_by_itself(writer):
    logs = posted({"n": 1})
    assert writer.add_posted(logs) == [logs[0].id]
    assert not writer._is_ready
    writer.close()
    writer._store.close()
    return True


@pytest.mark.parametrize("program", ["import sys; sys.exit(3)", None])
def test_where_there_is_none_logs_are_stored_here(
    sqlite_file, monkeypatch, caplog, program
):
    if program is None:
        monkeypatch.setattr(sys, "executable", "/no/such/python")
    else:
        monkeypatch.setattr(writing, "_PROGRAM", program)
    with caplog.at_level(logging.WARNING, "keywordsai.server"):
        writer = WriterProcess(sqlite_file, Store.open(sqlite_file))
        until(lambda: ALONE in caplog.text)
    assert stores_by_itself(writer)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("executable", [None, "", "frozen", "writer"])
def test_no_program_but_python_is_started_as_a_writer(
    sqlite_file, monkeypatch, executable
):
    """A frozen program would start itself: a server, which would start another."""
    if executable == "frozen":
        monkeypatch.setattr(sys, "frozen", True, raising=False)
    elif executable == "writer":
        monkeypatch.setenv(writing._MARK, "1")
    else:
        monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(subprocess, "Popen", None)
    assert stores_by_itself(WriterProcess(sqlite_file, Store.open(sqlite_file)))


def test_it_begins_whatever_is_printed_before(sqlite_file, monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("print('hello', flush=True)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with at_work(sqlite_file) as (_, writer):
        logs = posted({"n": 1})
        assert writer.add_posted(logs) == [logs[0].id]


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///file::memory:?cache=shared&uri=true",
        "sqlite:///file:/kept?vfs=memdb&uri=true",
    ],
)
def test_memory_of_whatever_name_is_written_by_the_server(url):
    with serving(url) as (process, base):
        made = create(base, {"n": 1})
        assert [row["id"] for row in listed(base)["results"]] == [made]
        assert not children(process.pid)
        create(base, {"n": 2})
        assert listed(base)["count"] == 2


def test_one_that_cannot_open_the_database_says_why(tmp_path, capfd, caplog):
    here = f"sqlite:///{tmp_path / 'logs.db'}"
    store = Store.open(here)
    with caplog.at_level(logging.WARNING, "keywordsai.server"):
        writer = WriterProcess(f"sqlite:///{tmp_path}/missing/logs.db", store)
        until(lambda: ALONE in caplog.text)
    writer.close()
    store.close()
    said = capfd.readouterr().err
    assert "there is no folder" in said
    assert "Traceback" not in said


def test_one_that_is_killed_leaves_what_it_had_in_hand_uncertain(
    database, caplog, monkeypatch
):
    store = Store.open(database)
    writer = WriterProcess(database, store)
    writer._beginning.join(DEADLINE)
    writer._process.send_signal(signal.SIGSTOP)
    sent, receive = threading.Event(), writing._Channel.receive

    def receive_and_tell(channel):
        sent.set()
        return receive(channel)

    monkeypatch.setattr(writing._Channel, "receive", receive_and_tell)
    with ThreadPoolExecutor(1) as pool:
        adding = pool.submit(writer.add_posted, posted({"n": 1}))
        assert sent.wait(DEADLINE)
        writer._process.kill()
        with pytest.raises(StoreUncertain, match="not known"):
            adding.result(DEADLINE)
    assert writer._process.returncode == -signal.SIGKILL  # no zombie
    assert stores_by_itself(writer)
    assert caplog.text.count(ALONE) == 1


def test_when_one_is_gone_what_it_was_not_given_is_stored_here(database, caplog):
    writer = WriterProcess(database, Store.open(database))
    writer._beginning.join(DEADLINE)
    assert writer._is_ready
    writer._process.kill()
    writer._process.wait()
    assert stores_by_itself(writer)
    assert caplog.text.count(ALONE) == 1


def test_it_may_be_closed_before_it_began(sqlite_file, caplog):
    for _ in range(2):
        store = Store.open(sqlite_file)
        WriterProcess(sqlite_file, store).close()
        store.close()
    assert not caplog.records


def test_one_that_does_not_end_is_killed(database, monkeypatch):
    monkeypatch.setattr(writing, "_LONGEST_END", 0.05)
    store = Store.open(database)
    writer = WriterProcess(database, store)
    writer._process.send_signal(signal.SIGSTOP)
    writer.close()
    store.close()
    assert writer._process.returncode == -signal.SIGKILL


def test_a_server_goes_on_when_its_writer_is_killed_under_load(database):
    """Every log that was answered is there; what was not answered is there once."""
    acknowledged, refused = [], []
    with serving(database) as (process, url):
        writer = writer_of(process)

        def create_on(name):
            for n in range(150):
                body = {"custom_identifier": f"{name}-{n}"}
                key = {"Idempotency-Key": body["custom_identifier"]}
                path = f"{url}/request-logs/create"
                while (answer := call(path, "POST", body, headers=key)).status != 201:
                    assert (answer.status, answer.json) == (503, NOT_NOW)
                    assert answer.headers["Retry-After"] == "2"
                    refused.append(body)
                acknowledged.append(answer.json["id"])

        with ThreadPoolExecutor(8) as pool:
            running = [pool.submit(create_on, name) for name in range(8)]
            until(lambda: len(acknowledged) > 200)
            os.kill(writer, signal.SIGKILL)
            for future in running:
                future.result(DEADLINE)
        assert listed(url, page_size=1)["count"] == len(set(acknowledged)) == 8 * 150
        assert get(url, acknowledged[-1])
        code, _, said = stopped(process)
    assert code == 0
    assert said.count(ALONE) == 1
    assert "Traceback" not in said


def test_it_ends_without_a_word_when_its_server_is_killed_at_work(database):
    for _ in range(3):
        with serving(database) as (process, url), ThreadPoolExecutor(8) as pool:
            writer_of(process)
            made = []

            def keep_creating(url=url, made=made):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    while True:  # until it is gone
                        made.append(create(url, {"n": 1}))

            running = [pool.submit(keep_creating) for _ in range(8)]
            until(lambda made=made: len(made) > 100)
            process.kill()
            for future in running:
                future.result(DEADLINE)
            assert process.communicate(timeout=DEADLINE)[1] == ""


def test_it_ends_with_its_server_however_that_ends(database):
    with serving(database) as (process, url):
        writer = writer_of(process)
        create(url, {"n": 1})
        process.kill()
    until(lambda: not is_there(writer))
    with serving(database) as (process, url):
        writer = writer_of(process)
        create(url, {"n": 2})
        assert stopped(process) == (0, "", "")
        assert not is_there(writer)
    with serving(database) as (_, url):
        assert listed(url)["count"] == 2


def test_a_signal_to_the_whole_group_is_for_the_server(database):
    """As a service manager sends it: the writer goes on until its server is done."""
    acknowledged = []
    with serving(database) as (process, url), ThreadPoolExecutor(4) as pool:
        writer = writer_of(process)

        def keep_creating():
            with contextlib.suppress(OSError, http.client.HTTPException):
                while True:  # until it is gone
                    acknowledged.append(create(url, {"n": 1}))

        running = [pool.submit(keep_creating) for _ in range(4)]
        until(lambda: len(acknowledged) > 20)
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(writer, number)
        assert stopped(process) == (0, "", "")
        for future in running:
            future.result(DEADLINE)
        assert not is_there(writer)
    with serving(database) as (_, url):
        assert listed(url, page_size=1)["count"] >= len(acknowledged)


def test_changes_go_on_while_logs_are_stored(database):
    with serving(database) as (process, url):
        writer_of(process)
        made = [create(url, {"n": n}) for n in range(20)]
        bulk = {"logs": [{"metadata": {"k": str(n)}} for n in range(200)]}
        with ThreadPoolExecutor(3) as pool:
            bulks = [
                pool.submit(call, f"{url}/request-logs/bulk", "POST", bulk)
                for _ in range(40)
            ]
            for log_id in made:
                path = f"{url}/request-logs/{log_id}/"
                assert call(path, "PATCH", {"note": "seen"}).status == 200
                assert call(path, "DELETE").status == 204
            assert {bulk.result(DEADLINE).status for bulk in bulks} == {201}
        assert listed(url, page_size=1)["count"] == 40 * 200


def test_a_locked_file_is_tried_again_later(sqlite_file, monkeypatch):
    monkeypatch.setattr("keywordsai.server.engines._BUSY_TIMEOUT", 50)
    with serve_in_thread(database=sqlite_file) as url:
        create(url, {"n": 1})
        path = sqlite_file.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            answer = call(f"{url}/request-logs/create", "POST", {"n": 2})
            assert (answer.status, answer.json) == (503, NOT_NOW)
            assert answer.headers["Retry-After"] == "2"
            holder.execute("ROLLBACK")
        create(url, {"n": 3})
        assert [row["n"] for row in listed(url, sort_by="id")["results"]] == [1, 3]
