"""A database in place of a server: the same client, the same answers, no network."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import sys
import threading
import time
import warnings
from collections import deque

import pytest
import sqlalchemy as sa
from server_tools import call, until

from keywordsai import (
    ClosedError,
    ConfigurationError,
    ConnectError,
    HTTPRequest,
    InvalidLogError,
    LogAPI,
    MockTransport,
    NotFoundError,
    PayloadTooLargeError,
    ReadTimeout,
    ServerError,
    UnprocessableLogError,
)
from keywordsai.errors import BadRequestError
from keywordsai.logs.endpoints import Call, read_created
from keywordsai.server.combining import CombinedCommit
from keywordsai.server.engines import StoreFull
from keywordsai.server.grouping import Group, take_together
from keywordsai.server.serving import serve_in_thread
from keywordsai.transport import embedded
from keywordsai.transport.embedded import (
    AsyncEmbeddedTransport,
    Database,
    EmbeddedTransport,
)

LOG = {
    "model": "gpt-4",
    "prompt_messages": [{"role": "user", "content": "Grüße, 世界 \ud83d"}],
    "completion_message": {"role": "assistant", "content": "Hallo"},
    "prompt_tokens": 15,
    "completion_tokens": 25,
    "generation_time": 0.5,
    "metadata": {"topic": "greeting", "deep": {"n": 1.10}},
    "timestamp": "2026-01-02T03:04:05.678901Z",
    "of_my_own": [None, True, 2**70],
}


class Face:
    """`create`, `list` and `get` of one colour, as plain functions."""

    def __init__(self, client, colour):
        self.client, self._colour = client, colour

    def __getattr__(self, name):
        if self._colour == "sync":
            return getattr(self.client, name)
        method = getattr(self.client, f"a{name}")
        return lambda *args, **options: asyncio.run(method(*args, **options))


@pytest.fixture(params=["server", "embedded"])
def base_url(request, any_database):
    if request.param == "server":
        with serve_in_thread(database=any_database) as url:
            yield url
    else:
        yield any_database


@pytest.fixture(params=["sync", "async"])
def face(request, base_url):
    with LogAPI("any", base_url, retry=1) as client:
        yield Face(client, request.param)


def test_the_same_answers_as_a_servers(face):
    answer = face.create(LOG)
    assert answer["message"] == "log successful"
    assert answer["id"] == answer["unique_id"]
    assert len(answer["id"]) == 32
    log = face.get(answer["id"])
    assert log.sent == LOG
    assert (log.total_tokens, log.latency, log.status) == (40, 0.5, "success")
    assert log.timestamp.isoformat() == "2026-01-02T03:04:05.678901+00:00"
    ids = [face.create({"model": f"m{i}"}, f"key-{i}")["id"] for i in range(3)]
    assert face.create({"model": "m0"}, "key-0")["id"] == ids[0]
    page = face.list(page_size=2, start_time="2025-01-01", sort_by="-id")
    assert [one.model for one in page] == ["m2", "m1"]
    assert (page.count, page.previous) == (4, None)
    assert "page=2" in page.next
    second = face.list(page_size=2, start_time="2025-01-01", sort_by="-id", page=2)
    assert [one.model for one in second] == ["m0", "gpt-4"]
    found = face.list(start_time="2025-01-01", filters={"model": {"value": ["m1"]}})
    assert [one.id for one in found] == [ids[1]]
    assert face.list(model="m2", start_time="2025-01-01").count == 1


def test_the_same_refusals_as_a_servers(face):
    with pytest.raises(NotFoundError, match="404: Log not found"):
        face.get("no-such-log")
    with pytest.raises(BadRequestError, match="sort_by"):
        face.list(sort_by="colour")
    with pytest.raises(BadRequestError, match="start_time"):
        face.list(start_time="soon")
    with pytest.raises(InvalidLogError):
        face.create({"prompt_tokens": "15"})


def test_what_only_the_server_refuses(face):
    large = b'{"output": "' + b"x" * (20 * 1024**2) + b'"}'
    for body, error in (
        (b'{"stream": 5}', UnprocessableLogError),
        (large, PayloadTooLargeError),
        (b"{", BadRequestError),
    ):
        request = face.client._endpoints.post_log(body, "k")
        with pytest.raises(error):
            face.client._run(Call(request, read_created))


def test_no_key_is_needed_and_any_is_fine(database, monkeypatch):
    for key in (None, "any", "not a key\n"):
        with LogAPI(key, database) as client:
            client.create({"model": "gpt-4"}, "one-and-the-same")
    monkeypatch.setenv("KEYWORDSAI_BASE_URL", database)
    with LogAPI() as client:
        assert client.list().count == 1


def test_a_list_begins_with_the_first_log():
    with LogAPI(base_url="sqlite://") as client:
        client.create({"model": "old", "timestamp": "2001-02-03T04:05:06Z"})
        assert [log.model for log in client.list()] == ["old"]


def test_memory_without_a_name_is_each_clients_own():
    with LogAPI(base_url="sqlite://") as one, LogAPI(base_url="sqlite://") as other:
        one.create({"model": "gpt-4"})
        asyncio.run(one.acreate({"model": "gpt-4"}))
        assert (one.list().count, other.list().count) == (2, 0)


def test_clients_of_one_url_share_a_store(sqlite_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = "sqlite:///file:of-this-test?mode=memory&uri=true"
    for first, second in ((sqlite_file, "sqlite:///logs.db"), (named, named)):
        with LogAPI(base_url=first) as one, LogAPI(base_url=second) as other:
            assert one._sync.database is other._sync.database
            one.create({"model": "gpt-4"})
            assert other.list().count == 1


def test_the_file_stays_the_same_when_the_working_folder_changes(tmp_path, monkeypatch):
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path)
    with LogAPI(base_url="sqlite:///logs.db") as client:
        monkeypatch.chdir("else")
        client.create({"model": "gpt-4"})
        assert repr(client) == f"<LogAPI sqlite:///{tmp_path}/logs.db open>"
        assert client.list().count == 1
    assert [path.name for path in tmp_path.rglob("*.db")] == ["logs.db"]


def test_closing_closes_the_file(sqlite_file, tmp_path):
    client = LogAPI(base_url=sqlite_file)
    other = LogAPI(base_url=sqlite_file)
    client.create({"model": "gpt-4"})
    client.close()
    client.close()
    assert (tmp_path / "logs.db-wal").exists()  # the other's
    asyncio.run(other.aclose())
    assert [path.name for path in tmp_path.iterdir()] == ["logs.db"]
    for call_it in (client.create, other.create):
        with pytest.raises(ClosedError):
            call_it({"model": "gpt-4"})
    with pytest.raises(ClosedError):
        client._sync.send(HTTPRequest(method="GET", url="http://embedded/healthz"))


def test_a_client_that_is_forgotten_closes_the_file(sqlite_file, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client = LogAPI(base_url=sqlite_file)
        client.create({"model": "gpt-4"})
        del client
        gc.collect()
    assert [path.name for path in tmp_path.iterdir()] == ["logs.db"]


def test_the_event_loop_goes_on_while_a_log_is_stored(sqlite_file):
    async def main():
        ticks = 0
        async with LogAPI(base_url=sqlite_file) as client:
            await client.acreate({"model": "gpt-4"})
            with sqlite3.connect(sqlite_file.removeprefix("sqlite:///")) as other:
                other.execute("BEGIN IMMEDIATE")
                task = asyncio.create_task(client.acreate({"model": "late"}))
                while ticks < 20:
                    await asyncio.sleep(0.005)
                    ticks += 1
                assert not task.done()
                other.rollback()
            other.close()
            assert (await task)["message"] == "log successful"
            assert (await client.alist()).count == 2

    asyncio.run(main())


def test_when_there_are_no_more_threads(database, monkeypatch):
    async def refuse(*_args):
        raise RuntimeError("cannot schedule new futures after shutdown")

    async def main():
        async with LogAPI(base_url=database) as client:
            monkeypatch.setattr(asyncio, "to_thread", refuse)
            await client.acreate({"model": "gpt-4"})
            return (await client.alist()).count

    assert asyncio.run(main()) == 1


def test_after_the_programs_exit_hooks_nothing_is_left_open(sqlite_file, tmp_path):
    with LogAPI(base_url=sqlite_file) as client:
        client._sync.database._finalizer()
        client.create({"model": "late"})
        assert [path.name for path in tmp_path.iterdir()] == ["logs.db"]
        assert client.list().count == 1


def test_async_transports_wait_without_blocking():
    async def main():
        transport = AsyncEmbeddedTransport("sqlite://")
        await asyncio.wait_for(transport.sleep(0.001), 5)
        await transport.close()
        transport.close_from_sync()

    asyncio.run(main())
    EmbeddedTransport("sqlite://").sleep(0.0)


# What a database can be: errors say what and where.


def refused(url, **options):
    with pytest.raises(ConfigurationError) as caught:
        LogAPI(base_url=url, **options)
    return str(caught.value)


def test_a_database_that_cannot_be_opened(tmp_path):
    missing = f"sqlite:///{tmp_path}/no/such/folder/logs.db"
    text = refused(missing)
    assert text.startswith(f"base_url: cannot use {missing}: unable to open")
    assert text.endswith(f"for there is no folder {tmp_path}/no/such/folder")
    (tmp_path / "other.db").write_bytes(b"no database at all" * 100)
    assert "is not a database" in refused(f"sqlite:///{tmp_path}/other.db")
    assert refused("postgresql+asyncpg://host/name").startswith("base_url: ")
    text = refused("postgresql://ada:pass-of-tests@127.0.0.1:1/logs?password=of-tests")
    assert text.startswith("base_url: ")
    assert "of-tests" not in text


def test_sessions_do_not_lead_to_a_database(tmp_path):
    import requests

    with requests.Session() as session:
        text = refused("sqlite://", transport=session)
    assert text.startswith("base_url is a database")
    assert refused("sqlite://", async_transport=object()) == text


def test_transports_that_were_handed_in_win(tmp_path):
    mock = MockTransport()
    path = tmp_path / "logs.db"
    with LogAPI(base_url=f"sqlite:///{path}", transport=mock) as client:
        client.create({"model": "gpt-4"})
        asyncio.run(client.acreate({"model": "gpt-4"}))
    assert len(mock.logs) == 2
    assert not path.exists()
    with LogAPI(base_url=f"sqlite:///{path}", async_transport=mock) as client:
        client.create({"model": "gpt-4"})
        asyncio.run(client.acreate({"model": "gpt-4"}))
        assert (client.list().count, len(mock.logs)) == (1, 3)


def test_switched_off_there_is_no_file(tmp_path):
    with LogAPI(base_url=f"sqlite:///{tmp_path}/logs.db", enabled=False) as client:
        assert client.create({"model": "gpt-4"}) == {"message": "logging disabled"}
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlalchemy.exc", None)
    monkeypatch.delitem(sys.modules, "keywordsai.transport.embedded")
    text = refused("sqlite:///logs.db")
    assert "needs sqlalchemy" in text
    assert "keywordsai[server]" in text


def test_a_mistake_of_our_own_is_no_missing_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "keywordsai.transport.embedded", None)
    with pytest.raises(ModuleNotFoundError):
        LogAPI(base_url="sqlite://")


def test_a_locked_database_is_told_of_and_comes_back(sqlite_file, monkeypatch):
    monkeypatch.setattr("keywordsai.server.engines._BUSY_TIMEOUT", 50)
    with LogAPI(base_url=sqlite_file, retry=1) as client:
        other = sqlite3.connect(sqlite_file.removeprefix("sqlite:///"))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ReadTimeout, match="in use by others") as caught:
            client.create({"output": "payload-of-tests"})
        assert caught.value.request_sent is False
        assert "payload-of-tests" not in str(caught.value)
        other.rollback()
        other.close()
        client.create({"model": "gpt-4"})
        assert client.list().count == 1


def test_a_database_that_breaks_is_told_of(sqlite_file, tmp_path):
    with LogAPI(base_url=sqlite_file, retry=1) as client:
        client.create({"model": "gpt-4"})
        client._sync.database._store.close()
        (tmp_path / "logs.db").write_bytes(b"broken" * 1000)
        with pytest.raises(ConnectError, match=r"cannot be used: .*not a database"):
            client.create({"output": "payload-of-tests"})
    (tmp_path / "logs.db").unlink()


def test_a_file_that_is_not_to_be_written(sqlite_file):
    read_only = (
        f"sqlite:///file:{sqlite_file.removeprefix('sqlite:///')}?mode=ro&uri=true"
    )
    LogAPI(base_url=sqlite_file).close()
    try:
        client = LogAPI(base_url=read_only, retry=1)
    except ConfigurationError as error:
        assert "cannot use" in str(error)
    else:
        with client, pytest.raises(ConnectError, match=r"cannot be used: .*readonly"):
            client.create({"model": "gpt-4"})


def test_a_connection_that_nobody_gives_back(sqlite_file, monkeypatch):
    with LogAPI(base_url=sqlite_file, retry=1) as client:
        error = sa.exc.TimeoutError("QueuePool limit")
        monkeypatch.setattr(client._sync.database._store, "find", raising(error))
        with pytest.raises(ReadTimeout, match="for too long"):
            client.list()


def raising(error):
    def fail(*_args):
        raise error

    return fail


def test_a_full_disk_is_told_of(database, monkeypatch):
    with LogAPI(base_url=database, retry=1) as client:
        commits = client._sync.database._commits
        monkeypatch.setattr(commits, "_add", raising(StoreFull()))
        with pytest.raises(ServerError, match="503: The server's disk is full"):
            client.create({"model": "gpt-4"})


def test_a_mistake_is_answered_as_the_server_answers_it(database, monkeypatch):
    with LogAPI(base_url=database, retry=1) as client:
        error = RuntimeError("payload-of-tests")
        monkeypatch.setattr(client._sync.database._store, "find", raising(error))
        with pytest.raises(ServerError, match="500: Internal server error"):
            client.list()


# Many at once.


def test_many_threads_and_a_server_on_one_file(database):
    def write(client, number):
        for i in range(25):
            client.create({"model": f"{number}-{i}"})

    with (
        LogAPI(base_url=database) as one,
        LogAPI(base_url=database) as other,
        serve_in_thread(database=database) as url,
        LogAPI("any", url) as remote,
    ):
        threads = [
            threading.Thread(target=write, args=(client, number))
            for number, client in enumerate([one, other, remote] * 3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for client in (one, other, remote):
            page = client.list(page_size=1000)
            assert page.count == 225
            assert len({log.model for log in page}) == 225
        assert call(f"{url}/healthz", key=None).status == 200


def test_creates_that_wait_for_one_another_are_committed_together():
    batches, gate = [], threading.Event()

    def add(logs):
        batches.append(list(logs))
        if len(batches) == 1:
            assert gate.wait(20)
        if "bad" in logs:
            raise ValueError("bad")
        return [f"id-{log}" for log in logs]

    commits, results = CombinedCommit(add), {}

    def put(*logs):
        try:
            results[logs] = commits.add(logs)
        except ValueError as error:
            results[logs] = str(error)

    threads = [threading.Thread(target=put, args=["first"])]
    threads[0].start()
    until(lambda: batches)
    for logs in (["a"], ["b", "c"], ["bad"]):
        threads.append(threading.Thread(target=put, args=logs))
        threads[-1].start()
        until(lambda: len(commits._waiting) == len(threads) - 1)
    gate.set()
    for thread in threads:
        thread.join()
    assert results == {
        ("first",): ["id-first"],
        ("a",): ["id-a"],
        ("b", "c"): ["id-b", "id-c"],
        ("bad",): "bad",
    }
    assert batches[1] == ["a", "b", "c", "bad"]


def test_a_transaction_has_a_bound(monkeypatch):
    monkeypatch.setattr("keywordsai.server.grouping._MOST_LOGS", 3)
    waiting = deque(Group(["log"] * count) for count in (2, 1, 4))
    assert [len(take_together(waiting)) for _ in range(2)] == [2, 1]


def test_when_there_is_no_room_it_is_not_tried_one_by_one():
    calls, inside, gate = [], threading.Event(), threading.Event()

    def add(logs):
        calls.append(list(logs))
        inside.set()
        assert gate.wait(20)
        raise StoreFull

    commits, full = CombinedCommit(add), []

    def put(log):
        with pytest.raises(StoreFull):
            commits.add([log])
        full.append(log)

    threads = [threading.Thread(target=put, args=[log]) for log in "abc"]
    threads[0].start()
    assert inside.wait(20)
    for thread in threads[1:]:
        thread.start()
    until(lambda: len(commits._waiting) == 2)
    gate.set()
    for thread in threads:
        thread.join()
    assert sorted(full) == ["a", "b", "c"]
    assert [sorted(logs) for logs in calls] == [["a"], ["b", "c"]]


def test_an_interrupted_commit_leaves_the_others_to_themselves():
    inside, gate = threading.Event(), threading.Event()

    def add(logs):
        if logs == ["first"]:
            inside.set()
            assert gate.wait(20)
        if "mine" in logs:
            raise KeyboardInterrupt
        return [f"id-{log}" for log in logs]

    commits, results = CombinedCommit(add), []

    def interrupted():
        with pytest.raises(KeyboardInterrupt):
            commits.add(["mine"])
        results.append("interrupted")

    targets = [
        lambda: results.append(commits.add(["first"])),
        interrupted,
        lambda: results.append(commits.add(["theirs"])),
    ]
    threads = []
    for number, target in enumerate(targets):
        threads.append(threading.Thread(target=target))
        threads[-1].start()
        assert inside.wait(20)
        until(lambda: len(commits._waiting) == number)  # noqa: B023
    gate.set()
    for thread in threads:
        thread.join(20)
    assert sorted(map(str, results)) == ["['id-first']", "['id-theirs']", "interrupted"]


# In the background.


def test_in_the_background_the_sums_hold(base_url):
    with LogAPI("any", base_url, block=False, bulk=True) as client:
        for i in range(300):
            client.create({"model": f"m{i}"})
        assert client.create({"model": "x"}) == {"message": "log queued"}
        result = client.flush(20)
        assert (result.delivered, result.pending, result.dead) == (301, 0, 0)
        assert client.list(page_size=1000).count == 301
        # A log that says so itself waits for no queue.
        waits = {"keywordsai_api_controls": {"block": True}, "model": "now"}
        assert client.create(waits)["message"] == "log successful"


def test_closing_delivers_what_is_queued(sqlite_file, tmp_path):
    client = LogAPI(base_url=sqlite_file, block=False, exit_timeout=20)
    for i in range(100):
        client.create({"model": f"m{i}"})
    client.close()
    assert client.stats().delivered == 100
    assert [path.name for path in tmp_path.iterdir()] == ["logs.db"]
    with LogAPI(base_url=sqlite_file) as again:
        assert again.list().count == 100


def test_a_locked_file_holds_up_nobody_in_the_background(sqlite_file, monkeypatch):
    monkeypatch.setattr("keywordsai.server.engines._BUSY_TIMEOUT", 50)
    with LogAPI(base_url=sqlite_file, block=False) as client:
        other = sqlite3.connect(sqlite_file.removeprefix("sqlite:///"))
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert client.create({"model": "gpt-4"}) == {"message": "log queued"}
        assert time.monotonic() - began < 5
        assert client.flush(0.3).pending == 1
        other.rollback()
        other.close()
        assert client.flush(20).delivered == 1


def test_a_spool_folder_serves_a_database_too(sqlite_file, tmp_path):
    folder = tmp_path / "spool"
    with LogAPI(base_url=sqlite_file, block=False, spool=folder) as client:
        client.create({"model": "gpt-4"})
        assert client.flush(20).delivered == 1


# Forks: the parts; whole programs are in test_server_embedded_process.


def test_nobody_begins_while_a_fork_is_waited_for(sqlite_file):
    base = Database.at(sqlite_file)
    request = HTTPRequest(method="GET", url="http://e/healthz")
    done = []
    thread = threading.Thread(target=lambda: done.append(base.answer(request)))
    base._is_forking = True
    thread.start()
    thread.join(0.05)
    assert not done
    with base.still_for_fork():
        thread.join(0.05)
        assert not done
    thread.join(20)
    assert done[0].status == 200


def test_a_fork_waits_for_who_is_at_work_and_no_longer(sqlite_file, monkeypatch):
    base = Database.at(sqlite_file)
    monkeypatch.setattr(embedded, "_LONGEST_STILL", 0.01)
    with base._working(), base.still_for_fork():
        pass
    base.after_fork_in_child()
    with embedded._still_for_fork():
        pass
    embedded._after_fork_in_child()
    memory = Database.at("sqlite://")
    memory.answer(
        HTTPRequest(method="POST", url="http://e/request-logs/create", body=b"{}")
    )
    with memory.still_for_fork():
        pass
    listed = memory.answer(HTTPRequest(method="GET", url="http://e/request-logs/list"))
    assert b'"count": 1' in listed.body
    assert base.answer(HTTPRequest(method="GET", url="http://e/healthz")).status == 200
