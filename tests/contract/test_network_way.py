"""Proxies and certificates: one resolution, the same way for both libraries."""

import base64
import sys
import time
import traceback
import types

import certifi
import pytest
from contract.colours import Colour, get, post
from contract.wire import OK, Wire, answer, hold, once, replies, tunnel, unused_port

import keywordsai.transport.requests as over_requests
from keywordsai import (
    ConfigurationError,
    ConnectError,
    RetryPolicy,
    Timeout,
    TransportError,
)
from keywordsai.transport.network import Network

LOG = {"model": "gpt-4"}
ELSEWHERE = "http://logs.invalid"
CREDENTIALS = b"Basic " + base64.b64encode(b"user:pass-of-tests")


def proxied(proxy, user=""):
    return proxy.origin.replace("://", f"://{user}")


@pytest.fixture
def proxy():
    with Wire(tunnel(("127.0.0.1", 1))) as wire:
        yield wire


class TestHTTP:
    def test_explicit(self, colour, proxy):
        colour.client(ELSEWHERE, proxy=proxied(proxy)).create(LOG)
        (request,) = proxy.requests
        url = b"POST http://logs.invalid/api/request-logs/create/ HTTP/1.1\r\n"
        assert request.startswith(url)
        assert b"\r\nHost: logs.invalid\r\n" in request
        assert b"roxy-" not in request.replace(b"Proxy-Connection", b"")

    @pytest.mark.parametrize(
        "variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]
    )
    @pytest.mark.parametrize("scheme", ["http://", ""])
    def test_from_the_environment(self, colour, proxy, monkeypatch, variable, scheme):
        monkeypatch.setenv(variable, proxied(proxy).replace("http://", scheme))
        colour.client(ELSEWHERE).create(LOG)
        assert len(proxy.requests) == 1

    def test_the_environment_is_read_once(self, colour, proxy, monkeypatch):
        client = colour.client(ELSEWHERE, proxy=proxied(proxy))
        monkeypatch.setenv("NO_PROXY", "*")
        client.create(LOG)
        assert len(proxy.requests) == 1

    @pytest.mark.parametrize("value", ["127.0.0.1", "*", "a.example, 127.0.0.0/8"])
    @pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
    def test_bypassed(self, colour, proxy, monkeypatch, name, value):
        monkeypatch.setenv("HTTP_PROXY", proxied(proxy))
        monkeypatch.setenv(name, value)
        with Wire(replies(OK)) as wire:
            colour.client(wire.origin).create(LOG)
            assert len(wire.requests) == 1
        assert proxy.requests == []

    def test_turned_off(self, colour, proxy, monkeypatch):
        monkeypatch.setenv("HTTP_PROXY", proxied(proxy))
        with Wire(replies(OK)) as wire:
            colour.client(wire.origin, proxy="").create(LOG)
            assert len(wire.requests) == 1

    @pytest.mark.parametrize("user", ["user:pass-of-tests@", "user:pass%2Dof-tests@"])
    def test_credentials(self, colour, user):
        with Wire(tunnel(("127.0.0.1", 1), credentials=CREDENTIALS)) as proxy:
            client = colour.client(ELSEWHERE, proxy=proxied(proxy, user))
            client.create(LOG)
            assert b"roxy-Authorization: " + CREDENTIALS in proxy.requests[0]
        assert "pass-of-tests" not in repr(client.real) + repr(client.real._settings)

    def test_a_user_without_a_password(self, colour, proxy):
        colour.client(ELSEWHERE, proxy=proxied(proxy, "user@")).create(LOG)
        wanted = b"roxy-Authorization: Basic " + base64.b64encode(b"user:")
        assert wanted in proxy.requests[0]

    def test_refused_credentials_are_an_answer(self, colour):
        with Wire(tunnel(("127.0.0.1", 1), credentials=CREDENTIALS)) as proxy:
            network = Network(proxy=proxied(proxy, "user:wrong@"))
            assert colour.transport(network).send(post(ELSEWHERE)).status == 407

    def test_credentials_on_a_kept_connection(self, colour):
        with Wire(tunnel(("127.0.0.1", 1), credentials=CREDENTIALS)) as proxy:
            network = Network(proxy=proxied(proxy, "user:pass-of-tests@"))
            transport = colour.transport(network)
            for _ in range(2):
                assert transport.send(post(ELSEWHERE)).status == 200
            assert proxy.connections == 1

    def test_a_password_without_a_name(self, colour, proxy):
        colour.client(ELSEWHERE, proxy=proxied(proxy, ":p%3A@")).create(LOG)
        wanted = b"roxy-Authorization: Basic " + base64.b64encode(b":p:")
        assert wanted in proxy.requests[0]
        assert proxy.requests[0].lower().count(b"proxy-authorization") == 1

    def test_a_proxy_that_is_not_there(self, colour):
        network = Network(proxy="http://user:pass-of-tests@127.0.0.1:1")
        with pytest.raises(ConnectError) as caught:
            colour.transport(network).send(post(ELSEWHERE))
        assert caught.value.request_sent is False
        assert str(caught.value) == f"cannot connect to {ELSEWHERE}: Connection refused"


