"""Faults on demand: how they are written, what they decide, and over real sockets."""

from __future__ import annotations

import http.client
import json
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from server_tools import DEADLINE, KEY, call, create, listed, serving, stopped, until

from keywordsai import LogAPI, RateLimitError, ReadTimeout
from keywordsai.errors import ConfigurationError
from keywordsai.server.app import serve_in_thread
from keywordsai.server.faults import Fault, Faults, parse_fault


@pytest.fixture
def url():
    with serve_in_thread() as url:
        yield url


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("503", dict(kind="status", status=503)),
        ("503 for 20s", dict(kind="status", status=503, lasts=20.0)),
        (
            "429 retry-after 2 for 10s",
            dict(kind="status", status=429, retry_after=2.0, lasts=10.0),
        ),
        ("429 retry-after 200ms", dict(kind="status", status=429, retry_after=0.2)),
        ("418 0.5 every 3", dict(kind="status", status=418, chance=0.5, every=3)),
        ("hang", dict(kind="hang")),
        ("hang for 5s", dict(kind="hang", lasts=5.0)),
        ("close first 2", dict(kind="close", first=2)),
        ("drop-response 0.1", dict(kind="drop-response", chance=0.1)),
        ("drop-response", dict(kind="drop-response")),
        ("latency 200ms", dict(kind="latency", latency=0.2)),
        (
            "latency 1.5s for 1m first 3 every 2",
            dict(kind="latency", latency=1.5, lasts=60.0, first=3, every=2),
        ),
    ],
)
def test_how_a_fault_is_written(text, fault):
    assert parse_fault(f"  {text.replace(' ', '  ')} ") == Fault(text=text, **fault)


@pytest.mark.parametrize(
    "text",
    [
        *("", "200", "399", "600", "503 for", "503 for 20", "503 for 0s", "503 20s"),
        *("hang 2", "hang -1", "hang 1.5", "latency", "latency 5", "latency 2d"),
        *("drop-response 10%", "429 retry-after", "429 retry-after soon", "first 3"),
        *(
            "503 first 0",
            "503 first x",
            "503 every 0",
            "503 for 1s for 2s",
            "503 first \u0663",
        ),
        *(503, None, ["503"], "503 " * 100),
    ],
)
def test_what_is_no_fault_is_told_the_grammar(text):
    with pytest.raises(ConfigurationError) as caught:
        parse_fault(text)
    for word in (
        "503",
        "retry-after",
        "hang",
        "close",
        "drop-response",
        "latency",
        "for 20s",
        "first 3",
        "every 4",
    ):
        assert word in str(caught.value)


def decided(faults, times, dice=lambda: 0.0):
    for now in times:
        outcome = faults.decide(now=now, dice=dice)
        yield outcome.fault.text if outcome.fault else outcome.latency


def made(*texts, now=0.0):
    return Faults([parse_fault(text) for text in texts], now=now)


def test_what_faults_decide():
    assert list(decided(made("503 for 10s"), [0, 9.9, 10, 11])) == [
        "503 for 10s",
        "503 for 10s",
        0,
        0,
    ]
    assert list(decided(made("503 first 2", "429 first 1"), range(4))) == [
        "503 first 2"
    ] * 2 + ["429 first 1", 0]
    assert list(decided(made("close every 3"), range(7))) == [
        0,
        0,
        "close every 3",
    ] * 2 + [0]
    assert list(decided(made("latency 1s", "latency 500ms first 1"), range(2))) == [
        1.5,
        1.0,
    ]
    slow = made("latency 1s", "503").decide(now=0, dice=lambda: 0.0)
    assert (slow.latency, slow.fault.status) == (1.0, 503)
    assert made("hang for 5s", now=2.0).decide(now=3.0, dice=lambda: 0.0).until == 7.0


def test_how_probable_a_fault_is():
    dice = random.Random(1).random
    hits = [
        hit for hit in decided(made("drop-response 0.1"), range(10_000), dice) if hit
    ]
    assert 900 < len(hits) < 1100
    assert not any(decided(made("503 0"), range(100), dice))
    assert all(decided(made("503 1"), range(100), dice))


def test_others_take_their_place():
    faults = made("503")
    list(decided(faults, [1, 2]))
    assert faults.shown(3) == [("503", 2)]
    faults.replace([parse_fault("429 for 5s")], now=10)
    assert faults.shown(14) == [("429 for 5s", 0)]
    assert faults.shown(15) == []


def put(url, *texts, **options):
    return call(f"{url}/_faults", "PUT", {"faults": list(texts)}, key=None, **options)


def test_faults_are_put_shown_and_cleared(url):
    assert call(f"{url}/_faults", key=None).json == {"faults": [], "hits": []}
    answer = put(url, "503  first 1", "429 retry-after 1.5 first 1")
    assert answer.json == {
        "faults": ["503 first 1", "429 retry-after 1.5 first 1"],
        "hits": [0, 0],
    }
    path = f"{url}/api/request-logs/create/"
    first, second, third = (call(path, "POST", {"n": n}) for n in range(3))
    assert (first.status, first.json) == (
        503,
        {"detail": "A fault on demand: 503 first 1"},
    )
    assert (
        second.status,
        second.headers["Retry-After"],
        second.headers["retry-after-ms"],
    ) == (429, "2", "1500")
    assert third.status == 201
    put(url, "500")
    assert call(f"{url}/request-logs/list").status == 500
    assert call(f"{url}/_faults", key=None).json == {"faults": ["500"], "hits": [1]}
    assert call(f"{url}/healthz", key=None).status == 200
    assert call(f"{url}/_faults", "DELETE", key=None).json["faults"] == []
    assert listed(url)["count"] == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        {"faults": "503"},
        {"faults": [503]},
        {"faults": ["nonsense"]},
        {"faults": ["503"] * 101},
    ],
    ids=lambda body: repr(body)[:20],
)
def test_what_cannot_be_put_changes_nothing(url, body):
    put(url, "503")
    answer = call(f"{url}/_faults", "PUT", body, key=None)
    assert answer.status == 400
    if isinstance(body, dict):
        assert "drop-response" in answer.json["detail"]
    assert call(f"{url}/_faults", key=None).json["faults"] == ["503"]


