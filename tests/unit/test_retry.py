"""The retry table, row by row."""

from __future__ import annotations

import pytest

from keywordsai import (
    ConfigurationError,
    ConnectError,
    HTTPResponse,
    ProtocolError,
    ReadTimeout,
    RetryPolicy,
)

STALE = ProtocolError("x", response_started=False)
CUT = ProtocolError("x", response_started=True)


def status(code, **headers):
    return HTTPResponse(
        status=code, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


@pytest.mark.parametrize(
    ("attempt", "outcome", "wait"),
    [
        (1, ConnectError("x"), 0.25),
        (2, ConnectError("x"), 0.5),
        (3, ConnectError("x"), 1.0),
        (4, ConnectError("x"), None),
        (1, STALE, 0.0),
        (2, STALE, 0.5),
        (3, STALE, 1.0),
        (1, CUT, 0.25),
        (1, ReadTimeout("x"), 0.25),
        *[(1, status(code), 0.25) for code in (408, 425, 429, 500, 502, 503, 504)],
        *[(1, status(code), None) for code in (301, 400, 401, 403, 404, 409, 413, 422, 501, 505)],
        (1, status(503, retry_after="7"), 7.0),
        (3, status(503, retry_after="7"), 7.0),
        (4, status(503, retry_after="7"), None),
        (1, status(429, retry_after_ms="20"), 0.02),
        (1, status(400, retry_after="7"), None),
    ],
)  # fmt: skip
def test_the_table(attempt, outcome, wait):
    assert RetryPolicy().wait(attempt, outcome, jitter=1.0) == wait


def test_jitter_takes_off_up_to_a_half():
    policy = RetryPolicy()
    assert policy.wait(1, ConnectError("x"), jitter=0.0) == 0.125
    assert policy.wait(1, ConnectError("x"), jitter=0.5) == 0.1875


def test_the_doubling_stops_at_the_cap():
    policy = RetryPolicy(attempts=5_000)
    waits = [policy.wait(n, ConnectError("x"), jitter=1.0) for n in (5, 6, 7, 4_999)]
    assert waits == [4.0, 8.0, 8.0, 8.0]


def test_at_most_once_retries_only_what_the_server_did_not_take():
    policy = RetryPolicy(resend=False)
    assert policy.wait(1, ReadTimeout("x"), jitter=1.0) is None
    assert policy.wait(1, CUT, jitter=1.0) is None
    assert policy.wait(1, ConnectError("x"), jitter=1.0) == 0.25
    assert policy.wait(1, STALE, jitter=1.0) == 0.0
    assert policy.wait(1, status(503), jitter=1.0) == 0.25


def test_one_attempt_never_retries():
    for outcome in (STALE, ConnectError("x"), status(503)):
        assert RetryPolicy.of(1).wait(1, outcome, jitter=1.0) is None


def test_the_statuses_are_a_setting():
    policy = RetryPolicy(statuses=[404])
    assert policy.wait(1, status(404), jitter=1.0) == 0.25
    assert policy.wait(1, status(503), jitter=1.0) is None


@pytest.mark.parametrize("option", [dict(resend=1), dict(statuses=["x"]), dict(statuses=5), dict(cap="1")])  # fmt: skip
def test_bad_options_are_named(option):
    with pytest.raises(ConfigurationError, match=rf"retry\.{next(iter(option))}"):
        RetryPolicy(**option)
