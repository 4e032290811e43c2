"""The facade: what each operation sends, and how its answer reads."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import warnings
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest

import keywordsai
from keywordsai import (
    ClosedError,
    ConfigurationError,
    HTTPResponse,
    InvalidLogError,
    LogAPI,
    LogParams,
    MockTransport,
    ProtocolError,
    ServerError,
    create_log_client,
)

BOTH = pytest.mark.parametrize("colour", ["sync", "async"])


class Colour(Enum):
    RED = "red"


def client(replies=None, **options):
    mock = MockTransport(replies)
    options.setdefault("base_url", "http://api.test")
    return LogAPI("key-1234", transport=mock, **options), mock


def call(colour, api, operation, *args, **options):
    if colour == "sync":
        return getattr(api, operation)(*args, **options)
    return asyncio.run(getattr(api, f"a{operation}")(*args, **options))


@BOTH
def test_create_posts_the_log(colour):
    api, mock = client(headers={"X-Tenant": "t"})
    answer = call(colour, api, "create", {"model": "gpt-4", "cost": None})
    assert answer == {"message": "log successful"}
    (request,) = mock.requests
    assert (request.method, request.url) == (
        "POST",
        "http://api.test/api/request-logs/create/",
    )
    assert request.body == b'{"model":"gpt-4"}'
    key = request.headers["Idempotency-Key"]
    assert request.headers == {
        "User-Agent": f"keywordsai-python/{keywordsai.__version__}",
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "X-Tenant": "t",
        "Authorization": "Bearer key-1234",
        "Content-Type": "application/json",
        "Idempotency-Key": key,
    }
    call(colour, api, "create", LogParams(model="gpt-4"), "mine")
    call(colour, api, "create", {})
    keys = [one.headers["Idempotency-Key"] for one in mock.requests]
    assert keys[1] == "mine"
    assert len({key, *keys}) == 3


def test_headers_of_the_caller_replace_ours_in_any_case():
    api, mock = client(headers={"user-agent": "mine", "Accept": "text/plain"})
    api.create({})
    sent = {name.lower(): text for name, text in mock.requests[0].headers.items()}
    assert len(sent) == len(mock.requests[0].headers)
    assert (sent["user-agent"], sent["accept"]) == ("mine", "text/plain")


@BOTH
def test_every_attempt_carries_the_same_bytes_and_key(colour):
    api, mock = client([503, 503, {"message": "log successful"}])
    call(colour, api, "create", {"model": "gpt-4"})
    assert len(mock.requests) == 3
    assert (
        len({(one.body, one.headers["Idempotency-Key"]) for one in mock.requests}) == 1
    )
    assert len(mock.sleeps) == 2


@BOTH
@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (HTTPResponse(status=201, body=b'{"id": "a", "n": 123456789012345678901}'), {"id": "a", "n": 123456789012345678901, "message": "log successful"}),
        (HTTPResponse(status=200, body=b'{"message": null}'), {"message": None}),
        (HTTPResponse(status=204), {"message": "log successful"}),
        (HTTPResponse(status=200, body=b"<html>"), {"message": "log successful"}),
        (HTTPResponse(status=200, body=b"[1]"), {"message": "log successful"}),
        (200, {"message": "log successful"}),
    ],
)  # fmt: skip
def test_any_2xx_is_a_success(colour, response, answer):
    api, _mock = client([response])
    assert call(colour, api, "create", {}) == answer


@BOTH
def test_bad_input_is_refused_before_anything_is_sent(colour):
    api, mock = client(strict=True)
    with pytest.raises(InvalidLogError, match="promt: unknown; did you mean prompt"):
        call(colour, api, "create", {"promt": 1})
    for key in ("", " ", "a\n", "ä", "x" * 256, 5):
        with pytest.raises(ConfigurationError, match="idempotency_key"):
            call(colour, api, "create", {}, key)
    assert mock.requests == []


@BOTH
def test_list_sends_everything_but_filters_in_the_query(colour):
    page = {
        "count": 5,
        "next": "http://n",
        "previous": None,
        "results": [{"id": "a"}, 7],
    }
    api, mock = client([page])
    moment = datetime(2026, 1, 2, tzinfo=timezone.utc)
    result = call(
        colour, api, "list", 2, 10,
        sort_by="-cost", start_time=moment, end_time="2026-01-03", is_test=False,
        include_fields=["id", "cost"], model="a&b", paint=Colour.RED, nothing=None,
        n=1.5,
    )  # fmt: skip
    (request,) = mock.requests
    url = urlsplit(request.url)
    assert (request.method, url.path, request.body) == (
        "GET",
        "/api/request-logs/list/",
        None,
    )
    assert dict(parse_qsl(url.query)) == {
        "page": "2",
        "page_size": "10",
        "sort_by": "-cost",
        "start_time": "2026-01-02T00:00:00+00:00",
        "end_time": "2026-01-03",
        "is_test": "false",
        "include_fields": "id,cost",
        "model": "a&b",
        "paint": "red",
        "n": "1.5",
    }
    assert [log.id for log in result] == [log.id for log in result.results] == ["a"]
    assert (result.count, result.next, result.previous, len(result)) == (
        5,
        "http://n",
        None,
        1,
    )
    assert repr(result) == "LogPage(1 logs, count=5)"


@BOTH
def test_filters_go_by_post(colour):
    api, mock = client([[{"id": "a"}, {"id": "b"}]])
    filters = {"timestamp": {"operator": "gt", "value": [datetime(2026, 1, 1, tzinfo=timezone.utc)]}}  # fmt: skip
    result = call(colour, api, "list", page=1, filters=filters)
    (request,) = mock.requests
    assert (request.method, request.url) == (
        "POST",
        "http://api.test/api/request-logs/list/?page=1",
    )
    assert json.loads(request.body or b"") == {
        "filters": {
            "timestamp": {"operator": "gt", "value": ["2026-01-01T00:00:00+00:00"]}
        }
    }
    assert "Idempotency-Key" not in request.headers
    assert (result.count, len(result)) == (2, 2)  # a bare list has been seen too


@BOTH
def test_bad_queries_are_refused(colour):
    api, mock = client()
    cases = [
        (dict(page=0), "page must be"),
        (dict(page_size="10"), "page_size must be"),
        (dict(page=True), "page must be"),
        (dict(filters=[1]), "filters must be a mapping"),
        (dict(cost={"operator": "gt"}), "cost must be text"),
        (dict(cost=object()), "cost must be text"),
        (dict(cost=float("nan")), "cost must be text"),
        (dict(model="\ud800"), "model must be text"),
        (dict(filters={"a": object()}), "filters.a: cannot become JSON: object"),
    ]
    for options, text in cases:
        with pytest.raises(ConfigurationError, match=text):
            call(colour, api, "list", **options)
    for wrong in ("", ".", "..", "/", None, 5, "\ud800"):
        with pytest.raises(ConfigurationError, match="log_id "):
            call(colour, api, "get", wrong)
    assert mock.requests == []


@BOTH
def test_get_reads_one_log(colour):
    api, mock = client([{"id": "a", "score": 1}])
    log = call(colour, api, "get", "a/ü?")
    assert mock.requests[0].url == "http://api.test/api/request-logs/a%2F%C3%BC%3F/"
    assert (log.id, log["score"]) == ("a", 1)


@BOTH
def test_get_gives_back_what_was_sent(colour):
    row = {"id": "s1", "unique_id": "s2", "output": "{}", "as_sent": {"output": {}, "id": "mine"}}  # fmt: skip
    api, _mock = client([row])
    log = call(colour, api, "get", "s1")
    assert (log.output, log.id, log.unique_id) == ({}, "s1", "s2")
    assert log.sent == log["sent"] == {"output": {}, "id": "mine"}


@BOTH
def test_get_gives_back_what_was_changed_since(colour):
    sent = {"note": "old", "custom_identifier": "a", "metadata": {"a": 1}, "n": [1]}
    row = {"note": "new", "metadata": {"b": 2}, "n": "[1]", "as_sent": sent}
    changes = {"note": "new", "custom_identifier": None, "metadata": {"a": None, "b": 2}}  # fmt: skip
    api, _mock = client([{**row, "as_changed": changes}])
    log = call(colour, api, "get", "s1")
    assert (log["note"], log.metadata, log["n"]) == ("new", {"b": 2}, [1])
    assert log.custom_identifier is None
    assert log.sent == sent
    assert "as_changed" not in log


@BOTH
@pytest.mark.parametrize("body", [b"<html>", b"5", b'{"results": 5}', b"{}"])
def test_an_answer_that_is_none_is_a_protocol_error(colour, body):
    api, _mock = client([HTTPResponse(status=200, body=body)])
    with pytest.raises(ProtocolError, match="the answer is not"):
        call(colour, api, "list")
    if body != b"{}" and not body.startswith(b'{"'):
        with pytest.raises(ProtocolError, match="is base_url that of the API"):
            call(colour, api, "get", "a")


@BOTH
def test_the_key_is_in_no_error(colour):
    api, _mock = client(
        [HTTPResponse(status=400, body=b'{"detail": "bad key key-1234"}')]
    )
    with pytest.raises(keywordsai.BadRequestError) as caught:
        call(colour, api, "create", {})
    assert str(caught.value) == "400: bad key ***"


@BOTH
def test_the_off_switch(colour, monkeypatch):
    monkeypatch.setenv("KEYWORDSAI_ENABLED", "0")
    mock = MockTransport()
    api = LogAPI(transport=mock)
    assert call(colour, api, "create", {"model": "a"}) == {
        "message": "logging disabled"
    }
    with pytest.raises(InvalidLogError):
        call(colour, api, "create", {"model": 5})
    for operation, args in (("list", ()), ("get", ("a",))):
        with pytest.raises(ConfigurationError, match="disabled"):
            call(colour, api, operation, *args)
    assert mock.requests == []


@BOTH
def test_a_closed_client_says_so(colour):
    api, mock = client()
    for _ in range(2):
        if colour == "sync":
            api.close()
        else:
            asyncio.run(api.aclose())
    for operation, args in (("create", ({},)), ("list", ()), ("get", ("a",))):
        with pytest.raises(ClosedError):
            call(colour, api, operation, *args)
    assert repr(api) == "<LogAPI http://api.test/api closed>"
    assert not mock.closed  # what was handed in is the caller's to close


def test_context_managers_close():
    api, _mock = client()
    with api as inside:
        assert inside is api
    with pytest.raises(ClosedError):
        api.create({})

    async def main():
        api, _mock = client()
        async with api as inside:
            assert inside is api
        with pytest.raises(ClosedError):
            await api.acreate({})

    asyncio.run(main())


@BOTH
def test_logs_are_immutable(colour):
    api, _mock = client()
    for operation in ("update", "delete"):
        with pytest.raises(NotImplementedError, match="immutable"):
            call(colour, api, operation, "id", {})


def test_create_log_client_takes_what_the_client_takes(monkeypatch):
    assert repr(create_log_client("k", "http://x")) == "<LogAPI http://x/api open>"
    monkeypatch.setenv("KEYWORDS_AI_API_KEY", "k")
    assert repr(create_log_client(base_url="http://x")) == "<LogAPI http://x/api open>"


def test_transports_of_another_kind_are_refused():
    for name in ("transport", "async_transport"):
        with pytest.raises(ConfigurationError, match=f"^{name} must be a transport"):
            LogAPI("k", **{name: object()})


def test_the_colours_can_have_a_transport_each():
    one, two = MockTransport(), MockTransport()
    api = LogAPI("k", transport=one, async_transport=two)
    api.create({})
    asyncio.run(api.acreate({}))
    assert (len(one.requests), len(two.requests)) == (1, 1)


def test_threads_that_start_at_once_share_one_transport(monkeypatch):
    made = []

    def pick(given, network):
        made.append(MockTransport())
        return made[-1]

    monkeypatch.setattr("keywordsai.logs.api.pick_sync", pick)
    api = LogAPI("k")
    together = threading.Barrier(8)

    def work():
        together.wait()
        api.create({})

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(made[0].requests) == 8
    api.close()
    assert made[0].closed


def test_numbers_of_every_make_are_numbers_in_a_query():
    api, mock = client()
    api.list(np.int64(2), flag=np.bool_(True), cost=Decimal("1.10"), n=10**5000)
    query = dict(parse_qsl(urlsplit(mock.requests[0].url).query))
    assert query == {"page": "2", "flag": "true", "cost": "1.10", "n": str_of(10**5000)}


def str_of(number):
    return str(Decimal(number))


@pytest.mark.parametrize("reply", ["text", None, True, object()])
def test_a_mock_says_what_it_can_reply_with(reply):
    with pytest.raises(TypeError, match="a MockTransport replies with"):
        LogAPI("k", transport=MockTransport([reply])).create({})


def test_the_mock_transport_answers_by_script():
    mock = MockTransport(
        [500, HTTPResponse(status=200, body=b'{"a": 1}'), ValueError("x")]
    )
    api = LogAPI("k", transport=mock, retry=1)
    with pytest.raises(ServerError):
        api.create({"model": "a"})
    assert api.create({}) == {"a": 1, "message": "log successful"}
    with pytest.raises(ValueError, match="x"):
        api.create({})
    assert mock.logs == [{"model": "a"}, {}, {}]
    empty = LogAPI("k", transport=MockTransport())
    assert list(empty.list(page=1)) == []
    with pytest.raises(keywordsai.NotFoundError):
        empty.get("a")
    echo = MockTransport(lambda request: {"message": request.method})
    assert LogAPI("k", transport=echo).create({}) == {"message": "POST"}
    mock.close()
    with pytest.raises(ClosedError):
        api.create({})


def test_a_fork_while_another_thread_is_in_a_call_does_not_hang_the_child():
    """A lock that is held at the fork is never released in the child."""
    api, mock = client()
    with api._lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks with threads
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(10)
                api.create({"model": "a"})
                os._exit(0 if len(mock.requests) == 1 else 1)
            finally:
                os._exit(2)
    _pid, status = os.waitpid(child, 0)
    assert status == 0
