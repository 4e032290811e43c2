"""The parts by themselves: instants, ids, the handler without a network."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keywordsai.server.handler import Handler
from keywordsai.server.ids import IdSource
from keywordsai.server.indexing import index_of
from keywordsai.server.rows import derived
from keywordsai.server.shapes import presentable
from keywordsai.server.store import Store
from keywordsai.server.times import format_time, parse_time, to_microseconds
from keywordsai.transport.base import HTTPRequest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-20T10:30:00Z", "2026-01-20T10:30:00.000000Z"),
        ("2026-01-20T10:30:00.1z", "2026-01-20T10:30:00.100000Z"),
        ("2026-01-20T10:30:00,123456789-05:30", "2026-01-20T16:00:00.123456Z"),
        ("20260120T103000+01", "2026-01-20T09:30:00.000000Z"),
        (" 2026-01-20 10:30 ", "2026-01-20T10:30:00.000000Z"),
        ("2026-01-20", "2026-01-20T00:00:00.000000Z"),
        ("2026-01-20T10:30:00 02:00", "2026-01-20T08:30:00.000000Z"),
        (1768905000, "2026-01-20T10:30:00.000000Z"),
        (1768905000.25, "2026-01-20T10:30:00.250000Z"),
        (1768905000250, "2026-01-20T10:30:00.250000Z"),
        *(
            (bad, None)
            for bad in (
                "",
                "x",
                "2026-02-30",
                "2026-01-20T24:00",
                "2026-01-20T10:30+99:00",
                "0001-01-01T00:00+01:00",
                "9999-12-31T23:59-01:00",
                "\uff12026-01-20",
                None,
                [],
                True,
                1e300,
                float("inf"),
                10**400,
            )
        ),
    ],
)
def test_instants(value, expected):
    found = parse_time(value)
    assert (None if found is None else format_time(found)) == expected


@settings(deadline=None)
@given(st.datetimes())
def test_an_instant_survives(instant):
    stored = to_microseconds(instant)
    assert parse_time(format_time(stored)) == stored == parse_time(instant.isoformat())


def test_ids_rise_in_one_millisecond_and_over_threads(monkeypatch):
    monkeypatch.setattr(
        "keywordsai.server.ids.time.time_ns", lambda: 1_700_000_000_000_000_000
    )
    new_id, found = IdSource(), [[] for _ in range(4)]
    threads = [
        threading.Thread(
            target=lambda mine=mine: mine.extend(new_id() for _ in range(500))
        )
        for mine in found
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(mine == sorted(mine) for mine in found)
    ids = {log_id for mine in found for log_id in mine}
    assert len(ids) == 2000
    assert all(len(i) == 32 and i[12] == "7" and i[16] in "89ab" for i in ids)


def test_ids_rise_when_the_clock_steps_back(monkeypatch):
    clock = iter([2_000_000_000, 1_000_000_000, 3_000_000_000])
    monkeypatch.setattr("keywordsai.server.ids.time.time_ns", lambda: next(clock))
    new_id = IdSource()
    ids = [new_id() for _ in range(3)]
    assert ids == sorted(ids)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "model",
                "customer_params",
                "timestamp",
                "messages",
                "completion_message",
                "input",
                "note",
                "prompt",
                "tool_choice",
                "eval_params",
                "error_message",
                "total_request_tokens",
                "tokens_per_second",
                "usage",
                "zzz",
            ]
        )
        | st.text(max_size=4),
        JSON,
        max_size=6,
    ),
    st.dictionaries(st.text(max_size=4), JSON, max_size=4),
)
def test_any_body_makes_a_row(body, metadata):
    body = {**body, "metadata": metadata}
    full = derived(body, log_id="0", timestamp=0)
    assert set(full) >= set(body)
    row = presentable(full)
    assert isinstance(row.get("input", ""), str)
    index = index_of(full)
    keys = list(index.attributes)
    assert len(keys) == len(set(keys))


def test_the_handler_needs_no_network():
    store, handler = Store.open("sqlite://"), Handler(api_keys=("secret-key",))
    try:
        base, signed = (
            "http://anywhere/api/request-logs/",
            {"authorization": "bearer secret-key"},
        )
        made = handler.handle(
            HTTPRequest(
                method="POST",
                url=f"{base}create/",
                headers=signed,
                body=b'{"model": "m"}',
            ),
            store,
        )
        assert made.status == 201
        found = handler.handle(
            HTTPRequest(method="GET", url=f"{base}list/", headers=signed), store
        )
        assert b'"count": 1' in found.body
        assert (
            handler.handle(HTTPRequest(method="GET", url=f"{base}list/"), store).status
            == 401
        )
        assert (
            handler.handle(HTTPRequest(method="GET", url="http://[x/y"), store).status
            == 400
        )
        large = HTTPRequest(
            method="POST",
            url=f"{base}create/",
            headers=signed,
            body=b" " * (20 * 1024**2 + 1),
        )
        assert handler.handle(large, store).status == 413
        assert "secret-key" not in repr(handler)
    finally:
        store.close()
