"""Every way a request can fail: the same error, word for word, over both libraries."""

import contextlib
import http.client
import socket
import ssl
import time
import types
from urllib.parse import urlsplit

import pytest
import trustme
from contract.colours import SOON, Colour, get, post
from contract.wire import (
    OK,
    Peer,
    Wire,
    answer,
    black_hole,
    drip,
    hold,
    once,
    replies,
    silent_close,
    silent_reset,
    unused_port,
)

from keywordsai import ConnectError, ProtocolError, ReadTimeout, Timeout, TransportError
from keywordsai.transport import deadline
from keywordsai.transport.deadline import Limit
from keywordsai.transport.network import Network

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

UNHEARD = (
    ProtocolError,
    None,
    False,
    "{origin} closed the connection without an answer",
)
BROKEN = (
    ProtocolError,
    True,
    True,
    "the answer of {origin} broke off or was no valid HTTP",
)
SLOW = (
    ReadTimeout,
    True,
    None,
    "{origin} did not answer in time (read timeout 0.2 s, 0.4 s for the attempt)",
)


def then_reset(peer):
    """RST, once the client has taken what was sent: it would be lost otherwise."""
    time.sleep(0.05)
    peer.reset()


def reset_when_heard(peer):
    """Earlier, and the connection may seem never to have stood."""
    peer.more()
    peer.reset()


def at_once(data):
    """Say it before anything was asked, and stay."""

    def script(peer):
        peer.send(data)
        peer.hold()

    return script


def stalled(*pieces):
    return once(*pieces, after=Peer.hold)


