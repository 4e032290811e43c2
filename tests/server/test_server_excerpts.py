"""The first words of a log, as a list of logs shows them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keywordsai.server.rows import derived, excerpts

CALL = {"id": None, "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
SEEN = [
    {"type": "text", "text": "What is\n\n this?"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    "And that?",
    {"no": "type"},
    5,
]


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ({}, ("", "")),
        ({"input": "a  b\tc", "output": {"d": 1}}, ("a b c", '{"d": 1}')),
        (
            {
                "prompt_messages": [
                    {"role": "user", "content": "first"},
                    {"role": "user", "content": "last"},
                    {"role": "tool", "content": "no"},
                ],
                "completion_message": {"role": "assistant", "content": "yes"},
                "input": "never",
                "output": "never",
            },
            ("last", "yes"),
        ),
        ({"messages": [{"role": "system", "content": "Be kind."}]}, ("Be kind.", "")),
        (
            {
                "prompt_messages": [{"role": "user", "content": SEEN}],
                "completion_message": {"content": None, "tool_calls": [CALL, 5, {}]},
            },
            ("What is this? [image_url] And that?", 'weather({"city": "Bern"})'),
        ),
        (
            {"completion_messages": [{"content": "one"}, {"content": "two"}]},
            ("", "one"),
        ),
        ({"completion_message": {"refusal": "No."}}, ("", "No.")),
        ({"error_message": "It broke."}, ("", "It broke.")),
        ({"prompt_messages": ["text"], "completion_message": 5}, ("text", "5")),
        ({"input": "a\x00b\ud800", "output": "é 🎉"}, ("a\ufffdb\ufffd", "é 🎉")),
        ({"input": "x" * 10_000, "output": "é" * 10_000}, ("x" * 200, "é" * 200)),
    ],
)
def test_excerpts(log, expected):
    assert excerpts(log) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "tool_calls", "function", "text"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
NAMES = ["prompt_messages", "messages", "completion_message", "completion_messages"]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*NAMES, "input", "output"]), JSON))
def test_any_log_has_excerpts(log):
    for made in (*excerpts(log), *excerpts(derived(log, log_id="0", timestamp=0))):
        assert len(made) <= 200
        assert made == " ".join(made.split())
        assert "\x00" not in made
        made.encode()
