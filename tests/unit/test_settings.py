"""Settings: argument, then environment, then default; wrong ones are named."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from keywordsai import ConfigurationError, LogAPI, RetryPolicy, Timeout
from keywordsai.settings import _OWN_HEADERS, Secret, Settings

KEY = "sk-very-secret-key"


def resolve(environ=None, **options):
    options.setdefault("api_key", KEY)
    return Settings.resolve(environ=environ or {}, **options)


def refused(environ=None, **options):
    with pytest.raises(ConfigurationError) as caught:
        resolve(environ, **options)
    text = str(caught.value)
    assert KEY not in text
    return text


@pytest.mark.parametrize(
    ("given", "environ", "expected"),
    [
        ("argument", {"KEYWORDSAI_API_KEY": "a"}, "argument"),
        (None, {"KEYWORDSAI_API_KEY": "a", "KEYWORDS_AI_API_KEY": "b"}, "a"),
        (None, {"KEYWORDSAI_API_KEY": "", "KEYWORDS_AI_API_KEY": "b"}, "b"),
        (None, {"RESPAN_API_KEY": "c"}, "c"),
        ("", {"RESPAN_API_KEY": "c"}, "c"),
    ],
)
def test_the_key_comes_from_the_first_place_that_has_one(given, environ, expected):
    assert resolve(environ, api_key=given).api_key.reveal() == expected


def test_a_missing_key_is_refused_and_says_what_to_set():
    text = refused(api_key=None)
    assert "api_key=" in text
    assert "KEYWORDSAI_API_KEY" in text


@pytest.mark.parametrize(
    "key",
    ["a b", "a\n", "\ta", "a\x00", "schlüssel", " ", 5, b"a", 0, False, b"", [], ()],
)
def test_a_key_that_no_header_can_carry_is_refused(key):
    assert refused(api_key=key).startswith("api_key is no API key")
    if isinstance(key, str):
        text = refused({"KEYWORDS_AI_API_KEY": key}, api_key=None)
        assert text.startswith("KEYWORDS_AI_API_KEY is no API key")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "https://api.keywordsai.co/api"),
        ("https://api.keywordsai.co", "https://api.keywordsai.co/api"),
        ("https://api.keywordsai.co/", "https://api.keywordsai.co/api"),
        ("https://api.keywordsai.co/api", "https://api.keywordsai.co/api"),
        ("https://api.keywordsai.co/api/", "https://api.keywordsai.co/api"),
        ("https://x.co/api/api/", "https://x.co/api"),
        ("http://localhost:8723", "http://localhost:8723/api"),
        ("http://[::1]:8723/api", "http://[::1]:8723/api"),
        ("https://gateway.co/llm/", "https://gateway.co/llm/api"),
        ("https://gateway.co/llm/api", "https://gateway.co/llm/api"),
        (" https://x.co ", "https://x.co/api"),
    ],
)
def test_the_base_url_ends_in_one_api(given, expected):
    assert resolve(base_url=given).base_url == expected


def test_the_base_url_comes_from_the_first_place_that_has_one():
    environ = {
        "KEYWORDSAI_BASE_URL": "http://a",
        "KEYWORDS_AI_BASE_URL": "http://b",
        "RESPAN_BASE_URL": "http://c",
    }
    assert resolve(environ, base_url="http://d").base_url == "http://d/api"
    for name in list(environ):
        assert resolve(environ).base_url == f"{environ.pop(name)}/api"


@pytest.mark.parametrize(
    "url",
    ["api.keywordsai.co", "ftp://x", "http://", "https:///api", "http://x:99999",
     "http://x:0", "http://u:p@x", "http://x?q=1", "http://x#f", "http://x y",
     "http://ü.de", "http://[::1", 5, 0, False, b"", [],
     "http://0", "http://127.1:8723", "http://999.1.1.1", "http://1.2.3", "http://127.0.0.01",
     "http://127.0.0.1.", "http://2130706433", "http://1.2.3.4.5", "http://."],
)  # fmt: skip
def test_a_url_that_is_none_is_refused(url):
    assert refused(base_url=url).startswith("base_url must be an http:// or https://")
    if isinstance(url, str):
        text = refused({"RESPAN_BASE_URL": url})
        assert text.startswith("RESPAN_BASE_URL must be")


@pytest.mark.parametrize(("value", "on"), [("1", True), ("TRUE", True), ("", True), (" no ", False), ("0", False), ("off", False)])  # fmt: skip
def test_the_off_switch(value, on):
    assert resolve({"KEYWORDSAI_ENABLED": value}).enabled is on
    assert resolve({"KEYWORDSAI_ENABLED": value}, enabled=not on).enabled is not on


def test_the_off_switch_needs_no_key():
    assert not resolve(api_key=None, enabled=False).api_key


def test_bad_options_are_named():
    assert "KEYWORDSAI_ENABLED" in refused({"KEYWORDSAI_ENABLED": "maybe"})
    assert refused(enabled="yes").startswith("enabled must be")
    assert refused(strict=1).startswith("strict must be")
    assert len(refused(strict="x" * 1000)) < 100
    assert refused(ca_bundle=5, base_url="https://x").startswith("ca_bundle must be")
    for value in (0, -1, float("nan"), float("inf"), True, "5", [], Timeout, 10**400):
        assert refused(timeout=value).startswith("timeout.")
    for value in (0, -1, 1.5, True, "3"):
        assert refused(retry=value).startswith("retry.attempts must be")
    with pytest.raises(ConfigurationError, match=r"retry\.base"):
        RetryPolicy(base=-1)
    with pytest.raises(ConfigurationError, match=r"timeout\.read"):
        Timeout(read=0)


def test_timeout_and_retry_take_numbers_or_objects():
    assert resolve(timeout=3).timeout == Timeout(connect=3, read=3, total=3)
    assert resolve(timeout=7).timeout == Timeout(connect=5, read=7, total=7)
    assert resolve(timeout=60).timeout == Timeout(connect=5, read=10, total=60)
    assert resolve().timeout == Timeout(connect=5, read=10, total=30)
    assert resolve(retry=2).retry == RetryPolicy(attempts=2)
    assert resolve(retry=RetryPolicy(cap=1)).retry == RetryPolicy(cap=1)
    assert resolve().retry == RetryPolicy()


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ([("a", "b")], "headers must be a mapping"),
        ({"a b": "c"}, "a name is no valid"),
        ({"": "c"}, "a name is no valid"),
        ({"ä": "c"}, "a name is no valid"),
        ({5: "c"}, "a name is no valid"),
        ({"X-A": "c\r\nX-B: d"}, "the value of X-A"),
        ({"X-A": 5}, "the value of X-A"),
        ({"Authorization": "x"}, "Authorization is set by the client"),
        ({"Transfer-Encoding": "chunked"}, "Transfer-Encoding is set by the client"),
        ({"X-A": "x", "x-a": "y"}, "x-a is given twice"),
        ({"idempotency-key": "x"}, "idempotency-key is set by the client"),
    ],
)
def test_bad_headers_are_refused(headers, text):
    assert text in refused(headers=headers)


def test_every_header_that_is_refused_is_documented():
    page = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
    section = page.read_text(encoding="utf-8").partition("## Headers")[2]
    sentence = section.partition(" are refused")[0].lower()
    assert {name for name in _OWN_HEADERS if f"`{name}`" not in sentence} == set()


def test_headers_are_taken():
    assert resolve(headers={"X-Tenant": "a b"}).headers == {"X-Tenant": "a b"}


def test_certificates_matter_only_where_something_is_encrypted():
    environ = {"SSL_CERT_FILE": "/no/such/file"}
    assert resolve(environ, base_url="http://localhost").network.ca_bundle is None
    for options in (
        dict(base_url="https://x"),
        dict(base_url="http://x", proxy="https://p"),
    ):
        assert "SSL_CERT_FILE names no file" in refused(environ, **options)


def test_nothing_shows_the_key():
    settings = resolve(headers={"X-Token": KEY})
    client = LogAPI(KEY, "http://localhost")
    shown = [repr(settings), repr(client), repr(vars(client)), repr(settings.api_key)]
    client._endpoints.get("x")  # the headers are made by now
    shown += [repr(vars(client)), repr(client._endpoints.get("x"))]
    assert not any(KEY in text for text in shown)
    secret = Secret(KEY)
    assert not hasattr(secret, "__dict__")
    assert copy.copy(settings).api_key.reveal() == KEY
    with pytest.raises(TypeError, match="make a client in each process"):
        pickle.dumps(secret)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("sqlite:////var/logs.db", "sqlite:////var/logs.db"),
        (" sqlite:///logs.db ", "sqlite:///{here}/logs.db"),
        ("sqlite:///logs.db?timeout=3", "sqlite:///{here}/logs.db?timeout=3"),
        ("sqlite+pysqlite:////var/logs.db", "sqlite+pysqlite:////var/logs.db"),
        ("sqlite://", "sqlite://"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite:///file:name?mode=memory&uri=true", "sqlite:///file:name?mode=memory&uri=true"),
        ("postgresql://ada:pass-of-tests@db:5432/logs", "postgresql://ada:***@db:5432/logs"),
        ("postgresql+psycopg://ada@db/logs?password=pass-of-tests", "postgresql+psycopg://ada@db/logs"),
        ("postgres://[db/logs:pass-of-tests", "postgres://"),
    ],
)  # fmt: skip
def test_a_database_takes_the_place_of_a_server(given, shown, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    environ = {
        "KEYWORDSAI_BASE_URL": given,
        "KEYWORDSAI_API_KEY": "no key\n",
        "ALL_PROXY": "socks5://x",
        "SSL_CERT_FILE": "/no/such/file",
    }
    settings = Settings.resolve(environ=environ)
    assert settings.base_url == shown.format(here=tmp_path)
    assert "pass-of-tests" not in repr(settings) + settings.base_url
    assert settings.database.reveal().startswith(given.strip()[:10])
    assert settings.api_url == "http://embedded/api"
    assert settings.api_key.reveal() == ""


def test_a_server_is_no_database():
    settings = resolve(base_url="http://sqlite:8723")
    assert (settings.database, settings.api_url) == (None, "http://sqlite:8723/api")
