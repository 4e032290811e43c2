from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keywordsai.server.pages.shown import cut_json, lay_out, visible


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("a\r\nb", "a\nb"),
        ("a\rb", "a⟦U+000D⟧b"),
        ("\x00\x1b[31m", "⟦U+0000⟧⟦U+001B⟧[31m"),
        ("\u202e\u2066\u200f", "⟦U+202E⟧⟦U+2066⟧⟦U+200F⟧"),
        ("\u200b\ufeff\u2060", "⟦U+200B⟧⟦U+FEFF⟧⟦U+2060⟧"),
        ("\ud800x", "⟦U+D800⟧x"),
        ("\U000e0041", "⟦U+E0041⟧"),
        ("👩\u200d🚀 नमस्\u200cते", "👩\u200d🚀 नमस्\u200cते"),  # these joiners are needed
    ],
)
def test_what_hides_is_shown(text, seen):
    assert visible(text) == seen


@given(st.text())
def test_what_is_visible_can_be_encoded(text):
    assert visible(text).encode().decode() == visible(text)


def test_short_values_stay_on_their_line():
    assert cut_json({"a": [1, "ü"]}, 1000).text == '{"a": [1, "ü"]}'
    assert cut_json({"a": ["x" * 60]}, 1000).text.count("\n") == 4
    assert cut_json("text", 2).left_out > 0


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_laying_out_changes_no_value(value):
    laid = lay_out(json.dumps(value), 10**6)
    assert json.loads(laid.text) == value
    assert laid.left_out == 0


def test_laying_out_keeps_what_python_would_not():
    text = '{"a":1.50,"a":12345678901234567890123,"b":"\\u0041\\ud800 {[,"}'
    laid = lay_out(text, 1000).text
    assert [line.strip() for line in laid.splitlines()] == [
        "{",
        '"a": 1.50,',
        '"a": 12345678901234567890123,',
        '"b": "\\u0041\\ud800 {[,"',
        "}",
    ]


def test_laying_out_is_bounded():
    laid = lay_out(json.dumps(["x" * 5_000_000] * 3), 200_000)
    assert len(laid.text) == 200_000
    assert laid.left_out > 14_000_000
    many = lay_out("[" + "1," * 999_999 + "1]", 1000)
    assert len(many.text) == 1000
    assert lay_out("[" * 390 + "]" * 390, 10**6).text.startswith("[\n  [\n")
