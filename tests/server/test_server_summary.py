"""Sums, percentiles, groups and brief lists, on every database."""

from __future__ import annotations

import json
import math

import pytest
from databases import in_memory

from keywordsai.server.aggregates import Percentiles
from keywordsai.server.figures import MOST_GROUPS, MOST_SPANS
from keywordsai.server.hours import note_removed
from keywordsai.server.ids import IdSource
from keywordsai.server.newlogs import new_log
from keywordsai.server.query import Condition, ListQuery, Selection
from keywordsai.server.store import Store

MINUTE = 60_000_000
HOUR = 60 * MINUTE
NEW_ID = IdSource()


@pytest.fixture
def store(database):
    store = Store.open(in_memory(database))
    yield store
    store.close()


def put(store, logs, *, start=0, step=MINUTE):
    """Store logs, a step of time apart; their ids."""
    new = []
    for n, log in enumerate(logs):
        body = {"timestamp": (start + n * step) / 1e6, **log}
        new.append(new_log(json.dumps(body), body, log_id=NEW_ID(), now=0))
    return store.add(new)


def only(field, *values, name=""):
    return Selection(conditions=(Condition(field=field, operator=name, values=values),))


def test_sums_and_means(store):
    assert store.summarize(Selection()).requests == 0
    assert store.summarize(Selection()).latency is None
    put(
        store,
        [
            {"cost": 0.5, "prompt_tokens": 3, "completion_tokens": 4, "latency": 2},
            {"cost": 0.25, "prompt_tokens": 1, "ttft": 0.5, "latency": 4},
            {"status_code": 500, "model": "m", "tokens_per_second": 8},
            {"error_message": "no", "total_tokens": 2**62},
            {"total_tokens": 2**62, "status": "success", "status_code": 500},
        ],
    )
    found = store.summarize(Selection())
    assert (found.requests, found.errors, found.cost) == (5, 2, 0.75)
    assert (found.prompt_tokens, found.completion_tokens) == (4, 4)
    assert found.tokens == pytest.approx(2**63)
    assert (found.latency, found.time_to_first_token) == (3, 0.5)
    assert found.tokens_per_second == 5
    assert store.summarize(only("model", "m")).requests == 1
    assert store.summarize(only("cost", 0.3, name="gt")).cost == 0.5
    assert store.summarize(Selection(start=MINUTE, end=2 * MINUTE)).cost == 0.25
    assert store.summarize(Selection(text="nowhere")).requests == 0


