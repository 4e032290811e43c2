"""Creates that arrive together, transactions that fail, the server in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from aiohttp import ClientSession, TCPConnector, web
from server_tools import DEADLINE, KEY, call, create, listed, until

from keywordsai.errors import ClosedError, ConfigurationError
from keywordsai.server.app import LogServer, running, serve_in_thread
from keywordsai.server.combining import CombinedCommit
from keywordsai.server.commits import GroupCommit
from keywordsai.server.grouping import Group
from keywordsai.server.handler import Handler
from keywordsai.server.store import Store
from keywordsai.server.tables import logs


async def serve(store):
    runner = web.AppRunner(
        LogServer(store=store, handler=Handler()).app, access_log=None
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


def client():
    return ClientSession(
        connector=TCPConnector(limit=0), headers={"Authorization": f"Bearer {KEY}"}
    )


@pytest.mark.parametrize("kind", ["server", "embedded"])
def test_all_that_wait_for_a_locked_database_wait_once(tmp_path, kind):
    database = f"sqlite:///{tmp_path / 'logs.db'}"
    store, tried = Store.open(database), []
    holder = sqlite3.connect(
        tmp_path / "logs.db", isolation_level=None, check_same_thread=False
    )

    def add(new):
        tried.append(len(new))
        with store.writing() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 50")
        holder.execute("BEGIN IMMEDIATE")
        try:
            return store.add(new)
        finally:
            holder.execute("ROLLBACK")

    async def main():
        commits = GroupCommit(add)
        adding = [commits.add(n) for n in range(5)]
        found = await asyncio.gather(*adding, return_exceptions=True)
        await commits.close()
        return found

    if kind == "server":
        errors = asyncio.run(main())
    else:
        commits = CombinedCommit(add)
        waiting = [Group([n]) for n in range(5)]
        commits._commit(waiting, waiting[0])
        errors = [one.error for one in waiting]
    assert [str(error.orig) for error in errors] == ["database is locked"] * 5
    assert tried == [5]
    holder.close()
    store.close()


async def post(session, url, body, **headers):
    async with session.post(
        f"{url}/request-logs/create/", json=body, headers=headers
    ) as response:
        return response.status, await response.json()


async def reached(condition):
    await asyncio.to_thread(until, condition)


def test_creates_that_arrive_together_commit_together(database):
    store = Store.open(database)
    commits, first = [], threading.Event()

    @sa.event.listens_for(store._writer, "commit")
    def hold_the_first(_connection):
        commits.append(1)
        assert first.wait(DEADLINE)

    async def main():
        runner, url = await serve(store)
        async with client() as session:
            posts = [
                asyncio.create_task(post(session, url, {"n": n})) for n in range(200)
            ]
            await reached(lambda: len(runner.server.connections) == 200)
            first.set()
            answers = await asyncio.gather(*posts)
        await runner.cleanup()
        return answers

    try:
        answers = asyncio.run(asyncio.wait_for(main(), DEADLINE))
        assert {status for status, _ in answers} == {201}
        assert len({body["id"] for _, body in answers}) == 200
        assert len(commits) <= 20
        with store._reader.connect() as connection:
            assert (
                connection.execute(
                    sa.select(sa.func.count()).select_from(logs)
                ).scalar_one()
                == 200
            )
    finally:
        store.close()


def test_one_log_for_one_key_however_many_ask_at_once(any_database):
    with serve_in_thread(database=any_database) as url:
        with ThreadPoolExecutor(50) as pool:
            ids = set(
                pool.map(
                    lambda n: create(url, {"n": n}, headers={"Idempotency-Key": "k"}),
                    range(50),
                )
            )
        assert len(ids) == 1
        assert listed(url)["count"] == 1


def test_a_failed_transaction_fails_its_own_requests_only(database, caplog):
    store = Store.open(database)
    broken = [True]

    @sa.event.listens_for(store._writer, "commit")
    def fail(_connection):
        if broken:
            raise sa.exc.OperationalError("COMMIT", {}, Exception("disk full"))

    async def main():
        runner, url = await serve(store)
        async with client() as session:
            failed = await asyncio.gather(
                *(
                    post(session, url, {"text": "private words", "n": n})
                    for n in range(3)
                )
            )
            broken.clear()
            after = await post(session, url, {"n": 4})
            async with session.get(f"{url}/request-logs/list") as response:
                page = await response.json()
        await runner.cleanup()
        return failed, after, page

    try:
        failed, after, page = asyncio.run(asyncio.wait_for(main(), DEADLINE))
    finally:
        store.close()
    body = {"detail": "Internal server error", "error_code": "INTERNAL_ERROR"}
    assert failed == [(500, body)] * 3
    assert after[0] == 201
    assert [row["n"] for row in page["results"]] == [4]
    assert "disk full" in caplog.text
    assert KEY not in caplog.text
    assert "private words" not in caplog.text


def test_no_create_waits_for_a_list(database):
    store = Store.open(database)
    reading, go_on = threading.Event(), threading.Event()

    @sa.event.listens_for(store._reader, "before_cursor_execute")
    def hold(*_arguments):
        reading.set()
        assert go_on.wait(DEADLINE)

    async def main():
        runner, url = await serve(store)
        async with client() as session:
            slow = asyncio.create_task(session.get(f"{url}/request-logs/list"))
            await reached(reading.is_set)
            status, _ = await post(session, url, {"n": 1})
            assert not slow.done()
            go_on.set()
            async with await slow as response:
                assert response.status == 200
        await runner.cleanup()
        return status

    try:
        assert asyncio.run(asyncio.wait_for(main(), DEADLINE)) == 201
    finally:
        go_on.set()
        store.close()


@pytest.mark.parametrize("where", ["start", "thread"])
def test_without_a_thread_nobody_waits_for_ever(monkeypatch, where):
    def add(new):
        raise SystemExit

    async def main():
        commits = GroupCommit(add)
        if where == "start":
            monkeypatch.setattr(
                commits._thread, "submit", Mock(side_effect=MemoryError)
            )
        for _ in range(2):
            adding = asyncio.gather(
                *(commits.add(n) for n in range(3)), return_exceptions=True
            )
            errors = await asyncio.wait_for(adding, DEADLINE)
            assert [type(error) for error in errors] == [RuntimeError] * 3
        await asyncio.wait_for(commits.close(), DEADLINE)

    asyncio.run(main())


def test_a_closed_committer_takes_no_more():
    async def main():
        commits = GroupCommit(lambda new: [log.id for log in new])
        await commits.close()
        await commits.close()
        with pytest.raises(ClosedError):
            await commits.add(None)

    asyncio.run(main())


def test_running_within_a_loop():
    async def main():
        async with running(port=0, database="sqlite://") as url:
            assert await asyncio.to_thread(create, url, {"n": 1})
        return url

    url = asyncio.run(main())
    with pytest.raises(ConnectionRefusedError):
        call(f"{url}/healthz")


def test_in_a_thread_it_leaves_nothing_behind(database):
    before = threading.active_count()
    with serve_in_thread(database=database) as url:
        create(url, {"n": 1})
    until(lambda: threading.active_count() == before)
    with serve_in_thread(database=database) as url:
        assert listed(url)["count"] == 1
    with pytest.raises(ConfigurationError, match="database"):
        serve_in_thread(database="sqlite:////no/such/folder/logs.db").__enter__()
    with pytest.raises(ConfigurationError, match="cannot listen"):
        serve_in_thread(host="127.0.0.1", port=70000).__enter__()


def test_one_log_that_cannot_be_stored_does_not_take_others_with_it():
    batches = []

    def add(new):
        batches.append(list(new))
        if "poison" in new:
            raise ValueError("cannot be stored")
        return [f"id of {log}" for log in new]

    async def main():
        commits = GroupCommit(add)
        logs = ["a", "poison", "b"]
        answers = await asyncio.gather(
            *(commits.add(log) for log in logs), return_exceptions=True
        )
        await commits.close()
        return answers

    first, poison, last = asyncio.run(main())
    assert (first, last) == ("id of a", "id of b")
    assert isinstance(poison, ValueError)
    assert batches == [["a", "poison", "b"], ["a"], ["poison"], ["b"]]


@pytest.mark.parametrize("turns", range(6))
def test_who_comes_at_the_very_end_is_not_left_waiting(turns):
    async def main():
        async with running(port=0, database="sqlite://") as url:
            late = socket.create_connection(("127.0.0.1", urlsplit(url).port))
            for _ in range(turns):
                await asyncio.sleep(0)
        late.settimeout(DEADLINE)
        with late, contextlib.suppress(ConnectionResetError):
            assert await asyncio.to_thread(late.recv, 1) == b""

    asyncio.run(main())
