from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keywordsai.server.answers import Refusal
from keywordsai.server.pages.filters import canonical, read_filters
from keywordsai.server.times import parse_time

NOW = 1_700_000_000_000_000
DAY = 24 * 3600 * 1_000_000


def conditions(filters):
    return [(c.field, c.operator, c.values) for c in filters.selection.conditions]


@pytest.mark.parametrize(
    ("query", "shortest"),
    [
        ("", None),
        ("model=gpt-4", None),
        ("metadata__a=1&metadata__b=2", None),
        ("time=all&q=&status=&model=gpt-4&customer_identifier=", "?time=all&model=gpt-4"),
        ("q=&meta_key=&meta_value=", ""),
        ("meta_key=env&meta_value=prod&metadata__a=1", "?metadata__a=1&metadata__env=prod"),
        ("meta_key=env&meta_value=", ""),
        ("time=custom&start_time=&end_time=", ""),
        ("time=24h&start_time=2026-01-01T00:00&end_time=", "?start_time=2026-01-01T00%3A00"),
        ("model=a%26b%3Dc&q=", "?model=a%26b%3Dc"),
    ],
)  # fmt: skip
def test_a_form_has_one_shortest_url(query, shortest):
    assert canonical(query) == shortest
    if shortest is not None:
        assert canonical(shortest.removeprefix("?")) is None


@pytest.mark.parametrize(
    ("query", "window", "start", "end"),
    [
        ("", "all", None, None),
        ("time=all", "all", None, None),
        ("time=24h", "24h", NOW - DAY, None),
        ("time=15m", "15m", NOW - 900_000_000, None),
        ("start_time=2023-11-14", "custom", parse_time("2023-11-14"), None),
        ("end_time=2023-11-14T01:02", "custom", None, parse_time("2023-11-14T01:02Z")),
    ],
)
def test_windows(query, window, start, end):
    filters = read_filters(query, now=NOW)
    assert filters.window == window
    assert (filters.selection.start, filters.selection.end) == (start, end)


def test_what_a_url_asks_for():
    filters = read_filters(
        "model=gpt-4&metadata__env=prod&q=two%20%20words&thread_identifier=t", now=NOW
    )
    assert conditions(filters) == [
        ("model", "", ("gpt-4",)),
        ("metadata__env", "", ("prod",)),
        ("thread_identifier", "", ("t",)),
    ]
    assert filters.selection.text == "two words"
    assert filters.others == (("metadata__env", "prod"),)
    assert [(chip.label, chip.value) for chip in filters.chips] == [
        ("Text", "two words"),
        ("Model", "gpt-4"),
        ("env", "prod"),
        ("Thread", "t"),
    ]


def test_a_chip_takes_its_own_filter_off_and_no_other():
    query = "metadata__a=1&metadata__b=2&model=x&time=1h"
    for chip in read_filters(query, now=NOW).chips:
        left = set(parse_qsl(query)) - set(parse_qsl(chip.query.removeprefix("?")))
        assert len(left) == 1
        assert next(iter(left))[1] in {chip.value, "1h"}


def test_cursors_are_no_part_of_what_is_shared():
    filters = read_filters(f"model=x&before={'a' * 32}", now=NOW)
    assert filters.before == "a" * 32
    assert filters.query() == "?model=x"
    assert filters.query(before="b") == "?model=x&before=b"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("time=yesterday", "time"),
        ("start_time=soon", "start_time"),
        ("end_time=2026-99-99", "end_time"),
        ("before=a%20b", "before"),
        (f"after={'a' * 33}", "after"),
    ],
)
def test_what_cannot_be_read_is_named(query, named):
    with pytest.raises(Refusal, match=named) as refused:
        read_filters(query, now=NOW)
    assert refused.value.status == 400


@given(st.text(alphabet=st.characters(), max_size=40))
def test_any_query_is_read_or_refused(query):
    shortest = canonical(query)
    if shortest is not None:
        assert canonical(shortest.removeprefix("?")) is None
    try:
        filters = read_filters(query, now=NOW)
    except Refusal:
        return
    assert filters.query().isascii()
    assert all(chip.query.isascii() for chip in filters.chips)