def test_an_overview_over_time(store):
    put(store, [{"latency": 1 + n % 2, "cost": 1} for n in range(8)], step=HOUR // 4)
    put(store, [{"status_code": 503}], start=3 * HOUR + 1)
    found = store.overview(Selection(start=1, end=4 * HOUR - 1), step=HOUR)
    assert (found.step, found.total.requests, found.total.errors) == (HOUR, 8, 1)
    assert [span.start for span in found.spans] == [0, HOUR, 2 * HOUR, 3 * HOUR]
    assert [span.figures.requests for span in found.spans] == [3, 4, 0, 1]
    assert [span.figures.errors for span in found.spans] == [0, 0, 0, 1]
    assert found.spans[1].latency == Percentiles(p50=1, p95=2, p99=2)
    assert found.spans[2].latency == found.spans[3].latency == Percentiles()
    assert found.latency.p50 == 2
    everything = store.overview(Selection(), step=HOUR)
    assert [span.figures.requests for span in everything.spans] == [4, 4, 0, 1]
    assert store.overview(only("model", "nowhere"), step=HOUR).spans == ()


def test_an_overview_before_1970_and_over_a_long_time(store):
    put(store, [{}, {}], start=-HOUR // 2, step=HOUR)
    found = store.overview(Selection(), step=HOUR)
    assert [(span.start, span.figures.requests) for span in found.spans] == [
        (-HOUR, 1),
        (0, 1),
    ]
    put(store, [{}], start=10_000 * HOUR)
    found = store.overview(Selection(), step=HOUR)
    assert len(found.spans) <= MOST_SPANS
    assert found.step == 16 * HOUR
    assert sum(span.figures.requests for span in found.spans) == 3


def test_groups(store):
    logs = [{"model": f"m{n}"} for n in range(30) for _ in range(n + 1)]
    put(store, [*logs, {"customer_identifier": "é", "latency": 3}], step=1)
    groups = store.overview(Selection(), step=HOUR).groups
    assert list(groups) == ["model", "customer_identifier", "prompt_id"]
    models = groups["model"]
    assert len(models) == MOST_GROUPS
    assert [(group.value, group.figures.requests) for group in models[:2]] == [
        ("m29", 30),
        ("m28", 29),
    ]
    rest, customer = groups["customer_identifier"]
    assert (rest.value, rest.figures.requests) == (None, 465)
    assert (customer.value, customer.latency.p99) == ("é", 3)


def test_percentiles_are_within_one_percent(store):
    latencies = [1.0007**n for n in range(1000)] + [0, 1e-9, 1e9]
    put(store, [{"latency": latency} for latency in latencies], step=1)
    found = store.overview(Selection(), step=HOUR).latency
    ordered = sorted(latencies)
    for percent, value in ((50, found.p50), (95, found.p95), (99, found.p99)):
        exact = ordered[math.ceil(len(ordered) * percent / 100) - 1]
        assert value == pytest.approx(exact, rel=0.01)


def test_brief_logs_page_by_id(store):
    ids = put(
        store,
        [
            {
                "prompt_messages": [{"role": "user", "content": f"Question {n}?"}],
                "completion_message": {"role": "assistant", "content": "Yes.\n" * 90},
                "model": f"m{n % 2}",
                "total_tokens": n,
                "latency": n,
                "metadata": {"a": n},
            }
            for n in range(7)
        ],
        step=-MINUTE,
    )

    def numbers(selection=None, **bounds):
        given = {"before": None, "after": None, "limit": 3, **bounds}
        found = store.brief(selection or Selection(), **given)
        return [log.total_request_tokens for log in found]

    assert numbers() == [6, 5, 4]
    assert numbers(before=ids[4]) == [3, 2, 1]
    assert numbers(before=ids[0]) == []
    assert numbers(after=ids[1]) == [4, 3, 2]
    assert numbers(after="0") == [2, 1, 0]
    assert numbers(after=ids[6]) == []
    assert numbers(after=ids[1], before=ids[3]) == [2]
    assert numbers(only("model", "m1")) == [5, 3, 1]
    assert numbers(only("a", 4, name="lt"), limit=10) == [3, 2, 1, 0]
    assert numbers(Selection(end=-4 * MINUTE)) == [6, 5, 4]
    assert numbers(Selection(start=-4 * MINUTE)) == [4, 3, 2]
    (log,) = store.brief(Selection(), before=None, after=ids[5], limit=1)
    assert (log.id, log.prompt, log.model) == (ids[6], "Question 6?", "m0")
    assert log.answer.startswith("Yes. Yes.")
    assert (log.latency, log.cost, log.status, log.timestamp) == (
        6,
        None,
        "success",
        -6 * MINUTE,
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("straße", {0, 1}),
        ("STRASSE", {0, 1}),
        ("  where", {0, 2}),
        ('say "hi"', {2}),
        ("line\nbreak", {2}),
        ("\U0001f600", {3}),
        ("paris", {3}),
        ("user", set()),
        ("content", set()),
        ("100%", {1}),
        ("100_", set()),
        ("hidden", set()),
    ],
)
def test_free_text(store, words, expected):
    ids = put(
        store,
        [
            {
                "prompt_messages": [
                    {"role": "user", "content": "Where? Hauptstra\xdfe 1"}
                ]
            },
            {"input": "nothing", "output": {"answer": "100% STRASSE"}},
            {
                "prompt_messages": [
                    {"role": "user", "content": [{"type": "text", "text": "Where"}]}
                ],
                "completion_message": {
                    "role": "assistant",
                    "content": 'Say "hi", line\nbreak',
                },
            },
            {
                "output": "\U0001f600",
                "completion_message": {
                    "role": "assistant",
                    "tool_calls": [
                        {"function": {"name": "go", "arguments": '{"to": "Paris"}'}}
                    ],
                    "content": "\U0001f600",
                },
                "metadata": {"x": "hidden"},
            },
        ],
    )
    selection = Selection(text=words)
    found = store.brief(selection, before=None, after=None, limit=9)
    assert {ids.index(log.id) for log in found} == expected
    assert [log.id for log in found] == sorted((log.id for log in found), reverse=True)
    assert store.summarize(selection).requests == len(expected)


def test_a_search_takes_no_longer_than_it_may(store, monkeypatch):
    put(store, [{"input": f"word {n}"} for n in range(1200)], step=1)
    monkeypatch.setattr("keywordsai.server.matching._PATIENCE", 0)
    selection = Selection(text="word")
    found = store.brief(selection, before=None, after=None, limit=1000)
    assert len(found) == 500  # the newest ones: a search looks at some at least
    assert store.brief(Selection(text="x"), before=None, after=None, limit=1) == []


def count(store, **span):
    query = ListQuery(
        selection=Selection(**span),
        page=1,
        page_size=1,
        sort_by="id",
        descending=True,
        include_fields=None,
        url="",
    )
    return store.find(query).count


def test_counts_by_the_hour_are_exact(store):
    put(store, [{}] * 300, start=HOUR // 2, step=HOUR // 60)
    put(store, [{}], start=90 * HOUR)
    assert count(store) == 301
    for start, end in [
        (0, 2 * HOUR),
        (HOUR, HOUR),
        (HOUR + 1, HOUR * 3),
        (HOUR * 5, None),
    ]:
        expected = sum(
            start <= at and (end is None or at <= end)
            for at in [*(HOUR // 2 + n * (HOUR // 60) for n in range(300)), 90 * HOUR]
        )
        assert count(store, start=start, end=end) == expected
    assert count(store, start=2 * HOUR, end=HOUR) == 0
    with store._writer.begin() as connection:
        note_removed(connection, [90 * HOUR], part=0)
    assert count(store) == 300
