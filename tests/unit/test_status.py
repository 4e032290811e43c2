"""What an error answer says, and how long it asks to wait."""

from __future__ import annotations

import json
import time

import pytest

import keywordsai
from keywordsai import HTTPResponse
from keywordsai.transport.status import retry_after, status_error


def answer(status, body=b"", headers=None):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HTTPResponse(status=status, body=data, headers=headers or {})


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (301, "UnexpectedRedirectError"),
        (304, "UnexpectedRedirectError"),
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (409, "APIStatusError"),
        (413, "PayloadTooLargeError"),
        (422, "UnprocessableLogError"),
        (429, "RateLimitError"),
        (500, "ServerError"),
        (599, "ServerError"),
    ],
)
def test_the_class_follows_from_the_status(status, name):
    error = status_error(answer(status), attempts=3)
    assert type(error) is getattr(keywordsai, name)
    assert (error.status, error.attempts) == (status, 3)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"detail": "Log not found"}, "Log not found"),
        ({"error": "no"}, "no"),
        ({"detail": "", "error": "no"}, "no"),
        ({"message": "m", "error": None}, "m"),
        ({"detail": "Validation error", "errors": {"cost": ["bad", "worse"]}}, "Validation error: cost: bad, worse"),
        ({"cost": ["A number is required."]}, "cost: A number is required."),
        ({"errors": [{"index": 1}]}, "index: 1"),
        ({"detail": ["a", "b"]}, "a, b"),
        ({"errors": [[[[[[[["deep"]]]]]]]]}, "…"),
        ({"detail": "two\n lines"}, "two lines"),
        ({}, "Bad Request"),
        ([], "Bad Request"),
        (b"", "Bad Request"),
        (b"<html>secret</html>", "Bad Request"),
        (b"plain words", "plain words"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[" * 100_000, "[" * 199 + "…"),
        ({"detail": "x" * 300}, "x" * 199 + "…"),
        ({"detail": "key sk-12345 is bad"}, "key *** is bad"),
    ],
)  # fmt: skip
def test_the_message_is_the_status_and_the_servers_words(body, text):
    assert (
        str(status_error(answer(400, body), attempts=1, secret="sk-12345"))
        == f"400: {text}"
    )


@pytest.mark.parametrize(
    ("key", "detail", "shown"),
    [
        ("sk-12345", "xsk-12345x", "x***x"),  # from 8 characters on, wherever it is
        ("s3cr3t!", "key 's3cr3t!' is bad", "key '***' is bad"),
        ("s3cr3t!", "Bearer s3cr3t!", "Bearer ***"),
        ("$abc$", "it is $abc$.", "it is ***."),
        ("test", "the key test fails the tests", "the key *** fails the tests"),
        ("test", "latest test_key", "latest test_key"),
        ("abc", "key abc", "key abc"),  # too short to be told from words
        ("k", "tokens, k", "tokens, k"),
        ("", "tokens", "tokens"),
    ],
)
def test_a_short_key_is_taken_out_where_it_is_a_word(key, detail, shown):
    error = status_error(answer(401, {"detail": detail}), attempts=1, secret=key)
    assert str(error) == f"401: {shown}"


def test_the_error_carries_what_the_server_said():
    error = status_error(
        answer(429, {"detail": "d" * 500, "retry_after": 30}, {"X-Request-Id": "r1"}),
        attempts=2,
    )
    assert error.detail == "d" * 500
    assert error.body["retry_after"] == 30
    assert error.retry_after == 30
    assert error.request_id == "r1"
    assert status_error(answer(400), attempts=1).request_id is None
    assert str(status_error(answer(499), attempts=1)) == "499: no detail given"


DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
LATER = "Wed, 21 Oct 2026 07:28:07 GMT"


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({}, {}, None),
        ({"Retry-After": "3"}, {}, 3),
        ({"retry-after": "0"}, {}, 0),
        ({"Retry-After": "1.5"}, {}, 1.5),
        ({"Retry-After": LATER, "Date": DATE}, {}, 7),
        ({"Retry-After": DATE, "Date": LATER}, {}, 0),
        ({"Retry-After": "soon"}, {"retry_after": 4}, 4),
        ({"Retry-After": "-1"}, {}, None),
        ({"Retry-After": "nan"}, {}, None),
        ({"Retry-After": "inf"}, {}, None),
        ({"Retry-After": "9", "Retry-After-Ms": "250"}, {}, 0.25),
        ({}, {"retry_after": 30}, 30),
        ({}, {"retry_after": "30"}, 30),
        ({}, {"retry_after": True}, None),
        ({}, {"retry_after": [1]}, None),
        ({"X-RateLimit-Reset": "12"}, {}, 12),
        ({"X-RateLimit-Reset": "1792567687", "Date": DATE}, {}, 7),
        ({"X-RateLimit-Reset": "1792567680", "Date": "no date"}, None, None),
    ],
)
def test_how_long_to_wait(headers, body, expected):
    response = answer(429, b"no json" if body is None else body, headers)
    if body is None:
        assert retry_after(response) is not None  # measured from this clock
    else:
        assert retry_after(response) == expected


@pytest.mark.parametrize(
    "date", ["Wed Oct 21 07:28:07 2026", "Wed, 21 Oct 2026 07:28:07 -0000", "Wednesday, 21-Oct-26 07:28:07 GMT", "Wed, 21 Oct 2026 09:28:07 +0200"]
)  # fmt: skip
def test_a_date_without_a_zone_is_gmt(date, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert retry_after(answer(503, b"", {"Retry-After": date, "Date": DATE})) == 7
    finally:
        monkeypatch.undo()
        time.tzset()


def test_dates_can_be_measured_from_a_given_now():
    assert retry_after(answer(503, b"", {"Retry-After": LATER}), now=1792567680) == 7
    assert retry_after(answer(503, b"", {"Retry-After": "Sun, 99 Foo 2026"})) is None
