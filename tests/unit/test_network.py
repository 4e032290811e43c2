import pytest

from keywordsai import ConfigurationError
from keywordsai.transport.network import Network

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
    ],
)
def test_bypassed(bypass, host, expected):
    url = f"https://{host}:8443/api"
    for name in ("no_proxy", "NO_PROXY"):
        found = proxy(url, **{"https_proxy": "http://p:1", name: bypass})
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
    ["socks5://p:1", "p:1", "http://", "http://p:port", "http://[p", 7, b"http://p"],
)
def test_no_proxy_url(value):
    with pytest.raises(ConfigurationError, match=r"^proxy must be an http:// or"):
        proxy(given=value)


def test_credentials_have_to_fit_a_header():
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY: the credentials"):
        proxy(HTTPS_PROXY="http://user:%E2%82%AC@p:1")


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
    with pytest.raises(ConfigurationError, match=r"^CURL_CA_BUNDLE names no file"):
        bundle(CURL_CA_BUNDLE=str(tmp_path / "none"))
