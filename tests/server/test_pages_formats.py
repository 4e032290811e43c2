from __future__ import annotations

import math

import pytest

from keywordsai.server.pages import formats


@pytest.mark.parametrize("words", [formats.money, formats.count, formats.duration])
@pytest.mark.parametrize("value", [None, True, "12", [], math.nan, math.inf, 10**400])
def test_what_is_no_finite_number_is_a_dash(words, value):
    assert words(value) == formats.NOTHING


@pytest.mark.parametrize(
    ("dollars", "text"),
    [
        (0, "$0"),
        (0.0, "$0"),
        (1e-9, "<$0.000001"),
        (0.000028, "$0.000028"),
        (0.00799123, "$0.00799"),
        (0.5, "$0.50"),
        (0.9996, "$1.00"),
        (1, "$1.00"),
        (-0.25, "-$0.25"),
        (1234567.891, "$1,234,567.89"),
        (1e300, "$1e+300"),
    ],
)
def test_money(dollars, text):
    assert formats.money(dollars) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-1, formats.NOTHING),
        (0.0001, "<1 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (59.99, "59.99 s"),
        (59.996, "1 min 0 s"),
        (3599.7, "1 h 0 min"),
        (1e12, "1e+12 s"),
    ],
)
def test_duration(seconds, text):
    assert formats.duration(seconds) == text


def test_counts():
    assert formats.count(0) == "0"
    assert formats.count(1.5) == "1.5"
    assert formats.count(10**20) == "1e+20"
    assert formats.compact(999_999) == "1M"


def test_instants_keep_to_utc():
    assert formats.iso(0) == "1970-01-01T00:00:00.000Z"
    assert formats.utc(1) == "1970-01-01 00:00:00"
