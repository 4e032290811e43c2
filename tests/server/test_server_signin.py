"""Signing in: cookies that are signed, expire, and lead nowhere else. No network."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest

from keywordsai import HTTPRequest
from keywordsai.server.signin import Attempts, SignIn, local_path

NOW = 1_800_000_000.0
MONTH = 30 * 24 * 3600


def posted(key, *, url="http://127.0.0.1:8723/sign-in", path="/", **headers):
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    body = urlencode({"key": key, "next": path}).encode()
    return HTTPRequest(method="POST", url=url, headers=sent, body=body)


def entered(sign_in, key="right", *, now=NOW, address="127.0.0.1", **options):
    return sign_in.enter(posted(key, **options), address=address, now=now)


def cookie_of(response):
    return response.header("set-cookie").partition(";")[0]


def test_a_right_key_gives_a_cookie_that_holds_for_a_month():
    sign_in = SignIn(keys=("other", "right"))
    answer = entered(sign_in, path="/logs?model=m")
    assert (answer.status, answer.header("location")) == (303, "/logs?model=m")
    attributes = answer.header("set-cookie").split("; ")[1:]
    assert attributes == [f"Max-Age={MONTH}", "Path=/", "HttpOnly", "SameSite=Strict"]
    held = {"Cookie": f"a=b; {cookie_of(answer)}; c"}
    again = SignIn(keys=("right",))  # another process, or after a restart
    for seconds, signed_in in ((0, True), (MONTH - 1, True), (MONTH, False)):
        session = again.session(held, now=NOW + seconds)
        assert (session.required, session.signed_in) == (True, signed_in)
    assert not SignIn(keys=("other",)).session(held, now=NOW).signed_in
    assert "right" not in str(answer.headers)
    assert "right" not in repr(sign_in)


def test_no_cookie_can_be_made_without_the_key():
    sign_in = SignIn(keys=("right",))
    name, _, token = cookie_of(entered(sign_in)).partition("=")
    version, until, signature = token.split(".")
    later = f"{version}.{int(until) + 1}.{signature}"
    for forged in (
        "",
        "1",
        later,
        token[:-1],
        token + "0",
        f"{version}.x.{signature}",
        f"1.²{until}.{signature}",
    ):
        assert not sign_in.session({"cookie": f"{name}={forged}"}, now=NOW).signed_in
    assert not sign_in.session({"cookie": f"other={token}"}, now=NOW).signed_in
    assert sign_in.session({"cookie": f"{name}={token}"}, now=NOW).signed_in


@pytest.mark.parametrize("key", ["wrong", "", "righ", "right ever", "rïght", "\x00"])
def test_a_wrong_key_shows_the_form_again(key):
    status, session = entered(SignIn(keys=("right",)), key, path="/overview")
    assert status == 403
    assert (session.signed_in, session.next) == (False, "/overview")
    assert session.message == "That is not a key of this server."


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"key=%ff", b"&" * 50, "é".encode(), b"key=a&" * 50]
)
def test_a_form_that_is_none(body):
    request = HTTPRequest(method="POST", url="http://127.0.0.1/sign-in", body=body)
    answer = SignIn(keys=("right",)).enter(request, address="::1", now=NOW)
    assert answer[0] == 403


@pytest.mark.parametrize(
    ("headers", "fine"),
    [
        ({}, True),
        ({"Origin": "http://127.0.0.1:8723"}, True),
        ({"Origin": "https://127.0.0.1:8723"}, True),
        ({"Origin": "http://127.0.0.1:9999"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec_Fetch_Site": "same-origin"}, True),
        ({"Sec_Fetch_Site": "none"}, True),
        ({"Sec_Fetch_Site": "same-site"}, False),
        ({"Sec_Fetch_Site": "cross-site"}, False),
        ({"Sec_Fetch_Site": "cross-site", "Origin": "http://127.0.0.1:8723"}, False),
    ],
)
def test_no_other_site_posts_the_form(headers, fine):
    sign_in = SignIn(keys=("right",))
    answer = entered(sign_in, **headers)
    if fine:
        assert answer.status == 303
    else:
        assert answer[0] == 403
        assert "another site" in answer[1].message


def test_by_https_the_cookie_is_for_https_alone():
    answer = entered(SignIn(keys=("right",)), Origin="https://127.0.0.1:8723")
    assert answer.header("set-cookie").endswith("; SameSite=Strict; Secure")


@pytest.mark.parametrize(
    "path",
    [
        *("", "logs", "//evil.example", "/\\evil.example", "\\\\evil.example"),
        *("http://evil.example", "https:/evil.example", "javascript:alert(1)"),
        *("/a\r\nSet-Cookie: a=b", "/\t/evil.example", "/é", "/a b"),
        *("/sign-in", "/sign-in?next=/sign-in", "/sign-out"),
    ],
)
def test_nobody_is_led_elsewhere(path):
    assert local_path(path) == "/"
    assert entered(SignIn(keys=("right",)), path=path).header("location") == "/"


def test_wrong_keys_are_slowed_down_for_each_address():
    sign_in = SignIn(keys=("right",))
    for _ in range(5):
        assert entered(sign_in, "wrong")[0] == 403
    status, session = entered(sign_in, "right")
    assert status == 429
    assert re.fullmatch(
        r"Too many wrong keys: try again in \d+ seconds\.", session.message
    )
    assert entered(sign_in, "right", address="192.0.2.7").status == 303
    assert entered(sign_in, "right", now=NOW + 6).status == 303


def test_the_memory_of_wrong_keys_is_bounded():
    attempts = Attempts()
    for number in range(5000):
        attempts.wrong(str(number), NOW)
    assert len(attempts._due) <= 1000
    attempts.wrong("late", NOW + 3600)
    assert len(attempts._due) == 1


def test_signing_out():
    sign_in = SignIn(keys=("right", "second"))
    one, two = (cookie_of(entered(sign_in, key)) for key in sign_in.keys)
    url = "http://127.0.0.1:8723/sign-out"
    left = sign_in.leave(HTTPRequest(method="POST", url=url, headers={"Cookie": one}))
    assert left.header("location") == "/sign-in"
    assert left.header("set-cookie").startswith(
        f"{one.partition('=')[0]}=; Max-Age=0; Path=/;"
    )
    both = HTTPRequest(method="POST", url=url, headers={"Cookie": f"{one}; {two}"})
    assert sign_in.leave(both).header("location") == "/sign-out"
    foreign = HTTPRequest(
        method="POST", url=url, headers={"Cookie": one, "Origin": "http://evil.example"}
    )
    assert sign_in.leave(foreign).header("set-cookie") is None


def test_without_keys_nobody_has_to():
    sign_in = SignIn()
    session = sign_in.session({}, now=NOW)
    assert (session.required, session.signed_in) == (False, True)
    assert entered(sign_in, "anything", path="/logs").header("location") == "/logs"
