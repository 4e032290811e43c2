"""What is sent and what comes back: the same bytes over both libraries."""

import gzip
import socket
import zlib

import pytest
from contract.colours import COLOURS, Colour, get, post
from contract.wire import OK, Wire, answer, once, replies

from keywordsai import ReadTimeout, ServerError, Timeout, UnexpectedRedirectError

LOG = {"model": "gpt-4", "prompt_messages": [{"role": "user", "content": "žluť"}]}
ID = "a/b c%é?"

CALLS = {
    "create": lambda client: client.create(LOG, idempotency_key="one"),
    "create, large": lambda client: client.create(
        {**LOG, "input": "ž" * 2**20}, idempotency_key="one"
    ),
    "get": lambda client: client.get(ID),
    "list": lambda client: client.list(
        2, 10, start_time="2026-01-01T00:00:00+02:00", model="a&b=c d", tag="ž~'()*"
    ),
    "list by filters": lambda client: client.list(
        filters={"cost": {"operator": "gt", "value": [1]}}
    ),
}


def lines(request):
    """A request's bytes, line by line, and its body; without `Connection`.

    The one difference: requests says what HTTP/1.1 takes for granted.
    """
    head, _, body = request.partition(b"\r\n\r\n")
    kept = [
        line
        for line in head.split(b"\r\n")
        if line.lower() != b"connection: keep-alive"
    ]
    return kept, body


def sent(name, call, *, path="/api", **options):
    """The bytes that a call of that colour puts on the wire."""
    colour = Colour(name)
    try:
        with Wire(replies(answer(b'{"results": []}'))) as wire:
            call(colour.client(wire.origin + path, **options))
            (request,) = wire.requests
            return lines(request.replace(str(wire.port).encode(), b"PORT"))
    finally:
        colour.end()


@pytest.mark.parametrize("call", CALLS)
def test_identical_on_the_wire(call):
    sync, other = (sent(name, CALLS[call]) for name in COLOURS)
    assert sorted(sync[0]) == sorted(other[0])
    assert sync[0][0] == other[0][0]
    assert sync[1] == other[1]


def test_identical_with_headers_of_the_callers_and_a_path():
    headers = {"X-Team": "blue", "User-Agent": "mine/1"}
    sync, other = (
        sent(name, CALLS["create"], headers=headers, path="/%C3%A9/x+y")
        for name in COLOURS
    )
    assert sorted(sync[0]) == sorted(other[0])
    assert sync[1] == other[1]
    assert b"X-Team: blue" in sync[0]
    assert sync[0][0] == b"POST /%C3%A9/x+y/api/request-logs/create/ HTTP/1.1"


def test_every_line(colour):
    head, body = sent(colour.name, CALLS["create"], headers={"User-Agent": "us"})
    assert head[0] == b"POST /api/request-logs/create/ HTTP/1.1"
    assert sorted(head[1:]) == [
        b"Accept-Encoding: gzip, deflate",
        b"Accept: application/json",
        b"Authorization: Bearer key-of-tests",
        b"Content-Length: " + str(len(body)).encode(),
        b"Content-Type: application/json",
        b"Host: 127.0.0.1:PORT",
        b"Idempotency-Key: one",
        b"User-Agent: us",
    ]
    assert body.decode() == (
        '{"model":"gpt-4","prompt_messages":[{"role":"user","content":"žluť"}]}'
    )


def test_ipv6(colour):
    try:
        wire = Wire(replies(OK), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with wire:
        colour.client(wire.origin).create(LOG)
        assert f"Host: [::1]:{wire.port}".encode() in wire.requests[0].split(b"\r\n")


ANSWERS = {
    "plain": (answer(b"body"), 200, b"body"),
    "created": (answer(b"{}", status="201 Created"), 201, b"{}"),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "empty": (answer(b""), 200, b""),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi"),
    "chunked": (
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nX-Trailer: t\r\n\r\n"
        ),
        200,
        b"abcd",
    ),
    "gzip": (
        answer(gzip.compress(b"body"), headers=["Content-Encoding: gzip"]),
        200,
        b"body",
    ),
    "deflate": (
        answer(zlib.compress(b"body"), headers=["Content-Encoding: deflate"]),
        200,
        b"body",
    ),
    "hints before": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 102 Processing\r\n\r\n" + OK,
        200,
        b'{"message": "log successful"}',
    ),
    "long header": (
        answer(b"body", headers=["X-Policy: " + "p" * 40_000]),
        200,
        b"body",
    ),
    "lines ended by LF": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", 200, b"hi"),
    "failure": (answer(b"no", status="503 Busy"), 503, b"no"),
    "unknown status": (answer(b"", status="799 Odd"), 799, b""),
    "redirect": (
        answer(b"", status="307 Moved", headers=["Location: /elsewhere"]),
        307,
        b"",
    ),
}


