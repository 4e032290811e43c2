from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keywordsai.server.pages.conversation import FIRST, conversation_of
from keywordsai.server.pages.parts import Call, Image, Text

PNG = "data:image/png;base64,iVBORw0KGgo="


def shape(messages):
    return [
        (message.role, *(shown(part) for part in message.parts)) for message in messages
    ]


def shown(part):
    if isinstance(part, Text):
        return part.text if not part.label else f"{part.label}: {part.text}"
    if isinstance(part, Image):
        return "image"
    arguments = {argument.name: argument.value.text for argument in part.arguments}
    return (part.name, arguments)


@pytest.mark.parametrize(
    ("body", "prompt", "answer"),
    [
        ({}, [], []),
        ({"input": "Why?", "output": "So."}, [("user", "Why?")], [("assistant", "So.")]),
        (
            {"input": '[{"role": "system", "content": "S"}]', "output": '{"role": "ai", "content": "A"}'},
            [("system", "S")],
            [("ai", "A")],
        ),
        ({"messages": ["plain", 5, None]}, [("user", "plain"), ("user", "5"), ("user", "null")], []),
        ({"input": [0.1, 0.2]}, [("user", "[0.1, 0.2]")], []),
        ({"prompt_messages": {"role": 7, "content": None}}, [("7",)], []),
        (
            {"output": {"choices": [{"message": {"role": "assistant", "content": "C"}}]}},
            [],
            [("assistant", "C")],
        ),
        (
            {"completion_message": {"role": "assistant", "content": None, "tool_calls": [{"id": None, "function": {"name": "f", "arguments": '{"a": 1, "b": "x"}'}}]}},
            [],
            [("assistant", ("f", {"a": "1", "b": "x"}))],
        ),
        ({"tool_calls": [{"function": {"name": "f", "arguments": "not json"}}]}, [], [("assistant", ("f", {"": "not json"}))]),
        ({"tool_calls": ["odd"]}, [], [("assistant", "Tool call: odd")]),
        (
            {"messages": [{"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"}, {"type": "function_call_output", "call_id": "c", "output": "4"}]},
            [("assistant", ("f", {})), ("tool", "Result of c: 4")],
            [],
        ),
        (
            {"completion_message": {"role": "assistant", "reasoning_content": "Hm", "content": [{"type": "thinking", "thinking": "T"}, {"type": "text", "text": "Yes"}, {"type": "refusal", "refusal": "No"}]}},
            [],
            [("assistant", "Reasoning: Hm", "Reasoning: T", "Yes", "Refusal: No")],
        ),
        ({"reasoning": "Because", "output": "So"}, [], [("assistant", "Reasoning: Because"), ("assistant", "So")]),
    ],
)  # fmt: skip
def test_shapes(body, prompt, answer):
    said = conversation_of(body)
    assert shape(said.prompt) == prompt
    assert shape(said.answer) == answer


def parts(content):
    (message,) = conversation_of(
        {"messages": [{"role": "user", "content": content}]}
    ).prompt
    return message.parts


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "image_url", "image_url": PNG},
        {"type": "input_image", "image": PNG},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
    ],
)  # fmt: skip
def test_images_in_the_log_are_shown(part):
    (image,) = parts([part])
    assert image.source == PNG


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/a.png",
        "//elsewhere.example/a.png",
        "javascript:alert(1)",
        "data:image/svg+xml;base64,PHN2Zz4=",
        "data:text/html;base64,PHN2Zz4=",
        'data:image/png;base64,abc" onerror="alert(1)',
        "data:image/png,raw",
        " " + PNG,
        "/logs/1",
        None,
        17,
        {"url": {"url": PNG}},
    ],
)  # fmt: skip
def test_no_other_image_is_shown(url):
    assert not [
        part
        for part in parts([{"type": "image_url", "image_url": url}])
        if isinstance(part, Image)
    ]
    assert not [
        part
        for part in parts(
            [
                {
                    "type": "image",
                    "source": {"media_type": "image/svg+xml", "data": "PHN2Zz4="},
                }
            ]
        )
        if isinstance(part, Image)
    ]


def test_what_is_shown_of_a_large_log_is_bounded():
    long = "x" * 3_000_000
    body = {
        "prompt_messages": [{"role": "user", "content": long}] * 300,
        "completion_message": {"role": "assistant", "content": "the answer"},
    }
    said = conversation_of(body)
    assert said.left_out == 100
    assert len(said.prompt) == 200
    assert len(said.prompt[0].parts[0].text) == 20_000
    assert said.prompt[0].parts[0].left_out == 2_980_000
    texts = [part.text for m in (*said.prompt, *said.answer) for part in m.parts]
    assert sum(map(len, texts)) <= 400_000
    assert texts[-1] == "the answer"  # there is always room for it


def test_the_first_and_the_last_messages_stay():
    messages = [{"role": "user", "content": str(index)} for index in range(500)]
    shown = [m.parts[0].text for m in conversation_of({"messages": messages}).prompt]
    assert shown[:FIRST] == [str(index) for index in range(FIRST)]
    assert shown[FIRST] == "320"
    assert shown[-1] == "499"


def test_large_images_are_named_only():
    large = f"data:image/png;base64,{'A' * 5_000_000}"
    (part,) = parts([{"type": "image_url", "image_url": large}])
    assert part.label == "Image too large to be shown here"
    many = parts(
        [{"type": "image_url", "image_url": f"data:image/png;base64,{'A' * 3_000_000}"}]
        * 6
    )
    assert sum(isinstance(part, Image) for part in many) == 3


def test_names_are_short_and_hide_nothing():
    (message,) = conversation_of(
        {"messages": [{"role": "us\u202eer" + "x" * 999, "content": ""}]}
    ).prompt
    assert message.role.startswith("us⟦U+202E⟧er")
    assert len(message.role) < 220


def test_deep_values_are_laid_out():
    deep = json.loads("[" * 390 + "]" * 390)
    (text,) = parts(deep)[:1]
    assert text.text


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8) | st.integers(),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["role", "content", "type", "text", "image_url", "url", "tool_calls", "function", "name", "arguments", "source", "message"]),
        inner | st.sampled_from(["text", "image", "tool_result", "function_call", "user", "tool"]),
        max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip
FIELDS = ["prompt_messages", "messages", "input", "completion_message", "completion_messages", "output", "tool_calls", "reasoning", "thinking"]  # fmt: skip


@given(body=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5))
@settings(deadline=None)
def test_any_json_can_be_shown(body):
    said = conversation_of(body)
    for message in (*said.prompt, *said.answer):
        assert isinstance(message.role, str)
        assert message.side in {"system", "user", "assistant", "tool", "other"}
        assert all(isinstance(part, Text | Image | Call) for part in message.parts)
