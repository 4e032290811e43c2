"""Delivery in the background, over a transport that was handed in, in this process.

What needs a socket, a crash or a fork of its own is in tests/process.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import sqlite3
import subprocess
import sys
import threading
import time
import weakref

import pytest

from keywordsai import (
    APIControls,
    ClosedError,
    ConnectError,
    DeliveryStats,
    HTTPResponse,
    InvalidLogError,
    LogAPI,
    LogParams,
    MockTransport,
    Timeout,
)
from keywordsai.delivery import lifecycle, scheduler
from keywordsai.delivery.folder import SpoolFolder

QUEUED = {"message": "log queued"}
DONE = {"message": "log successful"}


def client(replies=None, **options):
    mock = MockTransport(replies)
    options.setdefault("block", False)
    return LogAPI("key-1234", "http://api.test", transport=mock, **options), mock


def numbered(count):
    return [{"metadata": {"n": number}} for number in range(count)]


def sent(mock):
    return sorted(log["metadata"]["n"] for log in mock.logs)


def adds_up(stats):
    return stats.accepted == stats.delivered + stats.pending + stats.dead + sum(
        stats.dropped.values()
    )


class Gate:
    """Replies that come once it is opened."""

    def __init__(self, reply=DONE):
        self.opened = threading.Event()
        self.came = threading.Event()
        self.reply = reply

    def __call__(self, _request):
        self.came.set()
        assert self.opened.wait(10)
        return self.reply


def test_create_returns_at_once_and_it_is_delivered():
    api, mock = client()
    with api:
        assert [api.create(log) for log in numbered(50)] == [QUEUED] * 50
        result = api.flush()
    assert (result.delivered, result.complete, result.accepted) == (50, True, 50)
    assert sent(mock) == list(range(50))
    keys = [request.headers["Idempotency-Key"] for request in mock.requests]
    assert len(set(keys)) == 50


def test_the_same_in_asynchronous_code():
    api, mock = client()

    async def main():
        async with api:
            for log in numbered(20):
                assert await api.acreate(log) == QUEUED
            assert (await api.aflush(5)).delivered == 20

    asyncio.run(main())
    assert sent(mock) == list(range(20))


@pytest.mark.parametrize("block", [True, False])
@pytest.mark.parametrize("shape", [dict, LogParams])
def test_a_log_says_itself_whether_to_wait(block, shape):
    api, mock = client(block=not block)
    log = shape(model="a", keywordsai_api_controls={"block": block})
    with api:
        assert api.create(log) == (DONE if block else QUEUED)
        assert asyncio.run(api.acreate(log)) == (DONE if block else QUEUED)
        api.flush()
    # It goes to the service as it was given.
    assert (
        mock.logs == [{"model": "a", "keywordsai_api_controls": {"block": block}}] * 2
    )


def test_the_word_of_an_attrs_object_counts_too():
    api, _mock = client(block=True)
    with api:
        assert (
            api.create({"keywordsai_api_controls": APIControls(block=False)}) == QUEUED
        )
        assert api.create({"keywordsai_api_controls": APIControls()}) == DONE
        assert api.create({"keywordsai_api_controls": {}}) == DONE
        assert api.create({"keywordsai_api_controls": None}) == DONE


@pytest.mark.parametrize(
    "log",
    [
        {"prompt_tokens": "15"},
        {"keywordsai_api_controls": "no"},
        {"keywordsai_api_controls": {"block": "no"}},
        5,
    ],
)
def test_a_wrong_log_is_still_told_to_the_caller(log):
    api, mock = client()
    with api, pytest.raises(InvalidLogError):
        api.create(log)
    assert mock.requests == []


def test_the_callers_key_is_sent():
    api, mock = client()
    with api:
        api.create({}, idempotency_key="mine")
    assert mock.requests[0].headers["Idempotency-Key"] == "mine"


def test_disabled_nothing_is_queued():
    api, mock = client(enabled=False)
    assert api.create({}) == {"message": "logging disabled"}
    assert api.stats() == DeliveryStats()
    assert api.flush(0).complete
    api.close()
    assert mock.requests == []


def test_a_failing_service_is_never_told_to_the_caller():
    api, mock = client([503, ConnectError("refused"), 503, DONE])
    with api:
        assert api.create({}) == QUEUED
        assert api.flush(10).delivered == 1
    assert len({request.headers["Idempotency-Key"] for request in mock.requests}) == 1


def test_refused_logs_are_dead_with_one_warning(caplog):
    api, _mock = client([422, DONE])
    with caplog.at_level(logging.WARNING, "keywordsai"), api:
        for log in numbered(3):
            api.create(log)
        result = api.flush()
    assert (result.dead, result.delivered) == (1, 2)
    assert adds_up(api.stats())
    assert caplog.text.count("refused logs (status 422)") == 1


def test_the_dead_are_bounded_too():
    dropped = []
    api, _mock = client(
        [422], max_pending=2, on_drop=lambda log, why: dropped.append((log, why))
    )
    with api:
        for number in range(4):
            api.create({"model": str(number)})
            api.flush()
    stats = api.stats()
    assert (stats.dead, stats.dropped) == (2, {"refused": 2})
    assert dropped == [({"model": "2"}, "refused"), ({"model": "3"}, "refused")]


def test_a_server_that_keeps_failing_is_told_once(caplog, monkeypatch):
    monkeypatch.setattr(scheduler, "_FAILURES_TO_TELL", 2)
    sick = HTTPResponse(status=503, body=b'{"detail": "down for repair"}')
    api, mock = client([sick, sick, sick, DONE])
    with caplog.at_level(logging.WARNING, "keywordsai"), api:
        api.create({"model": "m"})
        assert api.flush(20).complete
    assert len(mock.requests) == 4
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("delivery fails and is tried again, the logs are kept")
    assert "503" in told
    assert "key-1234" not in told


def test_a_full_queue_refuses_the_newest(caplog):
    gate, dropped = Gate(), []
    api, mock = client(
        gate, max_pending=3, on_drop=lambda log, why: dropped.append((log, why))
    )
    with caplog.at_level(logging.WARNING, "keywordsai"), api:
        answers = [api.create(log)["message"] for log in numbered(5)]
        assert answers[:3] == ["log queued"] * 3
        assert all(
            answer.startswith("log dropped: the queue is full")
            for answer in answers[3:]
        )
        assert (api.stats().pending, api.stats().dropped) == (3, {"full": 2})
        gate.opened.set()
        assert api.flush().delivered == 3
        assert api.create({"metadata": {"n": 9}}) == QUEUED
    assert sent(mock) == [0, 1, 2, 9]
    assert [log["metadata"]["n"] for log, _ in dropped] == [3, 4]
    assert {why for _, why in dropped} == {"full"}
    assert caplog.text.count("queue is full") == 1
    assert adds_up(api.stats())


def test_full_by_bytes():
    gate = Gate()
    api, _mock = client(gate, max_pending_bytes=100)
    assert api.create({"output": "x" * 50}) == QUEUED
    assert "dropped" in api.create({"output": "x" * 50})["message"]
    gate.opened.set()
    api.close()


def test_what_is_too_old_is_dropped_and_told():
    dropped = []
    api, mock = client(
        [503, 503, 503, DONE],
        max_age=0.2,
        on_drop=lambda log, why: dropped.append((log, why)),
    )
    with api:
        api.create({"model": "a"})
        api.flush(10)
    assert dropped == [({"model": "a"}, "expired")]
    assert api.stats().dropped == {"expired": 1}
    assert len(mock.requests) < 4


def test_what_on_drop_raises_is_logged_without_the_log(caplog):
    def fails(log, _why):
        raise ValueError(log)

    gate = Gate()
    api, _mock = client(gate, max_pending=1, on_drop=fails)
    with caplog.at_level(logging.WARNING, "keywordsai"):
        api.create({"output": "a secret"})
        api.create({"output": "a secret"})
    gate.opened.set()
    api.close()
    assert "on_drop raised ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_on_drop_may_log_and_flush():
    api, mock = client([422, DONE], max_pending=1)
    again = []

    def on_drop(log, _why):
        again.append((api.create({"model": "again"}), api.flush(5)))

    api.close()
    api, mock = client([503, DONE], max_age=0.05, on_drop=on_drop)
    with api:
        api.create({"model": "a"})
        api.flush(10)
        api.flush(10)
    assert again[0][0] == QUEUED
    assert mock.logs[-1] == {"model": "again"}


def test_a_handler_that_logs_what_we_log_is_no_loop():
    gate = Gate()
    api, _mock = client(gate, max_pending=1)

    class Handler(logging.Handler):
        def emit(self, record):
            api.create({"output": record.getMessage()})

    handler = Handler()
    logging.getLogger("keywordsai").addHandler(handler)
    try:
        for log in numbered(5):
            api.create(log)
    finally:
        logging.getLogger("keywordsai").removeHandler(handler)
        gate.opened.set()
        api.close()
    assert adds_up(api.stats())


def test_flush_covers_what_came_before_it_only():
    api, mock = client()
    stopping = threading.Event()

    def stream():
        while not stopping.is_set():
            api.create({"model": "stream"})

    with api:
        thread = threading.Thread(target=stream)
        thread.start()
        api.create({"model": "mine"})
        began = time.monotonic()
        api.flush(20)
        took = time.monotonic() - began
        stopping.set()
        thread.join()
    assert {"model": "mine"} in mock.logs
    assert took < 20


def test_flush_says_what_is_left():
    gate = Gate()
    api, _mock = client(gate)
    api.create({})
    result = api.flush(0.05)
    assert (result.pending, result.complete) == (1, False)
    gate.opened.set()
    assert api.flush().complete
    api.close()


def test_flush_does_not_wait_where_nothing_can_happen():
    api, _mock = client([401], exit_timeout=0)
    api.create({})
    began = time.monotonic()
    while api.flush(30).pending and time.monotonic() - began < 5:
        break
    assert time.monotonic() - began < 5
    api.close()


def test_flush_has_the_clients_timeout_by_default():
    gate = Gate()
    api, _mock = client(gate, timeout=Timeout(total=0.1))
    api.create({})
    began = time.monotonic()
    assert api.flush().pending == 1
    assert time.monotonic() - began < 5
    gate.opened.set()
    api.close()


def test_closed_it_is_closed_but_the_numbers_stay():
    api, _mock = client()
    api.create({})
    api.close()
    api.close()
    for later in (lambda: api.create({}), api.flush, lambda: asyncio.run(api.aflush())):
        with pytest.raises(ClosedError):
            later()
    assert api.stats().delivered == 1


def test_closing_within_its_time_counts_what_is_lost(caplog):
    dropped = []
    gate = Gate()
    api, _mock = client(
        gate, exit_timeout=0.1, on_drop=lambda log, why: dropped.append((log, why))
    )
    for log in numbered(3):
        api.create(log)
    assert gate.came.wait(5)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, "keywordsai"):
        api.close()
    assert time.monotonic() - began < 0.6
    assert api.stats().dropped == {"closed": 3}
    assert sorted(log["metadata"]["n"] for log, _ in dropped) == [0, 1, 2]
    assert "3 logs waited in memory" in caplog.text
    gate.opened.set()
    assert adds_up(api.stats())


def test_clients_of_one_account_share_a_worker_and_count_apart():
    mock = MockTransport()
    before = threading.active_count()
    clients = [
        LogAPI("key-1234", "http://api.test", transport=mock, block=False)
        for _ in range(5)
    ]
    for number, api in enumerate(clients):
        for _ in range(number):
            api.create({})
    workers = [t for t in threading.enumerate() if t.name == "keywordsai-delivery"]
    assert len(workers) == 1
    clients[0].flush()
    assert [api.stats().accepted for api in clients] == [0, 1, 2, 3, 4]
    for api in clients:
        api.close()
    assert threading.active_count() <= before + 1


def test_a_client_that_is_forgotten_loses_nothing():
    mock = MockTransport()
    ended = []
    for number in range(10):
        api = LogAPI("key-1234", "http://api.test", transport=mock, block=False)
        api.create({"metadata": {"n": number}})
        weakref.finalize(api, ended.append, number)
        del api
    gc.collect()
    assert len(ended) == 10
    deadline = time.monotonic() + 10
    while len(mock.requests) < 10 or lifecycle._registry.posts:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert sent(mock) == list(range(10))


def test_options_that_differ_are_told(caplog):
    mock = MockTransport()
    one = LogAPI("key-1234", transport=mock, block=False, concurrency=2)
    two = LogAPI("key-1234", transport=mock, block=False, concurrency=3)
    with caplog.at_level(logging.WARNING, "keywordsai"):
        one.create({})
        two.create({})
    assert "concurrency is 2, as the first of them said, not 3" in caplog.text
    one.close()
    two.close()


def test_in_bulk_many_logs_go_together():
    api, mock = client(bulk=True)
    with api:
        for log in numbered(1200):
            api.create(log)
        assert api.flush().delivered == 1200
    bulks = [json.loads(request.body)["logs"] for request in mock.requests]
    bulks.sort(key=lambda logs: logs[0]["metadata"]["n"])  # two may be in flight
    assert [len(logs) for logs in bulks] == [500, 500, 200]
    assert {request.url for request in mock.requests} == {
        "http://api.test/api/request-logs/bulk/"
    }
    assert [log["metadata"]["n"] for logs in bulks for log in logs] == list(range(1200))


def test_of_a_bulk_only_the_index_says_what_was_refused():
    answer = {
        "success_count": 0,
        "error_count": 3,
        "errors": [{"index": 1, "error": "no"}, {"index": 99}],
    }
    api, _mock = client(
        [HTTPResponse(status=201, body=json.dumps(answer).encode())], bulk=True
    )
    with api:
        for log in numbered(3):
            api.create(log)
        result = api.flush()
    assert (result.delivered, result.dead) == (2, 1)


def test_a_service_without_bulk_is_sent_single_logs_from_then_on():
    def replies(request):
        return 404 if "bulk" in request.url else DONE

    api, mock = client(replies, bulk=True)
    with api:
        for log in numbered(3):
            api.create(log)
        api.flush()
        api.create({"metadata": {"n": 3}})
        assert api.flush().delivered == 4
    assert sum("bulk" in request.url for request in mock.requests) == 1


def test_a_bulk_that_is_too_large_is_halved():
    def replies(request):
        return 413 if len(json.loads(request.body).get("logs", ())) > 2 else DONE

    api, mock = client(replies, bulk=True)
    with api:
        for log in numbered(8):
            api.create(log)
        assert api.flush().delivered == 8
    sizes = [len(json.loads(request.body)["logs"]) for request in mock.requests]
    assert sorted(sizes) == [2, 2, 2, 2, 4, 4, 8]


def test_an_unexpected_error_of_a_transport_loses_nothing():
    api, _mock = client([ValueError("what?"), DONE])
    with api:
        api.create({})
        assert api.flush(10).delivered == 1


def test_many_threads():
    api, mock = client()

    def work(start):
        for number in range(start, start + 200):
            api.create({"metadata": {"n": number}})

    with api:
        threads = [
            threading.Thread(target=work, args=(start,))
            for start in range(0, 1600, 200)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert api.flush().delivered == 1600
    assert sent(mock) == list(range(1600))


def test_after_a_fork_a_client_has_a_lock_of_its_own():
    api, _mock = client()
    before = api._lock
    api.after_fork_in_child()
    assert api._lock is not before
    api.close()


def test_the_dead_survive_though_another_has_the_file_open(tmp_path):
    folder = SpoolFolder(str(tmp_path), base_url="http://a.test/api", api_key="a")
    spool = folder.create()
    spool.settle([], [(spool.put(b"{}", 1.0), 422, "no")])
    code = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); print(db.execute('SELECT count(*) FROM logs').fetchone()[0], flush=True); sys.stdin.read(); db.close()"
    with subprocess.Popen(
        [sys.executable, "-c", code, spool.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "1\n"
        folder.retire(spool)
        other.stdin.close()
        assert other.wait(10) == 0
    (path,) = [one for one in tmp_path.iterdir() if one.suffix in {".db", ".dead"}]
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM logs").fetchone() == (1,)
