import base64
import os

import pytest

from keywordsai import ConfigurationError
from keywordsai.transport.network import Network, split_credentials

URL = "https://api.example:8443/api"


def proxy(url=URL, given=None, **environ):
    return Network.resolve(url, proxy=given, environ=environ).proxy


def test_nothing_set():
    assert Network.resolve(URL, environ={}) == Network()


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        (URL, {"https_proxy": "http://p:1"}, "http://p:1"),
        (URL, {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        (URL, {"https_proxy": "http://a", "HTTPS_PROXY": "http://b"}, "http://a"),
        (URL, {"https_proxy": "", "HTTPS_PROXY": "http://b"}, "http://b"),
        (URL, {"all_proxy": "http://a", "https_proxy": "http://b"}, "http://b"),
        (URL, {"ALL_PROXY": "p:1"}, "http://p:1"),
        (URL, {"http_proxy": "http://p:1"}, None),
        ("http://h", {"https_proxy": "http://p:1"}, None),
        ("http://h", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        ("http://h", {"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, None),
        (
            "http://h",
            {"http_proxy": "http://p:1", "REQUEST_METHOD": "GET"},
            "http://p:1",
        ),
    ],
)
def test_which_variable(url, environ, expected):
    assert proxy(url, **environ) == expected


@pytest.mark.parametrize(
    ("bypass", "host", "expected"),
    [
        ("*", "api.example", True),
        ("api.example", "api.example", True),
        ("API.Example", "api.example", True),
        ("example", "api.example", True),
        (".example", "api.example", True),
        ("ample", "api.example", False),
        ("other, example", "api.example", True),
        (" , ", "api.example", False),
        ("example:8443", "api.example", True),
        ("example:443", "api.example", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("::1", "[::1]", True),
        ("[::1]", "[::1]", True),
        ("fd00::/8", "[fd00::5]", True),
        ("::1", "api.example", False),
        ("[::1]:8443", "[::1]", True),
        ("[::1]:443", "[::1]", False),
        ("[::1]x", "[::1]", False),
        ("10.1.2.3:8443", "10.1.2.3", True),
    ],
)
def test_bypassed(bypass, host, expected):
    url = f"https://{host}:8443/api"
    for name in ("no_proxy", "NO_PROXY"):
        found = proxy(url, **{"https_proxy": "http://p:1", name: bypass})
        assert (found is None) is expected


@pytest.mark.parametrize(
    ("bypass", "url", "expected"),
    [
        ("a.com:443", "https://a.com/api", True),
        ("a.com:80", "https://a.com/api", False),
        ("a.com:80", "http://a.com/api", True),
        ("a.com:443", "https://a.com:443/api", True),
        ("[::1]:5", "http://[::1]:5/api", True),
        ("[::1]:80", "http://[::1]/api", True),
        ("[::1]:6", "http://[::1]:5/api", False),
    ],
)
def test_a_port_may_be_the_schemes_own(bypass, url, expected):
    found = proxy(url, all_proxy="http://p:1", no_proxy=bypass)
    assert (found is None) is expected


def test_the_argument_wins():
    assert proxy(given="http://a:1", https_proxy="http://b:1") == "http://a:1"
    assert proxy(given="http://a:1", no_proxy="*") == "http://a:1"
    assert proxy(given="", https_proxy="http://b:1") is None


def test_a_user_without_a_password_has_an_empty_one():
    assert proxy(given="http://u@p:1") == "http://u:@p:1"
    assert proxy(given="http://u:@p:1") == "http://u:@p:1"
    assert proxy(given="http://u:s@p:1") == "http://u:s@p:1"


@pytest.mark.parametrize(
    "value",
    ["socks5://p:1", "p:1", "http://", "http://p:port", "http://[p", 7, b"http://p",
     0, False, b"", [], "http://x y:1", "http://x\ty:1", "http://p:1\n", "http://x\x00", "http://127.1:3128", "http://0"],
)  # fmt: skip
def test_no_proxy_url(value):
    with pytest.raises(ConfigurationError, match=r"^proxy must be an http:// or"):
        proxy(given=value)


def test_credentials_have_to_fit_a_header():
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY: the credentials"):
        proxy(HTTPS_PROXY="http://user:%E2%82%AC@p:1")


def test_a_proxys_scheme_in_capitals():
    for url in ("HTTPS://p:1", " HTTPS://p:1"):
        assert proxy(given=url) == "https://p:1"
    network = Network.resolve("http://h", proxy="Https://u@P:1", environ={})
    assert network.proxy == "https://u:@P:1"
    assert network.encrypts("http://h")


def test_credentials_are_told_apart():
    assert split_credentials("http://p:1") == ("http://p:1", {})
    url, headers = split_credentials("https://a%40b:c%3a%C3%A9d@[::1]:1/")
    assert url == "https://[::1]:1/"
    assert headers == {
        "Proxy-Authorization": "Basic "
        + base64.b64encode("a@b:c:éd".encode("latin-1")).decode()
    }


def test_repr_hides_credentials():
    shown = repr(Network(proxy="http://user:secret@p:1", ca_bundle="/ca.pem"))
    assert shown == "Network(proxy='http://p:1', ca_bundle='/ca.pem')"
    assert repr(Network()) == "Network(proxy=None, ca_bundle=None)"


def test_certificates(tmp_path):
    first, second = tmp_path / "a.pem", tmp_path / "b.pem"
    first.touch()
    second.touch()

    def bundle(given=None, **environ):
        return Network.resolve(URL, ca_bundle=given, environ=environ).ca_bundle

    assert bundle(first, REQUESTS_CA_BUNDLE=str(second)) == str(first)
    assert bundle(str(tmp_path)) == str(tmp_path)
    assert bundle(CURL_CA_BUNDLE=str(first), SSL_CERT_FILE=str(second)) == str(first)
    assert bundle(REQUESTS_CA_BUNDLE="", SSL_CERT_FILE=str(second)) == str(second)
    assert bundle("", SSL_CERT_FILE=str(second)) == str(second)
    assert bundle(os.fsencode(first)) == str(first)
    for value in (0, False, [], 5):
        with pytest.raises(ConfigurationError, match=r"^ca_bundle must be a path"):
            bundle(value, SSL_CERT_FILE=str(second))
    with pytest.raises(ConfigurationError, match=r"^CURL_CA_BUNDLE names no file"):
        bundle(CURL_CA_BUNDLE=str(tmp_path / "none"))