class TestCONNECT:
    """https over a proxy."""

    def tunnelled(self, colour, server_tls, bundle, *, user="", **options):
        with Wire(replies(OK), tls=server_tls) as wire:
            with Wire(tunnel((wire.host, wire.port), **options)) as proxy:
                client = colour.client(
                    wire.origin,
                    proxy=proxied(proxy, user),
                    ca_bundle=bundle,
                    retry=RetryPolicy(attempts=1),
                )
                try:
                    client.create(LOG)
                finally:
                    client.close()
            return wire, proxy

    def test_through(self, colour, server_tls, bundle):
        wire, proxy = self.tunnelled(colour, server_tls, bundle)
        (request,) = proxy.requests
        assert request.startswith(f"CONNECT 127.0.0.1:{wire.port} HTTP/1.".encode())
        assert b"key-of-tests" not in request
        assert b"Bearer key-of-tests" in wire.requests[0]
        assert b"roxy" not in wire.requests[0]

    def test_credentials_go_to_the_proxy_only(self, colour, server_tls, bundle):
        wire, proxy = self.tunnelled(
            colour,
            server_tls,
            bundle,
            user="user:pass-of-tests@",
            credentials=CREDENTIALS,
        )
        assert b"roxy-Authorization: " + CREDENTIALS in proxy.requests[0]
        assert b"roxy-" not in wire.requests[0]

    def test_refused(self, colour, server_tls, bundle):
        with pytest.raises(ConnectError) as caught:
            self.tunnelled(
                colour,
                server_tls,
                bundle,
                user="user:bad-pass-of-tests@",
                credentials=CREDENTIALS,
            )
        assert str(caught.value).endswith(": the proxy answered 407")
        assert "pass-of-tests" not in str(caught.value)
        assert caught.value.request_sent is False

    @pytest.mark.parametrize(
        ("script", "reason"),
        [
            (hold, "no connection within 0.2 s"),
            (lambda peer: peer.head() and None, "closed by the peer"),
            (lambda peer: None, "closed by the peer"),
            (
                lambda peer: peer.head() and peer.send(answer(b"", status="502 X")),
                "the proxy answered 502",
            ),
        ],
        ids=["silent", "closed", "closed on accept", "502"],
    )
    def test_a_proxy_that_fails(self, colour, script, reason):
        timeout = Timeout(connect=0.2, read=2, total=4)
        with Wire(script) as proxy:
            transport = colour.transport(Network(proxy=proxied(proxy)))
            with pytest.raises(ConnectError) as caught:
                transport.send(post("https://logs.invalid", timeout=timeout))
        assert caught.value.request_sent is False
        assert str(caught.value) == f"cannot connect to https://logs.invalid: {reason}"

    @pytest.mark.parametrize(
        ("target", "script"),
        [
            ("https://logs.invalid", once(answer(b"", status="407 Who are you?"))),
            ("https://logs.invalid", once(b"220 mail.example ESMTP\r\n\r\n")),
            ("https://logs.invalid", lambda peer: None),
            ("http://logs.invalid", once(b"220 mail.example ESMTP\r\n\r\n")),
            ("http://logs.invalid", lambda peer: None),
        ],
        ids=["407", "garbage", "closed", "garbage over http", "closed over http"],
    )
    def test_its_password_is_nowhere_in_the_traceback(self, colour, target, script):
        secrets = (
            "pass-of" + "-tests",
            base64.b64encode(b"user:pass-of-tests").decode(),
        )
        with Wire(script) as proxy:
            network = Network(proxy=proxied(proxy, f"user:{secrets[0]}@"))
            transport = colour.transport(network)
            with pytest.raises(TransportError) as caught:
                transport.send(post(target))
        told = "".join(traceback.format_exception(caught.value))
        assert "direct cause" in told
        for secret in (*secrets, "key-of-tests"):
            assert secret not in told

    def test_a_connection_made_anew_has_a_deadline_of_its_own(
        self, server_tls, bundle, monkeypatch
    ):
        """Not that of the call whose connection it replaces."""
        ahead = 0.0
        clock = types.SimpleNamespace(monotonic=lambda: time.monotonic() + ahead)
        monkeypatch.setattr(over_requests, "time", clock)
        colour = Colour("sync")

        def one_request(peer):
            peer.request()
            peer.send(OK)

        with (
            Wire(one_request, tls=server_tls) as wire,
            Wire(tunnel((wire.host, wire.port))) as proxy,
        ):
            network = Network(proxy=proxied(proxy), ca_bundle=bundle)
            transport = colour.transport(network)
            assert transport.send(get(wire.origin)).status == 200
            proxy.wait_for(lambda: proxy.open == 0)
            ahead = 3600.0
            assert transport.send(get(wire.origin)).status == 200
            colour.end()


