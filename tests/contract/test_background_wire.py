"""Delivery in the background over aiohttp, on real sockets and real files."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from contract.wire import OK, Wire, answer, hold, replies, silent_close, unused_port

from keywordsai import LogAPI, Timeout
from keywordsai.delivery import lifecycle
from keywordsai.delivery.folder import SpoolFolder

KEY = "key-of-tests"


@pytest.fixture
def wire():
    with Wire(replies(OK)) as made:
        yield made


@pytest.fixture(params=["memory", "folder"])
def spool(request, tmp_path):
    return str(tmp_path / "spool") if request.param == "folder" else ""


def client(origin, **options):
    options.setdefault("block", False)
    return LogAPI(KEY, origin, **options)


def bodies(wire):
    return [request.partition(b"\r\n\r\n")[2] for request in wire.requests]


def left_behind(folder, logs, *, api_key=KEY, base_url=None, dead=0):
    """What a process leaves that died: its queue, and no lock."""
    other = SpoolFolder(str(folder), base_url=base_url, api_key=api_key)
    spool = other.create()
    for log in logs:
        spool.put(log, time.time())
    if dead:
        ids = [entry.id for entry in spool.take(0, dead)]
        spool.settle([], [(number, 422, "no") for number in ids])
    spool.close()
    other.abandon()
    return Path(spool.path)


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def test_delivers_over_few_connections(wire, spool):
    with client(wire.origin, spool=spool, concurrency=4) as api:
        for number in range(100):
            api.create({"model": str(number)})
        assert api.flush().delivered == 100
        assert wire.connections <= 4
    assert len(set(bodies(wire))) == 100
    if spool:
        assert [path.name for path in Path(spool).iterdir()] == ["salt"]


def test_one_in_flight_until_the_first_success(spool):
    gate = threading.Event()

    def script(peer):
        while peer.request():
            assert gate.wait(5)
            peer.send(OK)

    with Wire(script) as wire, client(wire.origin, spool=spool) as api:
        for number in range(20):
            api.create({"model": str(number)})
        wire.wait_for(lambda: wire.requests)
        assert api.flush(0.1).pending == 20
        assert len(wire.requests) == 1
        gate.set()
        assert api.flush().complete


def test_a_stale_connection_costs_nothing():
    def script(peer):
        peer.request()
        peer.send(OK)
        peer.request()  # and the connection ends: it was stale

    with Wire(script) as wire, client(wire.origin, concurrency=1) as api:
        for number in range(4):
            api.create({"model": str(number)})
            assert api.flush(5).complete
        assert api.stats().delivered == 4


def test_closed_while_the_service_hangs(spool, caplog):
    with Wire(hold) as wire:
        api = client(wire.origin, spool=spool, exit_timeout=0.2)
        for number in range(5):
            api.create({"model": str(number)})
        wire.wait_for(lambda: wire.requests)
        began = time.monotonic()
        with caplog.at_level(logging.WARNING, "keywordsai"):
            api.close()
        assert time.monotonic() - began < 0.7
        wire.wait_for(lambda: wire.open == 0)
    stats = api.stats()
    if spool:
        assert stats.pending == 5
        assert "lost" not in caplog.text
    else:
        assert stats.dropped == {"closed": 5}
        assert "5 logs waited in memory" in caplog.text


def test_aclose_lets_the_loop_go_on(spool):
    async def main(origin):
        api = client(origin, spool=spool, exit_timeout=0.3)
        await api.acreate({})
        beats = 0

        async def beat():
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0.01)

        beating = asyncio.create_task(beat())
        await api.aflush(0.1)
        await api.aclose()
        beating.cancel()
        return beats

    with Wire(hold) as wire:
        assert asyncio.run(main(wire.origin)) > 5


def test_a_cancelled_flush_waits_no_more(wire):
    async def main():
        with Wire(hold) as deaf:
            api = client(deaf.origin, exit_timeout=0)
            await api.acreate({})
            flushing = asyncio.create_task(api.aflush(30))
            await asyncio.sleep(0.05)
            flushing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await flushing
            assert api._queue._post.outbox.flushers == 0
            await api.aclose()

    asyncio.run(main())


def test_what_another_process_left_is_delivered_and_counted(wire, tmp_path):
    path = left_behind(
        tmp_path,
        [b'{"n":1}', b'{"n":2}', b'{"n":3}'],
        base_url=f"{wire.origin}/api",
        dead=1,
    )
    with client(wire.origin, spool=tmp_path) as api:
        api.create({"n": 4})
        result = api.flush()
        assert (result.accepted, result.delivered, result.dead) == (4, 3, 1)
    assert sorted(bodies(wire)) == [b'{"n":2}', b'{"n":3}', b'{"n":4}']
    assert not path.exists()
    assert path.with_suffix(".dead").exists()
    assert api.stats().accepted == 4


def test_a_flush_alone_finds_what_was_left(wire, tmp_path):
    left_behind(tmp_path, [b"{}"], base_url=f"{wire.origin}/api")
    with client(wire.origin, spool=tmp_path) as api:
        assert api.flush().delivered == 1


def test_the_living_look_again(wire, tmp_path, monkeypatch):
    monkeypatch.setattr("keywordsai.delivery.spools._LOOK_EVERY", 0.1)
    with client(wire.origin, spool=tmp_path) as api:
        assert api.flush().accepted == 0
        left_behind(tmp_path, [b"{}"], base_url=f"{wire.origin}/api")
        until(lambda: api.stats().delivered == 1)


def test_logs_of_another_key_are_named_not_sent(wire, tmp_path, caplog):
    left_behind(
        tmp_path, [b"{}", b"{}"], base_url=f"{wire.origin}/api", api_key="the-old-key"
    )
    with (
        caplog.at_level(logging.WARNING, "keywordsai"),
        client(wire.origin, spool=tmp_path) as api,
    ):
        api.create({})
        assert api.flush().accepted == 1
    assert caplog.text.count("2 logs in") == 1
    assert "resend --all-accounts" in caplog.text
    assert "the-old-key" not in caplog.text
    assert len(wire.requests) == 1


def test_too_old_when_adopted(wire, tmp_path):
    dropped = []
    other = SpoolFolder(str(tmp_path), base_url=f"{wire.origin}/api", api_key=KEY)
    spool = other.create()
    spool.put(b'{"n":1}', time.time() - 100)
    spool.put(b'{"n":2}', time.time() - 10)
    spool.close()
    other.abandon()
    with client(
        wire.origin,
        spool=tmp_path,
        max_age=50,
        on_drop=lambda *told: dropped.append(told),
    ) as api:
        result = api.flush()
    assert (result.delivered, result.dropped) == (1, {"expired": 1})
    assert dropped == [({"n": 1}, "expired")]


def test_the_oldest_batch_goes_unchanged(tmp_path):
    """A batch whose answer was lost with its process is resent as it was."""
    with Wire(silent_close, replies(answer(b"{}", status="503 No"), OK)) as wire:
        url = f"{wire.origin}/api"
        other = SpoolFolder(str(tmp_path), base_url=url, api_key=KEY)
        spool = other.create()
        for number in range(3):
            spool.put(b'{"n":%d}' % number, time.time())
        key = spool.fix_batch([entry.id for entry in spool.take(0, 2)])
        spool.close()
        other.abandon()
        with client(wire.origin, spool=tmp_path) as api:
            while api.flush(30).pending:
                time.sleep(0.01)
    batches = {
        (request.partition(b"\r\n\r\n")[2])
        for request in wire.requests
        if b"/bulk/" in request
    }
    assert batches == {b'{"logs":[{"n":0},{"n":1}]}'}
    assert all(
        key.encode() in request for request in wire.requests if b"/bulk/" in request
    )


def test_an_unwritable_folder_is_memory_and_one_warning(wire, tmp_path, caplog):
    file = tmp_path / "file"
    file.write_text("")
    with (
        caplog.at_level(logging.WARNING, "keywordsai"),
        client(wire.origin, spool=file / "spool") as api,
    ):
        for _ in range(10):
            assert api.create({}) == {"message": "log queued"}
        assert api.flush().delivered == 10
    assert caplog.text.count("cannot be written") == 1


def test_a_disk_that_fills_up(wire, tmp_path, caplog, monkeypatch):
    """From the tenth log on; those before are in the file, and are delivered too."""
    with Wire(hold, replies(OK)) as slow:
        api = client(slow.origin, spool=tmp_path, timeout=Timeout(read=0.3, total=0.3))
        for number in range(10):
            api.create({"n": number})
        own = api._queue._post.outbox.spools.own

        def full(*_):
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(own.spool, "put", full)
        monkeypatch.setattr(own.spool, "settle", full)
        monkeypatch.setattr(own.spool, "remove", full)
        with caplog.at_level(logging.WARNING, "keywordsai"):
            for number in range(10, 20):
                assert api.create({"n": number}) == {"message": "log queued"}
            until(lambda: api.flush(5).complete)
        assert api.stats().delivered == 20
        api.close()
        assert caplog.text.count("cannot be written") == 1
        assert len(set(bodies(slow))) == 20


def test_a_file_that_breaks_in_our_hands(tmp_path, caplog):
    """What was only in it is counted as lost; what was read of it is delivered."""
    with Wire(hold, replies(OK)) as wire:
        api = client(wire.origin, spool=tmp_path, timeout=Timeout(read=1, total=1))
        for number in range(500):
            api.create({"n": number})
        wire.wait_for(lambda: wire.requests)  # two hundred were read by then
        own = api._queue._post.outbox.spools.own
        own.spool.checkpoint()
        own.spool.close()
        path = Path(own.spool.path)
        path.write_bytes(b"\xff" * path.stat().st_size)
        for leftover in tmp_path.glob("*-wal"):
            leftover.unlink()
        with caplog.at_level(logging.WARNING, "keywordsai"):
            api.create({"n": 500})
            until(lambda: api.flush(5).complete)
            api.create({"n": 501})
            until(lambda: api.flush(5).complete)
        stats = api.stats()
        api.close()
    assert stats.accepted == 502
    assert stats.dropped["corrupt"] + stats.delivered == 502
    assert stats.delivered >= 202
    assert "set aside" in caplog.text
    assert list(tmp_path.glob("*.corrupt"))


def test_the_resolver_works_when_there_are_no_threads_to_be_had(wire, monkeypatch):
    """As at the interpreter's end."""
    origin = wire.origin.replace("127.0.0.1", "localhost")

    async def refused(*_args, **_options):
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    async def main():
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", refused)
        async with LogAPI(KEY, origin, retry=1) as api:
            return await api.acreate({})

    assert asyncio.run(main()) == {"message": "log successful"}