def test_who_may_set_faults():
    with serve_in_thread(api_key="right") as url:
        assert put(url, "503").status == 401
        wrong = call(f"{url}/_faults", "PUT", {"faults": ["503"]}, key="wrong")
        assert wrong.status == 401
        for name in ("X-Forwarded-For", "Forwarded", "Via"):
            assert put(url, "503", headers={name: "127.0.0.1"}).status == 403
        assert (
            call(f"{url}/_faults", "POST", {}, key="right").headers["Allow"]
            == "GET, HEAD, PUT, DELETE"
        )
        assert (
            call(f"{url}/_faults", "PUT", {"faults": ["503"]}, key="right").status
            == 200
        )


def own_address():
    """An address of this machine that is not loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        address = probe.getsockname()[0]
    return None if address.startswith("127.") else address


def test_a_body_of_faults_is_bounded_whoever_sends_it():
    with serve_in_thread(api_key="right") as url:
        for key in ("wrong", "right"):
            body = b" " * (256 * 1024 + 1)
            answer = call(f"{url}/_faults", "PUT", body, key=key)
            assert answer.status == 413, key
            assert "faults are at most" in answer.json["detail"]


def test_nobody_sets_faults_from_elsewhere():
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address but loopback's")
    with serve_in_thread(host="0.0.0.0", api_key="right") as url:
        elsewhere = f"http://{address}:{urlsplit(url).port}"
        assert call(f"{elsewhere}/request-logs/list", key="right").status == 200
        answer = call(f"{elsewhere}/_faults", key="right")
        assert answer.status == 403
        assert "own machine" in answer.json["detail"]


def test_a_dropped_response_was_carried_out(url):
    put(url, "drop-response first 1")
    with pytest.raises(http.client.RemoteDisconnected):
        call(f"{url}/request-logs/create", "POST", {"n": 1})
    assert [row["n"] for row in listed(url)["results"]] == [1]


def test_a_closed_connection_was_not(url):
    put(url, "close first 1")
    with pytest.raises(http.client.RemoteDisconnected):
        call(f"{url}/request-logs/create", "POST", {"n": 1})
    assert listed(url)["count"] == 0


def test_latency(url):
    put(url, "latency 300ms")
    start = time.monotonic()
    create(url, {})
    assert time.monotonic() - start >= 0.3


def test_our_client_meets_them(url):
    with LogAPI("key", url, retry=1, timeout=0.4) as client:
        put(url, "hang first 1")
        with pytest.raises(ReadTimeout) as caught:
            client.create({"n": 1})
        assert caught.value.request_sent
        put(url, "429 retry-after 7")
        with pytest.raises(RateLimitError) as limited:
            client.create({"n": 1})
        assert limited.value.retry_after == 7
    with LogAPI("key", url, timeout=DEADLINE) as client:
        put(url, "503 first 1", "drop-response first 1")
        client.create({"n": 2})
    assert [row["n"] for row in listed(url)["results"]] == [2]


def hanging(url):
    """A request that was sent whole, and its socket."""
    parts = urlsplit(url)
    body = json.dumps({"n": 1})
    client = socket.create_connection((parts.hostname, parts.port), DEADLINE)
    client.sendall(
        f"POST /request-logs/create HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Authorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    return client


def hit(url):
    return call(f"{url}/_faults", key=None).json["hits"] == [1]


@pytest.mark.parametrize("ended", ["over", "cleared"])
def test_a_hanging_request_is_let_go_when_its_fault_ends(url, ended):
    put(url, "hang for 2s" if ended == "over" else "hang")
    with hanging(url) as client:
        until(lambda: hit(url))
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        if ended == "cleared":
            call(f"{url}/_faults", "DELETE", key=None)
        client.settimeout(DEADLINE)
        assert client.recv(1) == b""
    assert listed(url)["count"] == 0


@pytest.mark.parametrize("fault", ["hang", "latency 1h"])
def test_nothing_that_hangs_holds_up_the_end(sqlite_file, fault):
    with serving(sqlite_file, "--fault", fault) as (process, url), hanging(url):
        until(lambda: hit(url))
        start = time.monotonic()
        assert stopped(process) == (0, "", "")
        assert time.monotonic() - start < 2


def test_whoever_hangs_up_is_forgotten():
    before = threading.active_count()
    with serve_in_thread(faults=["hang"]) as url, ThreadPoolExecutor(8) as pool:
        for client in pool.map(lambda _: hanging(url), range(50)):
            client.close()
        until(lambda: call(f"{url}/_faults", key=None).json["hits"] == [50])
    until(lambda: threading.active_count() == before)


def test_faults_from_the_start():
    with serve_in_thread(faults=("503 first 1",)) as url:
        assert call(f"{url}/request-logs/list").status == 503
        assert call(f"{url}/request-logs/list").status == 200
    with pytest.raises(ConfigurationError, match="fault: 'nonsense'"):
        serve_in_thread(faults=("nonsense",)).__enter__()