class TestSecureProxy:
    def test_http_through_it(self, colour, server_tls, bundle):
        with Wire(tunnel(("127.0.0.1", 1)), tls=server_tls) as proxy:
            client = colour.client(ELSEWHERE, proxy=proxied(proxy), ca_bundle=bundle)
            client.create(LOG)
            assert len(proxy.requests) == 1

    def test_it_has_to_be_trusted(self, colour, server_tls):
        with Wire(tunnel(("127.0.0.1", 1)), tls=server_tls) as proxy:
            network = Network(proxy=proxied(proxy, "user:pass-of-tests@"))
            with pytest.raises(ConnectError, match="certificate not trusted") as caught:
                colour.transport(network).send(post(ELSEWHERE))
            assert proxy.requests == []
        assert caught.value.request_sent is False

    def test_https_through_it(self, colour, server_tls, bundle):
        if colour.is_async and sys.version_info < (3, 11):
            pytest.skip("asyncio knows no TLS within TLS before Python 3.11")
        with (
            Wire(replies(OK), tls=server_tls) as wire,
            Wire(tunnel((wire.host, wire.port)), tls=server_tls) as proxy,
        ):
            client = colour.client(wire.origin, proxy=proxied(proxy), ca_bundle=bundle)
            assert client.create(LOG) == {"message": "log successful"}
            assert len(wire.requests) == len(proxy.requests) == 1
            client.close()


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1", "ftp://h:1", "http://", "http://h:x", "127.0.0.1"]
)
def test_what_is_no_http_proxy(colour, proxy):
    with pytest.raises(
        ConfigurationError, match="proxy must be an http:// or https://"
    ):
        colour.client(ELSEWHERE, proxy=proxy)


