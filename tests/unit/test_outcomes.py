"""Whose fault it was: the table of `keywordsai.delivery.outcomes`, row by row."""

from __future__ import annotations

import pytest

from keywordsai import ConnectError, HTTPResponse, ProtocolError, ReadTimeout
from keywordsai.delivery.outcomes import Verdict, refused_of, verdict
from keywordsai.transport.status import status_error


def answered(status):
    return status_error(HTTPResponse(status=status), attempts=1)


OK = HTTPResponse(status=201)
UNHEARD = ProtocolError("gone", response_started=False)


@pytest.mark.parametrize(
    ("outcome", "single", "batch"),
    [
        (OK, Verdict.DELIVERED, Verdict.DELIVERED),
        *((answered(status), Verdict.LOG_REFUSED, Verdict.BATCH_REFUSED) for status in (400, 413, 422)),
        *((answered(status), Verdict.FAILED, Verdict.BATCH_REFUSED) for status in (404, 405)),
        *((answered(status), Verdict.KEY_REFUSED, Verdict.KEY_REFUSED) for status in (401, 403)),
        *((answered(status), Verdict.FAILED, Verdict.FAILED) for status in (301, 402, 408, 409, 425, 429, 500, 502, 503, 504)),
        (UNHEARD, Verdict.STALE, Verdict.STALE),
        (ProtocolError("cut"), Verdict.FAILED, Verdict.FAILED),
        (ConnectError("refused"), Verdict.FAILED, Verdict.FAILED),
        (ReadTimeout("late"), Verdict.FAILED, Verdict.FAILED),
    ],
    ids=repr,
)  # fmt: skip
def test_the_table(outcome, single, batch):
    assert verdict(outcome, batch=False, was_stale=False) is single
    assert verdict(outcome, batch=True, was_stale=False) is batch


def test_a_connection_is_stale_once():
    assert verdict(UNHEARD, batch=False, was_stale=True) is Verdict.FAILED


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (b'{"success_count": 9, "error_count": 9, "errors": []}', {}),
        (b'{"errors": [{"index": 1, "error": "no"}]}', {1: "no"}),
        (b'{"errors": [{"index": 0}, {"index": "1"}, {"error": "?"}]}', {0: ""}),
        (b'{"errors": null}', {}),
        (b'{"errors": 5}', {}),
        (b'{"errors": ["no"]}', {}),
        (b"[]", {}),
        (b"<html>", {}),
        (b"", {}),
    ],
)
def test_only_the_index_says_which_were_refused(body, refused):
    assert refused_of(HTTPResponse(status=201, body=body)) == refused
