"""The names that the server goes by: those of loopback, and those it is told."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest
from server_tools import DEADLINE, call

from keywordsai.errors import ConfigurationError
from keywordsai.server.app import serve_in_thread
from keywordsai.server.hosts import HostRule


@pytest.fixture(scope="module")
def url():
    with serve_in_thread(
        allow_hosts=["logs.example.com", "host.docker.internal"]
    ) as url:
        yield url


def asked(url, host, path="/request-logs/list", method="GET"):
    return call(url + path, method, headers={"Host": host})


LOOPBACK = [
    *("localhost", "LocalHost:1", "localhost.", "a.localhost:8723", "127.0.0.1"),
    *("127.9.9.9:80", "[::1]", "[::1]:8723", "[::ffff:127.0.0.1]:1"),
]
FOREIGN = [
    *(
        "evil.example",
        "evil.example:8723",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
    ),
    *(
        "evil.example@localhost",
        "localhost@evil.example",
        "localhost:x",
        "localhost:1:2",
    ),
    *(
        "xlocalhost",
        "192.168.1.7",
        "0.0.0.0",
        "[::2]",
        "2130706433",
        "localhost/",
        "",
        " ",
    ),
    *(
        "a" * 300,
        "[localhost]",
        "[127.0.0.1]",
        "[127.0.0.1]:8723",
        "logs.example.com.evil.example",
        "xlogs.example.com",
    ),
]


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_is_this_server(url, host):
    assert HostRule().admits(host)
    assert asked(url, host).status == 200


@pytest.mark.parametrize(
    "host", ["logs.example.com", "LOGS.example.com:443", "host.docker.internal:8723"]
)
def test_so_is_what_it_was_told(url, host):
    assert asked(url, host).status == 200


@pytest.mark.parametrize("host", FOREIGN)
def test_nothing_else_is(host):
    assert not HostRule.of("127.0.0.1", ["logs.example.com"]).admits(host)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8723", "192.168.1.7"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/request-logs/list"),
        ("POST", "/api/request-logs/create/"),
        ("GET", "/_events"),
        ("PUT", "/_faults"),
        ("GET", "/openapi.json"),
        ("GET", "/nope"),
    ],
)
def test_under_another_name_nothing_is_answered(url, host, method, path):
    answer = asked(url, host, path, method)
    assert answer.status == 403
    assert f"--allow-host {host.partition(':')[0]}" in answer.json["detail"]


def test_what_the_refusal_repeats_is_a_name():
    assert HostRule.refusal("<script>").endswith("--allow-host NAME")
    assert HostRule.refusal("a" * 300).endswith("--allow-host NAME")


def test_whoever_asks_after_its_health_names_it_as_he_likes(url):
    assert asked(url, "10.1.2.3:8723", "/healthz").status == 200


def test_without_a_host_there_is_no_browser(url):
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), DEADLINE) as client:
        client.sendall(
            b"GET /request-logs/list HTTP/1.0\r\nAuthorization: Bearer k\r\n\r\n"
        )
        assert client.recv(12) == b"HTTP/1.0 200"


def test_two_names_are_not_one_of_them(url):
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), DEADLINE) as client:
        client.sendall(
            b"GET /request-logs/list HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nAuthorization: Bearer k\r\n\r\n"
        )
        assert client.recv(12)[-3:] in (b"403", b"400")


def test_what_a_proxy_says_is_not_taken(url):
    headers = {
        "Host": "evil.example",
        "X-Forwarded-Host": "localhost",
        "Forwarded": "host=localhost",
    }
    assert call(f"{url}/request-logs/list", headers=headers).status == 403


def test_where_others_reach_it_addresses_are_its_names():
    rule = HostRule.of("0.0.0.0", ["logs.example.com"])
    for host in (
        "192.168.1.7:8723",
        "[2001:db8::1]",
        "0.0.0.0",
        "localhost",
        "logs.example.com",
    ):
        assert rule.admits(host)
    assert not rule.admits("evil.example")
    named = HostRule.of("build.example.com")
    assert named.admits("build.example.com:1")
    with serve_in_thread(host="0.0.0.0", api_key="k") as url:
        there = url.replace("0.0.0.0", "127.0.0.1")
        assert (
            call(
                f"{there}/request-logs/list", key="k", headers={"Host": "10.0.0.1"}
            ).status
            == 200
        )
        assert (
            call(
                f"{there}/request-logs/list", key="k", headers={"Host": "evil.example"}
            ).status
            == 403
        )


@pytest.mark.parametrize(
    "name", ["http://x", "a:80", "*.x", "", "a/b", "a b", "ü.example", None]
)
def test_what_is_no_name(name):
    with pytest.raises(ConfigurationError, match="allow_host: expected a name"):
        serve_in_thread(allow_hosts=[name]).__enter__()