@pytest.mark.parametrize("make", [get, post])
@pytest.mark.parametrize("name", ANSWERS)
def test_answers(colour, name, make):
    data, status, body = ANSWERS[name]
    with Wire(replies(data)) as wire:
        transport = colour.transport()
        for _ in range(2):
            response = transport.send(make(wire.origin))
            assert (response.status, response.body) == (status, body)
        # The connection is whole: it serves the next request too.
        assert wire.connections == 1
        assert len(wire.requests) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.0 200 OK\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbody",
        answer(b"body", headers=["Connection: close"]),
    ],
)
def test_answers_that_end_the_connection(colour, data):
    with Wire(once(data)) as wire:
        transport = colour.transport()
        for _ in range(2):
            response = transport.send(get(wire.origin))
            assert (response.status, response.body) == (200, b"body")
        assert wire.connections == 2


def test_a_byte_at_a_time(colour):
    def script(peer):
        peer.request()
        peer.drip(OK, every=0.0005)
        peer.hold()

    with Wire(script) as wire:
        response = colour.transport().send(post(wire.origin))
    assert response.body == b'{"message": "log successful"}'


def test_headers_are_found_whatever_their_case(colour):
    with Wire(replies(answer(headers=["ReTrY-aFtEr: 7"]))) as wire:
        response = colour.transport().send(get(wire.origin))
    assert response.header("Retry-After") == "7"
    assert response.header("x-none") is None


def test_no_redirect_is_followed(colour):
    moved = answer(
        b"", status="302 Found", headers=["Location: http://127.0.0.1:1/elsewhere"]
    )
    with Wire(replies(moved)) as wire:
        client = colour.client(wire.origin)
        with pytest.raises(UnexpectedRedirectError) as caught:
            client.create(LOG)
        assert len(wire.requests) == 1
    assert caught.value.status == 302
    assert caught.value.attempts == 1


def test_no_cookie_is_kept(colour):
    with Wire(replies(answer(headers=["Set-Cookie: a=b; Path=/"]))) as wire:
        client = colour.client(wire.origin)
        client.create(LOG)
        client.create(LOG)
        assert wire.connections == 1
        assert not any(b"cookie" in request.lower() for request in wire.requests)


def test_nothing_is_read_from_a_netrc(colour, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text(
        "machine 127.0.0.1 login someone password pass-of-tests\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with Wire(replies(OK)) as wire:
        colour.client(wire.origin).create(LOG)
        (request,) = wire.requests
    assert request.count(b"uthorization:") == 1
    assert b"\r\nAuthorization: Bearer key-of-tests\r\n" in request


@pytest.mark.parametrize("make", [get, post])
def test_no_answer_is_asked_for_twice(colour, make):
    """503, a redirect, a stale connection: one request out, one outcome in."""
    with Wire(replies(answer(b"", status="503 Busy"))) as wire:
        assert colour.transport().send(make(wire.origin)).status == 503
        assert len(wire.requests) == 1


def test_a_broken_answer_does_not_reach_the_next_request(colour):
    """A connection half read is closed, not kept."""

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        peer.hold()

    with Wire(script, replies(OK)) as wire:
        transport = colour.transport()
        with pytest.raises(ReadTimeout):
            transport.send(
                post(wire.origin, timeout=Timeout(connect=2, read=0.1, total=2))
            )
        wire.wait_for(lambda: wire.open == 0)  # we hung up
        assert transport.send(post(wire.origin)).status == 200
        assert wire.connections == 2


def test_the_last_answer_is_the_error(colour):
    busy = answer(b'{"detail": "busy"}', status="503 Busy")
    with Wire(replies(busy)) as wire:
        with pytest.raises(ServerError, match=r"^503: busy$") as caught:
            colour.client(wire.origin).create(LOG)
        assert len(wire.requests) == 4
    assert caught.value.attempts == 4
