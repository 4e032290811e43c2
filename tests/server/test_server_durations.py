"""Spans of time as people write them."""

from __future__ import annotations

import pytest

from keywordsai.server.durations import EXPECTED, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30d", 30 * 86_400),
        ("12h", 43_200),
        ("90m", 5400),
        ("45s", 45),
        ("200ms", 0.2),
        ("2w", 1_209_600),
        ("1.5h", 5400),
        (" 20 s ", 20),
    ],
)
def test_spans(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "30",
        "d",
        "-1d",
        "0d",
        "0.0s",
        "1y",
        "1D",
        "1 h 2 m",
        "1e3s",
        "inf",
        "\uff19d",
        "9" * 10 + "d",
    ],
)
def test_what_is_none(text):
    with pytest.raises(ValueError, match="expected a span of time") as caught:
        parse_duration(text)
    assert str(caught.value).startswith(EXPECTED)
