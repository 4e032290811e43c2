"""Logs that are kept for so long and no longer."""

from __future__ import annotations

import asyncio
import time

import pytest
import sqlalchemy as sa
from server_tools import DEADLINE, call, create, listed, serving, stopped, until

from keywordsai.server import retention
from keywordsai.server.app import serve_in_thread
from keywordsai.server.retention import Retention
from keywordsai.server.store import Store
from keywordsai.server.tables import metadata

LONG_AGO = "2020-01-01T00:00:00Z"


def count(url):
    return listed(url, start_time="2000-01-01", end_time="2999-01-01")["count"]


def test_older_logs_go_and_others_stay(database, monkeypatch):
    monkeypatch.setattr(retention, "_LONGEST_WAIT", 0.05)
    with serve_in_thread(database=database) as url:
        for n in range(3):
            create(url, {"n": n, "timestamp": LONG_AGO, "metadata": {"old": str(n)}})
        kept = create(url, {"n": 4, "metadata": {"old": "no"}})
        assert count(url) == 4
    with serve_in_thread(database=database, keep=3600) as url:
        until(lambda: count(url) == 1)
        assert [row["id"] for row in listed(url)["results"]] == [kept]
        assert listed(url, metadata__old="no")["count"] == 1
        old = create(url, {"timestamp": LONG_AGO})
        until(lambda: call(f"{url}/request-logs/{old}").status == 404)


def test_nothing_of_them_is_left(database):
    store = Store.open(database)
    try:
        with serve_in_thread(database=database) as url:
            old = {"timestamp": LONG_AGO, "metadata": {"a": "b"}, "input": "many words"}
            body = {"logs": [old] * 500}
            for _ in range(3):
                assert call(f"{url}/request-logs/bulk/", "POST", body).status == 201
            kept = create(url, {"metadata": {"a": "b"}})
        removed = iter(lambda: store.prune(time.time_ns() // 1000 - 3600 * 10**6), 0)
        batches = list(removed)
        assert sum(batches) == 1500
        assert max(batches) <= 500
        assert store.newest_id() == kept
        with store._reader.connect() as connection:
            for name, table in metadata.tables.items():
                if "seq" in table.c:
                    query = sa.select(sa.func.count(table.c.seq.distinct()))
                    assert connection.execute(query).scalar_one() <= 1, name
    finally:
        store.close()


def test_two_processes_remove_each_log_once(database):
    with serve_in_thread(database=database) as url:
        body = {"logs": [{"timestamp": LONG_AGO}] * 500}
        for _ in range(4):
            call(f"{url}/request-logs/bulk/", "POST", body)
        kept = [create(url, {"n": n}) for n in range(5)]
    with (
        serving(database, "--keep", "1h") as (first, one),
        serving(database, "--keep", "1h") as (second, two),
    ):
        until(lambda: count(one) == 5)
        assert sorted(row["id"] for row in listed(two)["results"]) == sorted(kept)
        assert stopped(first) == stopped(second) == (0, "", "")


def test_removing_holds_up_no_stop(monkeypatch):
    monkeypatch.setattr(retention, "_PAUSE", 3600)
    monkeypatch.setattr(Store, "prune", lambda self, before: 1)
    with serve_in_thread(keep=60) as url:
        create(url, {})
        start = time.monotonic()
    assert time.monotonic() - start < 3


def test_what_fails_is_tried_again(monkeypatch, caplog):
    monkeypatch.setattr(retention, "_SHORTEST_WAIT", 0.01)
    asked, enough = [], asyncio.Event()

    async def prune(before):
        asked.append(before)
        if len(asked) == 6:
            enough.set()
        if len(asked) == 1:
            raise sa.exc.OperationalError("DELETE private", {}, Exception("private"))
        return len(asked) < 4

    async def main():
        keeping = Retention(prune, keep=0.1, now=lambda: 1_000_000)
        keeping.start()
        await enough.wait()
        await keeping.stop()
        await keeping.stop()

    asyncio.run(asyncio.wait_for(main(), DEADLINE))
    assert set(asked) == {900_000}
    assert "removing old logs failed: OperationalError" in caplog.text
    assert "private" not in caplog.text


@pytest.mark.parametrize(("keep", "wait"), [(2, 0.5), (600, 30.0), (10**7, 60.0)])
def test_how_often_it_looks(keep, wait):
    assert Retention(None, keep=keep)._wait == wait