CASES = {
    "closed on accept": (lambda peer: None, UNHEARD),
    "closed without a byte": (silent_close, UNHEARD),
    "reset by the first bytes": (reset_when_heard, UNHEARD),
    "reset without a byte": (silent_reset, UNHEARD),
    "no HTTP": (once(b"220 mail.example ESMTP\r\n\r\n"), BROKEN),
    "binary": (once(b"\x16\x03\x01\x00\xff" * 20 + b"\r\n\r\n"), BROKEN),
    "status line cut": (once(b"HTTP/1."), BROKEN),
    "status line without an end": (once(b"HTTP/1.1 200 OK"), BROKEN),
    "head cut in a header": (once(b"HTTP/1.1 200 OK\r\nX-A: b"), BROKEN),
    "head cut between headers": (once(b"HTTP/1.1 200 OK\r\nX-A: b\r\n"), BROKEN),
    "a header without a colon": (
        stalled(b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 2\r\n\r\nhi"),
        BROKEN,
    ),
    "length in letters": (
        stalled(b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n0123456789"),
        BROKEN,
    ),
    "length below zero": (
        stalled(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"),
        BROKEN,
    ),
    "two lengths": (
        stalled(
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"
        ),
        BROKEN,
    ),
    "body cut": (once(HEAD + b"0123"), BROKEN),
    "body reset": (once(HEAD + b"0123", after=then_reset), BROKEN),
    "chunk cut": (once(CHUNKED + b"5\r\nab"), BROKEN),
    "chunks without an end": (once(CHUNKED + b"5\r\nabcde\r\n"), BROKEN),
    "no chunk": (once(CHUNKED + b"zz\r\nabcde\r\n"), BROKEN),
    "a chunk of -1": (stalled(CHUNKED + b"-1\r\nabcde\r\n0\r\n\r\n"), BROKEN),
    "a chunk of -2": (stalled(CHUNKED + b"-2\r\nabcde\r\n0\r\n\r\n"), BROKEN),
    "a length and chunks": (
        stalled(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n"
            b"\r\n2\r\nhi\r\n0\r\n\r\n"
        ),
        BROKEN,
    ),
    "HTTP/2.0": (stalled(b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"), BROKEN),
    "status 099": (stalled(b"HTTP/1.1 099 X\r\nContent-Length: 2\r\n\r\nhi"), BROKEN),
    "brotli": (stalled(answer(b"hi", headers=["Content-Encoding: br"])), BROKEN),
    "no gzip": (once(answer(b"plain", headers=["Content-Encoding: gzip"])), BROKEN),
    "never answers": (hold, SLOW),
    "stalls in the head": (stalled(b"HTTP/1.1 200 OK\r\nX-A: b\r\n"), SLOW),
    "stalls in the body": (stalled(HEAD + b"0123"), SLOW),
    "stalls in a chunk": (stalled(CHUNKED + b"5\r\nab"), SLOW),
    "drips the head": (drip(b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 200), SLOW),
    "drips the body": (
        drip(b"x" * 200, start=b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n"),
        SLOW,
    ),
    "drips chunks": (drip(b"1\r\nx\r\n" * 40, start=CHUNKED), SLOW),
    "drips hints": (drip(b"HTTP/1.1 103 Hint\r\n\r\n" * 20), SLOW),
}


def failure(colour, request, *, network=None):
    """The error of a request that has to fail, checked for what holds for all."""
    transport = colour.transport(network)
    began = time.monotonic()
    with pytest.raises(TransportError) as caught:
        transport.send(request)
    limits = request.timeout
    # A lazy machine may be late; a call that is not bounded hangs for good.
    assert time.monotonic() - began < limits.total + limits.read + 3
    error = caught.value
    assert error.__cause__ is not None
    assert type(error.__cause__).__module__.split(".")[0] != "keywordsai"
    for secret in ("key-of-tests", "payload-of-tests", "pass-of-tests", "api/x"):
        assert secret not in str(error) + repr(error)
    assert error.attempts == 1
    return error


@pytest.mark.parametrize(
    ("case", "make"),
    [
        (case, make)
        for case, (_, expected) in CASES.items()
        for make in ((post,) if expected is SLOW else (get, post))
    ],
)
def test_the_same_error_over_both(colour, case, make):
    script, (kind, sent, started, text) = CASES[case]
    with Wire(script) as wire:
        error = failure(colour, make(wire.origin, timeout=SOON))
        assert wire.connections == 1
    assert type(error) is kind
    assert error.request_sent is sent
    assert getattr(error, "response_started", None) is started
    assert str(error) == text.format(origin=wire.origin)


def test_zstd_that_nobody_asked_for():
    """aiohttp refuses it from 3.13 on, without a decoder of it."""
    colour = Colour("sync")
    with Wire(stalled(answer(b"hi", headers=["Content-Encoding: ZSTD"]))) as wire:
        error = failure(colour, get(wire.origin, timeout=SOON))
    assert type(error) is ProtocolError
    assert error.response_started is True
    colour.end()


def test_refused(colour):
    origin = f"http://127.0.0.1:{unused_port()}"
    error = failure(colour, post(origin))
    assert type(error) is ConnectError
    assert error.request_sent is False
    assert str(error) == f"cannot connect to {origin}: Connection refused"


def test_unknown_host(colour, monkeypatch):
    def unknown(*_args, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = failure(colour, post("http://host.invalid"))
    assert type(error) is ConnectError
    assert error.request_sent is False
    assert str(error) == "cannot connect to http://host.invalid: unknown host name"


@pytest.mark.parametrize("host", ["a" * 64 + ".invalid", "a..invalid"])
def test_a_host_that_is_no_name(colour, host):
    error = failure(colour, post(f"http://{host}", timeout=SOON))
    assert type(error) is ConnectError
    assert error.request_sent is False


@pytest.mark.parametrize(
    "timeout",
    [
        Timeout(connect=0.2, read=2, total=2),
        Timeout(connect=2, read=2, total=0.2),
        Timeout.of(0.2),
    ],
    ids=["connect", "total", "both"],
)
def test_a_black_hole(colour, timeout):
    with black_hole() as origin:
        error = failure(colour, post(origin, timeout=timeout))
    assert type(error) is ConnectError
    assert error.request_sent is False
    assert str(error) == f"cannot connect to {origin}: no connection within 0.2 s"


def addresses(monkeypatch, *found, after=0.0):
    """Every name has these, as of ``http://host:port``, told after so many seconds."""
    parts = [urlsplit(origin) for origin in found]

    def getaddrinfo(*_args, **_options):
        time.sleep(after)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (part.hostname, part.port))
            for part in parts
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


class TestAddresses:
    """A host may have several, and the limits are those of them all."""

    def test_none_answers(self, colour, monkeypatch):
        with contextlib.ExitStack() as stack:
            holes = [stack.enter_context(black_hole()) for _ in range(5)]
            addresses(monkeypatch, *holes)
            timeout = Timeout(connect=0.6, read=0.6, total=0.9)
            began = time.monotonic()
            error = failure(colour, post("http://logs.invalid", timeout=timeout))
            # Sync 0.6 s; aiohttp tries several at once, each for the connect limit.
            assert time.monotonic() - began < 1.4
        assert type(error) is ConnectError
        assert error.request_sent is False
        assert str(error) == (
            "cannot connect to http://logs.invalid: no connection within 0.6 s"
        )

    def test_a_dead_one_does_not_take_the_time_of_the_next(self, colour, monkeypatch):
        with black_hole() as hole, Wire(replies(OK)) as wire:
            addresses(monkeypatch, hole, wire.origin)
            timeout = Timeout(connect=1, read=2, total=4)
            request = post("http://logs.invalid", timeout=timeout)
            assert colour.transport().send(request).status == 200

    def test_one_refuses(self, colour, monkeypatch):
        with Wire(replies(OK)) as wire:
            refuses = f"http://127.0.0.1:{unused_port()}"
            addresses(monkeypatch, refuses, wire.origin)
            assert colour.transport().send(post("http://logs.invalid")).status == 200
            addresses(monkeypatch, refuses, f"http://127.0.0.1:{unused_port()}")
            error = failure(colour, post("http://other.invalid"))
        assert str(error).endswith(": Connection refused")

    def test_a_slow_look_up(self, colour, monkeypatch):
        """Python cannot end it, but what comes too late is not used."""
        with Wire(replies(OK)) as wire:
            addresses(monkeypatch, wire.origin, after=0.5)
            request = post("http://logs.invalid", timeout=Timeout.of(0.2))
            error = failure(colour, request)
            assert wire.requests == []
        assert type(error) is ConnectError
        assert error.request_sent is False
        assert str(error).endswith(": no connection within 0.2 s")


def test_no_time_at_all(colour):
    with Wire(replies(OK)) as wire:
        error = failure(colour, post(wire.origin, timeout=Timeout.of(1e-9)))
        assert wire.requests == []
    assert type(error) is ConnectError
    assert error.request_sent is False
    assert str(error).endswith(": no connection within 1e-09 s")


class TestTheFirstWrite:
    """Before it nothing left, after it nobody knows."""

    @pytest.fixture
    def clock(self, monkeypatch):
        """What `deadline` takes for the time: seconds ahead of it."""
        clock = types.SimpleNamespace(ahead=0.0)
        clock.monotonic = lambda: time.monotonic() + clock.ahead
        monkeypatch.setattr(deadline, "time", clock)
        return clock

    def test_late_before_it(self, clock):
        colour = Colour("sync")
        transport = colour.transport()
        with Wire(replies(OK)) as wire:
            assert transport.send(post(wire.origin)).status == 200
            clock.ahead = 3600
            with pytest.raises(ConnectError) as caught:
                transport.send(post(wire.origin))
            assert len(wire.requests) == 1
        assert caught.value.request_sent is False
        colour.end()

    def test_late_after_it(self, clock, monkeypatch):
        real = http.client.HTTPConnection.send

        def send(connection, data):
            real(connection, data)
            clock.ahead = 3600

        monkeypatch.setattr(http.client.HTTPConnection, "send", send)
        colour = Colour("sync")
        with Wire(replies(OK)) as wire:
            error = failure(colour, post(wire.origin, body=b"x" * 2**17))
            assert wire.requests == []
        assert type(error) is ReadTimeout
        assert error.request_sent is None
        colour.end()


def test_a_body_nobody_reads(colour):
    def script(peer):
        peer.wire.stopping.wait(5)

    timeout = Timeout(connect=0.1, read=0.1, total=0.4)
    with Wire(script) as wire:
        began = time.monotonic()
        body = b"payload-of-tests" * 2**20
        error = failure(colour, post(wire.origin, body=body, timeout=timeout))
        # Sending is bounded by the whole, not by what a connection may take.
        assert time.monotonic() - began > 0.35
    assert type(error) is ReadTimeout
    assert error.request_sent is None


def test_a_large_body_slowly_read_arrives(colour):
    body = bytes(range(256)) * 2**14  # 4 MiB; aiohttp warns of more than one

    def script(peer):
        peer.wire.stopping.wait(0.3)
        peer.request()
        peer.send(OK)

    timeout = Timeout(connect=0.1, read=5, total=10)
    with Wire(script) as wire:
        response = colour.transport().send(
            post(wire.origin, body=body, timeout=timeout)
        )
        assert response.status == 200
        assert wire.requests[0].endswith(b"\r\n\r\n" + body)


def test_a_refusal_before_the_body_was_read(colour):
    def script(peer):
        peer.head()
        peer.send(answer(b"{}", status="413 Too Large", headers=["Connection: close"]))
        while peer.more():
            peer.buffer = b""

    with Wire(script) as wire:
        request = post(wire.origin, body=b"x" * 2**22)
        assert colour.transport().send(request).status == 413


def test_what_a_caller_is_handling_is_not_taken_for_ours(colour):
    origin = f"http://127.0.0.1:{unused_port()}"
    try:
        raise TimeoutError("of the model's provider")  # noqa: TRY301
    except TimeoutError:
        error = failure(colour, post(origin))
    assert type(error) is ConnectError
    assert str(error).endswith(": Connection refused")


def test_a_limit_knows_when_the_call_is_over():
    limit = Limit.of(2.0, time.monotonic() - 1)
    assert limit == 2.0
    with pytest.raises(TimeoutError, match="timed out"):
        limit.remaining()


class TestTLS:
    def handshake(self, colour, script, **options):
        with Wire(script) as wire:
            origin = wire.origin.replace("http:", "https:")
            error = failure(colour, post(origin, timeout=SOON, **options))
        assert type(error) is ConnectError
        assert error.request_sent is False
        return str(error).removeprefix(f"cannot connect to {origin}: ")

    def test_never_answered(self, colour):
        assert self.handshake(colour, Peer.hold) == "no connection within 0.2 s"

    def test_closed(self, colour):
        assert self.handshake(colour, lambda peer: None) == "closed by the peer"

    def test_reset(self, colour):
        assert self.handshake(colour, reset_when_heard) == "closed by the peer"

    def test_a_server_without(self, colour):
        script = at_once(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert self.handshake(colour, script).startswith("TLS failed: ")

    def test_a_stranger(self, colour, server_tls):
        with Wire(replies(OK), tls=server_tls) as wire:
            error = failure(colour, post(wire.origin))
        assert type(error) is ConnectError
        assert error.request_sent is False
        assert str(error) == (
            f"cannot connect to {wire.origin}: certificate not trusted: "
            "unable to get local issuer certificate"
        )
        assert wire.requests == []

    def test_another_name(self, colour, authority, bundle):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("elsewhere.example").configure_cert(context)
        with Wire(replies(OK), tls=context) as wire:
            network = Network(ca_bundle=bundle)
            error = failure(colour, post(wire.origin), network=network)
        assert type(error) is ConnectError
        assert "certificate not trusted: " in str(error)
        assert "127.0.0.1" in str(error).rpartition(": ")[2]

    def test_a_server_that_wants_a_certificate_of_us(
        self, colour, server_tls, authority, bundle
    ):
        authority.configure_trust(server_tls)
        server_tls.verify_mode = ssl.CERT_REQUIRED
        server_tls.minimum_version = ssl.TLSVersion.TLSv1_3
        with Wire(replies(OK), tls=server_tls) as wire:
            network = Network(ca_bundle=bundle)
            error = failure(colour, post(wire.origin), network=network)
        # By then the request may have left: in TLS 1.3 the client is done first.
        assert type(error) is ProtocolError
        assert error.request_sent is None
        assert error.response_started is False

    def test_a_body_cut(self, colour, server_tls, bundle):
        with Wire(once(HEAD + b"0123"), tls=server_tls) as wire:
            network = Network(ca_bundle=bundle)
            error = failure(colour, post(wire.origin), network=network)
        assert type(error) is ProtocolError
        assert error.response_started is True

    @pytest.mark.parametrize("case", ["stalls in the body", "drips the head"])
    def test_a_slow_answer(self, colour, server_tls, bundle, case):
        script, (kind, sent, _, text) = CASES[case]
        with Wire(script, tls=server_tls) as wire:
            network = Network(ca_bundle=bundle)
            error = failure(colour, post(wire.origin, timeout=SOON), network=network)
        assert (type(error), error.request_sent) == (kind, sent)
        assert str(error) == text.format(origin=wire.origin)


def test_trust_is_given_by_a_file_or_a_folder(colour, server_tls, authority, tmp_path):
    import subprocess

    certificate = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(certificate))
    digest = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", certificate],
        capture_output=True,
        check=True,
        text=True,
    ).stdout.strip()
    certificate.rename(tmp_path / f"{digest}.0")
    with Wire(replies(OK), tls=server_tls) as wire:
        for path in (tmp_path / f"{digest}.0", tmp_path):
            network = Network(ca_bundle=str(path))
            assert colour.transport(network).send(get(wire.origin)).status == 200


def test_another_authority_is_not_trusted(colour, server_tls, tmp_path):
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    with Wire(replies(OK), tls=server_tls) as wire:
        network = Network(ca_bundle=str(tmp_path / "other.pem"))
        error = failure(colour, get(wire.origin), network=network)
    assert "certificate not trusted" in str(error)
