"""A whole call with its attempts and waits, over real connections."""

import asyncio
import email.utils
import time

import pytest
from contract.colours import get, post
from contract.wire import OK, Wire, answer, black_hole, hold, once, replies, stale

from keywordsai import (
    AuthenticationError,
    ConnectError,
    ProtocolError,
    RateLimitError,
    ReadTimeout,
    RetryPolicy,
    ServerError,
    Timeout,
)

LOG = {"model": "gpt-4"}
NEVER = RetryPolicy(base=60, cap=60)  # a wait that no budget of a test allows
ONCE = RetryPolicy(attempts=1)


def busy(*headers, status="503 Busy"):
    return answer(b'{"detail": "busy"}', status=status, headers=headers)


def test_every_attempt_sends_the_same_bytes(colour):
    with Wire(
        once(busy("Connection: close")),
        once(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
        lambda peer: peer.request() and None,
        replies(OK),
    ) as wire:
        result = colour.client(wire.origin).create(LOG)
        assert result == {"message": "log successful"}
        assert len(wire.requests) == 4
        assert len(set(wire.requests)) == 1
    assert wire.requests[0].count(b"Idempotency-Key: ") == 1


def test_each_log_has_a_key_of_its_own(colour):
    with Wire(replies(OK)) as wire:
        client = colour.client(wire.origin)
        client.create(LOG)
        client.create(LOG)
        assert len(set(wire.requests)) == 2


@pytest.mark.parametrize("call", ["create", "get"])
def test_a_stale_connection_is_tried_again_at_once(colour, call):
    with Wire(stale(), replies(OK)) as wire:
        client = colour.client(wire.origin, retry=NEVER)
        client.create(LOG)
        getattr(client, call)(LOG if call == "create" else "id")
        assert wire.connections == 2
        assert len(wire.requests) == 3
        assert wire.requests[1] == wire.requests[2]


@pytest.mark.parametrize("make", [get, post])
def test_the_transport_alone_does_not_try_a_stale_connection_again(colour, make):
    with Wire(stale(), replies(OK)) as wire:
        transport = colour.transport()
        transport.send(post(wire.origin))
        with pytest.raises(ProtocolError) as caught:
            transport.send(make(wire.origin))
        assert len(wire.requests) == 2
    assert caught.value.request_sent is None
    assert caught.value.response_started is False


def test_at_once_is_once_only(colour):
    with Wire(lambda peer: peer.request() and None) as wire:
        with pytest.raises(ProtocolError) as caught:
            colour.client(wire.origin, retry=NEVER).create(LOG)
        assert len(wire.requests) == 2
    assert caught.value.attempts == 2


def test_a_connection_closed_while_idle_is_not_used(colour):
    with Wire(once(OK), replies(OK)) as wire:
        client = colour.client(wire.origin, retry=ONCE)
        client.create(LOG)
        wire.wait_for(lambda: wire.open == 0)
        if colour.is_async:
            colour.run(asyncio.sleep(0.02))  # the loop hears of it when it runs
        client.create(LOG)
        assert wire.connections == 2


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_statuses_tried_again(colour, status):
    with Wire(replies(busy(status=f"{status} X"), OK)) as wire:
        assert colour.client(wire.origin).create(LOG) == {"message": "log successful"}
        assert len(wire.requests) == 2


@pytest.mark.parametrize("status", [307, 400, 401, 403, 404, 413, 422, 501])
def test_statuses_not_tried_again(colour, status):
    with Wire(replies(busy(status=f"{status} X"), OK)) as wire:
        with pytest.raises(Exception, match=str(status)) as caught:
            colour.client(wire.origin).create(LOG)
        assert len(wire.requests) == 1
    assert caught.value.status == status


@pytest.mark.parametrize(
    "headers", [["Retry-After: 0.15"], ["Retry-After: 60", "retry-after-ms: 150"]]
)
def test_retry_after_is_waited_for(colour, headers):
    with Wire(replies(busy(*headers), OK)) as wire:
        began = time.monotonic()
        colour.client(wire.origin).create(LOG)
        assert time.monotonic() - began > 0.14


def test_retry_after_as_a_date(colour):
    now = time.time()
    dates = [
        f"Date: {email.utils.formatdate(now - 500, usegmt=True)}",
        f"Retry-After: {email.utils.formatdate(now - 499, usegmt=True)}",
    ]
    with Wire(replies(busy(*dates), OK)) as wire:
        began = time.monotonic()
        colour.client(wire.origin, timeout=20).create(LOG)
        assert time.monotonic() - began > 0.9


def test_a_wait_past_the_deadline_is_not_begun(colour):
    limited = busy("Retry-After: 60", status="429 Slow Down")
    with Wire(replies(limited)) as wire:
        began = time.monotonic()
        with pytest.raises(RateLimitError) as caught:
            colour.client(wire.origin, timeout=20).create(LOG)
        assert time.monotonic() - began < 15
        assert len(wire.requests) == 1
    assert caught.value.retry_after == 60


def test_the_last_real_answer_is_raised_when_time_is_up(colour):
    timeout = Timeout(connect=1, read=0.3, total=0.5)
    with Wire(once(busy("Connection: close")), hold) as wire:
        with pytest.raises(ServerError, match="busy") as caught:
            colour.client(wire.origin, timeout=timeout).create(LOG)
        assert len(wire.requests) >= 2
    assert isinstance(caught.value.__cause__, ReadTimeout)


def test_total_bounds_all_attempts(colour):
    timeout = Timeout(connect=1, read=0.2, total=0.5)
    with Wire(hold) as wire:
        began = time.monotonic()
        with pytest.raises(ReadTimeout) as caught:
            colour.client(wire.origin, timeout=timeout).create(LOG)
        assert time.monotonic() - began < 3
        assert 2 <= len(wire.requests) <= 3
    assert caught.value.attempts == len(wire.requests)


def test_total_bounds_a_connection_as_well(colour):
    with black_hole() as origin:
        began = time.monotonic()
        with pytest.raises(ConnectError) as caught:
            colour.client(origin, timeout=Timeout(total=0.3)).create(LOG)
        assert time.monotonic() - began < 3
    assert caught.value.request_sent is False


def test_resending_can_be_turned_off(colour):
    cut = once(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    with Wire(cut, replies(OK)) as wire:
        client = colour.client(wire.origin, retry=RetryPolicy(resend=False))
        with pytest.raises(ProtocolError):
            client.create(LOG)
        assert len(wire.requests) == 1


def test_read_timeout_is_for_each_read(colour):
    """A slow but steady answer is longer than one read may take, and arrives."""

    def script(peer):
        peer.request()
        for piece in (OK[:10], OK[10:30], OK[30:50], OK[50:]):
            peer.wire.stopping.wait(0.1)
            peer.send(piece)
        peer.hold()

    with Wire(script) as wire:
        timeout = Timeout(connect=2, read=0.3, total=5)
        response = colour.transport().send(post(wire.origin, timeout=timeout))
    assert response.status == 200


def test_errors_hold_no_secret(colour):
    echo = answer(b'{"detail": "bad key key-of-tests"}', status="401 No")
    with (
        Wire(replies(echo)) as wire,
        pytest.raises(AuthenticationError, match=r"^401: bad key \*\*\*$") as caught,
    ):
        colour.client(wire.origin).create({"input": "payload-of-tests"})
    assert "tests" not in str(caught.value)