def test_logs_after_the_exit_are_sent_where_they_are_given(wire, monkeypatch):
    """By functions that were registered with atexit before us."""
    lifecycle._at_exit()
    try:
        api = client(wire.origin)
        _start_no_more(monkeypatch)
        assert api.create({}) == {"message": "log queued"}
        assert len(wire.requests) == 1
        assert api.stats().delivered == 1
        api.close()
    finally:
        lifecycle._registry.exiting = None


def test_on_the_exiting_thread_it_does_not_wait_for_a_dead_server(monkeypatch, caplog):
    with monkeypatch.context() as ending:
        _start_no_more(ending)
        api = client(f"http://127.0.0.1:{unused_port()}", exit_timeout=0.5)
        api.create({})
        began = time.monotonic()
        with caplog.at_level(logging.WARNING, "keywordsai"):
            api.close()
    assert time.monotonic() - began < 1.5
    assert api.stats().dropped == {"closed": 1}


def _start_no_more(monkeypatch):
    """As the interpreter does at its end, but for the threads of the test."""
    start = threading.Thread.start

    def starts(thread):
        if thread.name.startswith("keywordsai"):
            raise RuntimeError("can't start new thread at interpreter shutdown")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", starts)


def test_a_fork_that_no_hook_saw(wire, monkeypatch):
    """The numbers of the process tell: what is here is the parent's."""
    api = client(wire.origin)
    api.create({})
    api.flush()
    parents = lifecycle._registry.posts
    monkeypatch.setattr(os, "getpid", lambda: -5)
    assert api.stats().accepted == 0
    api.create({})
    assert api.flush().accepted == 1
    assert lifecycle._registry.posts is not parents
    api.close()
    monkeypatch.undo()
    for post in parents.values():
        post.worker.stop()
        until(lambda post=post: not post.worker.is_alive())
