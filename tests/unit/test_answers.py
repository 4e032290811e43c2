"""Logs as they are read back: lenient, nothing dropped."""

from __future__ import annotations

import copy
import pickle
from datetime import datetime, timedelta, timezone

import attrs
import pytest

from keywordsai import Log, LogPage
from keywordsai.logs._published import PUBLISHED_NAMES
from keywordsai.logs.answers import parse_moment

UTC = timezone.utc


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-20T10:30:00.000Z", datetime(2026, 1, 20, 10, 30, tzinfo=UTC)),
        ("2026-01-20T10:30:00z", datetime(2026, 1, 20, 10, 30, tzinfo=UTC)),
        ("2026-01-20 10:30", datetime(2026, 1, 20, 10, 30, tzinfo=UTC)),
        ("2026-01-20T10:30:00", datetime(2026, 1, 20, 10, 30, tzinfo=UTC)),
        ("2026-01-20T10:30:00.1", datetime(2026, 1, 20, 10, 30, 0, 100_000, tzinfo=UTC)),
        ("2026-01-20T10:30:00.123456789Z", datetime(2026, 1, 20, 10, 30, 0, 123_456, tzinfo=UTC)),
        ("2026-01-20T10:30:00+02:00", datetime(2026, 1, 20, 8, 30, tzinfo=UTC)),
        ("2026-01-20T10:30:00-0530", datetime(2026, 1, 20, 16, 0, tzinfo=UTC)),
        ("2026-01-20T10:30:00+02", datetime(2026, 1, 20, 8, 30, tzinfo=UTC)),
        ("2026-01-20T10:30:00 +02:00", datetime(2026, 1, 20, 8, 30, tzinfo=UTC)),
        ("2026-01-20", datetime(2026, 1, 20, tzinfo=UTC)),
        ("20260120", datetime(2026, 1, 20, tzinfo=UTC)),
        ("20260120T103000Z", datetime(2026, 1, 20, 10, 30, tzinfo=UTC)),
        ("20260120T1030", datetime(2026, 1, 20, 10, 30, tzinfo=UTC)),
        ("20260120T103000.25-0530", datetime(2026, 1, 20, 16, 0, 0, 250_000, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_moments_are_aware(text, moment):
    parsed = parse_moment(text)
    assert parsed == moment
    assert parsed.utcoffset() is not None
    assert Log.from_row({"timestamp": text, "start_time": text}).start_time == moment


@pytest.mark.parametrize(
    "value",
    ["", "soon", "2026-13-01T00:00:00Z", "2026-01-20T10:30+99:00", None, 5, "2026", "2026-01", "\u0662\u0660\u0662\u0666-01-20"],
)  # fmt: skip
def test_what_is_no_moment_stays_as_it_is(value):
    assert Log.from_row({"timestamp": value}).timestamp == value


def test_an_offset_is_kept():
    assert parse_moment("2026-01-20T10:30:00+02:00").utcoffset() == timedelta(hours=2)


def test_unknown_keys_are_kept_and_reached():
    log = Log.from_row({"id": "a", "model": "m", "scores": {"x": 1}, "update": 5})
    assert log.extra == {"scores": {"x": 1}, "update": 5}
    assert log.scores == log["scores"] == log.get("scores") == {"x": 1}
    assert log["model"] == log.model == "m"
    assert log["cost"] is None
    assert log.get("nothing", 7) == 7
    assert "scores" in log
    assert "cost" not in log
    assert 5 not in log
    with pytest.raises(KeyError):
        log["nothing"]
    with pytest.raises(AttributeError, match="no 'nothing'"):
        _ = log.nothing


@pytest.mark.parametrize("key", ["total_tokens", "total_request_tokens"])
def test_both_names_of_the_total_answer(key):
    log = Log.from_row({key: 3})
    assert log.total_tokens == log.total_request_tokens == log["total_tokens"] == 3


@pytest.mark.parametrize("absent", [None, ""])
def test_a_total_that_is_not_there_does_not_hide_the_other(absent):
    for one, other in (
        ("total_request_tokens", "total_tokens"),
        ("total_tokens", "total_request_tokens"),
    ):
        log = Log.from_row({one: 7, other: absent})
        assert log.total_tokens == log.total_request_tokens == 7
        assert log[one] == log[other] == 7
        assert dict(log) == {"total_request_tokens": 7}
    log = Log.from_row({"total_request_tokens": absent, "total_tokens": absent})
    assert log.total_tokens is log.total_request_tokens is None
    log = Log.from_row({"total_request_tokens": 0, "total_tokens": 5})
    assert (log.total_request_tokens, log.total_tokens) == (0, 5)


def test_where_both_totals_came_each_is_what_it_was():
    log = Log.from_row({"total_request_tokens": 5, "total_tokens": 9})
    assert (log.total_request_tokens, log.total_tokens, log["total_tokens"]) == (
        5,
        9,
        9,
    )


def test_a_log_is_a_mapping_of_what_it_has():
    log = Log.from_row({"id": "a", "cost": None, "score": 1})
    assert dict(log) == {"id": "a", "score": 1}
    assert list(log) == log.keys() == ["id", "score"]


def test_attributes_of_version_1_are_none_where_unanswered():
    log = Log()
    names = {field.name for field in attrs.fields(Log)}
    assert not names & PUBLISHED_NAMES
    assert all(getattr(log, name) is log[name] is None for name in PUBLISHED_NAMES)


def test_the_repr_shows_no_payload():
    log = Log.from_row(
        {"id": "a", "model": "m", "status": "success", "output": "secret"}
    )
    assert repr(log) == "Log(id='a', model='m', status='success')"


def test_logs_can_be_copied_and_pickled():
    log = Log.from_row({"id": "a", "x": 1, "timestamp": "2026-01-20T10:30:00Z"})
    assert pickle.loads(pickle.dumps(log)) == copy.deepcopy(log) == log
    page = LogPage(results=[log], count=1)
    assert pickle.loads(pickle.dumps(page)) == page