def test_socks_from_the_environment(colour, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5h://user:pass-of-tests@h:1")
    with pytest.raises(ConfigurationError, match="ALL_PROXY") as caught:
        colour.client(ELSEWHERE)
    assert "pass-of-tests" not in str(caught.value)


class TestCertificates:
    def reached(self, colour, server_tls, **options):
        with Wire(replies(OK), tls=server_tls) as wire:
            options.setdefault("retry", RetryPolicy(attempts=1))
            client = colour.client(wire.origin, **options)
            try:
                client.create(LOG)
            except ConnectError as error:
                if "certificate not trusted" not in str(error):
                    raise
                return False
            finally:
                client.close()
            return True

    def test_not_trusted_by_default(self, colour, server_tls):
        assert not self.reached(colour, server_tls)

    def test_trusted_as_told(self, colour, server_tls, bundle):
        assert self.reached(colour, server_tls, ca_bundle=bundle)

    @pytest.mark.parametrize(
        "variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"]
    )
    def test_by_a_variable(self, colour, server_tls, bundle, monkeypatch, variable):
        monkeypatch.setenv(variable, bundle)
        assert self.reached(colour, server_tls)

    def test_the_argument_wins(self, colour, server_tls, bundle, monkeypatch):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
        assert not self.reached(colour, server_tls, ca_bundle=certifi.where())
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
        assert self.reached(colour, server_tls, ca_bundle=bundle)

    def test_the_first_variable_wins(self, colour, server_tls, bundle, monkeypatch):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
        monkeypatch.setenv("CURL_CA_BUNDLE", certifi.where())
        monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
        assert self.reached(colour, server_tls)

    def test_a_file_that_is_not_there(self, colour, monkeypatch):
        with pytest.raises(ConfigurationError, match="ca_bundle names no file"):
            colour.client(
                ELSEWHERE.replace("http:", "https:"), ca_bundle="/none/such.pem"
            )
        monkeypatch.setenv("SSL_CERT_FILE", "/none/such.pem")
        with pytest.raises(ConfigurationError, match="SSL_CERT_FILE names no file"):
            colour.client(ELSEWHERE.replace("http:", "https:"))

    @pytest.mark.parametrize("content", [b"", b"no certificate\n", None])
    @pytest.mark.parametrize("way", ["direct", "nobody there", "secure proxy"])
    def test_a_file_without_certificates(
        self, colour, server_tls, tmp_path, content, way
    ):
        """Or none at all: it was there when the client was made."""
        path = tmp_path / "ca.pem"
        if content is not None:
            path.write_bytes(content)
        with Wire(replies(OK), tls=server_tls) as wire:
            origin = wire.origin
            if way == "nobody there":
                origin = f"https://127.0.0.1:{unused_port()}"
            network = Network(ca_bundle=str(path))
            if way == "secure proxy":
                network = Network(ca_bundle=str(path), proxy=origin)
                origin = ELSEWHERE
            transport = colour.transport(network)
            with pytest.raises(ConfigurationError) as caught:
                transport.send(post(origin))
            assert wire.requests == []
        assert str(caught.value) == (
            f"no certificates can be loaded from {str(path)!r}; point ca_bundle, or the "
            "variable that names it, at PEM certificates"
        )
        assert isinstance(caught.value.__cause__, OSError)

    def test_it_is_no_reason_to_try_again(self, colour, server_tls, tmp_path):
        (tmp_path / "ca.pem").touch()
        with Wire(replies(OK), tls=server_tls) as wire:
            client = colour.client(wire.origin, ca_bundle=tmp_path / "ca.pem")
            with pytest.raises(ConfigurationError, match="ca_bundle"):
                client.create(LOG)
            assert wire.connections == 0

    def test_a_file_that_goes_away_later(self, server_tls, authority, tmp_path):
        """aiohttp keeps what it loaded, requests loads it for each connection."""
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        colour = Colour("sync")
        transport = colour.transport(Network(ca_bundle=str(tmp_path / "ca.pem")))
        with Wire(once(OK), tls=server_tls) as wire:
            assert transport.send(get(wire.origin)).status == 200
            (tmp_path / "ca.pem").unlink()
            wire.wait_for(lambda: wire.open == 0)
            with pytest.raises(ConfigurationError, match="point ca_bundle"):
                transport.send(get(wire.origin))
        colour.end()

    @pytest.mark.parametrize(
        "options",
        [
            {"verify": "/none/such.pem"},
            {"verify": __file__},
            {"cert": "/none/such.pem"},
            {"cert": __file__},
            {"cert": (__file__, "/none/such.key")},
        ],
    )
    def test_those_of_a_requests_session(self, server_tls, options):
        colour = Colour("sync")
        transport = colour.transport(session=colour.session(**options))
        with Wire(replies(OK), tls=server_tls) as wire:
            with pytest.raises(ConfigurationError) as caught:
                transport.send(get(wire.origin))
            assert wire.requests == []
        assert str(caught.value) == (
            "the certificates that verify= or cert= of the requests.Session names "
            "cannot be loaded; point it at PEM files"
        )
        colour.end()
