"""What went in comes out, for any log."""

from __future__ import annotations

import copy
import faulthandler
import json
import math
from collections import UserDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keywordsai import InvalidLogError, LogParams, Message
from keywordsai.logs import serialization
from keywordsai.logs.schema import LogParams as Schema
from keywordsai.logs.serialization import encode_log

text = st.text(st.characters(exclude_categories=()), max_size=8)  # surrogates too
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**63, max_value=2**70)
    | st.floats()
    | text
)
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4)
    ),
    max_leaves=12,
)
python_values = st.recursive(
    scalars | st.decimals() | st.datetimes() | st.uuids() | st.binary() | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(text, inner, max_size=3)
        | st.dictionaries(st.integers(), inner, max_size=3)
        | st.dictionaries(text, inner, max_size=3).map(UserDict)
        | st.builds(lambda items: (*items,), st.lists(inner, max_size=3))
        | st.sets(st.integers(), max_size=3)
    ),
    max_leaves=8,
)
unknown_keys = text.filter(lambda key: key not in FIELDS)
FIELDS = frozenset(field for field in Schema.__slots__)
messages = st.fixed_dictionaries(
    {"role": text}, optional={"content": text | st.none() | st.lists(json_values), "x": json_values}
)  # fmt: skip
logs = st.fixed_dictionaries(
    {},
    optional={
        "model": text | st.none(),
        "prompt_messages": st.lists(messages, max_size=3),
        "metadata": st.dictionaries(text, json_values, max_size=3),
        "input": json_values,
        "cost": st.floats() | st.integers(),
        "prompt_tokens": st.integers(),
        "stream": st.booleans(),
    },
).flatmap(
    lambda log: st.dictionaries(unknown_keys, json_values, max_size=3).map(
        lambda more: {**log, **more}
    )
)


def without_nan(value):
    """JSON has no NaN and no infinities: they are null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    return [without_nan(item) for item in value] if isinstance(value, list) else value


@given(logs)
def test_what_went_in_comes_out(log):
    before = copy.deepcopy(log)
    body = encode_log(log)
    expected = {k: without_nan(v) for k, v in log.items() if v is not None}
    assert json.loads(body) == expected
    assert list(json.loads(body)) == list(expected)
    assert repr(log) == repr(before)


@given(st.dictionaries(text, python_values, max_size=4))
@settings(max_examples=200)
def test_both_writers_write_the_same(metadata):
    def attempt():
        try:
            return json.loads(encode_log({"metadata": metadata}))
        except InvalidLogError as error:
            return error.problems

    with pytest.MonkeyPatch.context() as patch:
        first = attempt()
        patch.setattr(serialization, "orjson", None)
        assert attempt() == first


@given(logs)
def test_objects_and_dicts_are_the_same_log(log):
    plain = {key: value for key, value in log.items() if value is not None}
    plain.pop("extra", None)
    objects = dict(plain)
    if "prompt_messages" in plain:
        objects["prompt_messages"] = [
            Message(
                **{key: value for key, value in message.items() if value is not None}
            )
            for message in plain["prompt_messages"]
        ]
        plain["prompt_messages"] = [
            {key: value for key, value in message.items() if value is not None}
            for message in plain["prompt_messages"]
        ]
    known = {key: value for key, value in objects.items() if key in FIELDS}
    extra = {key: value for key, value in objects.items() if key not in FIELDS}
    as_object = encode_log(LogParams(**known, extra=extra))
    assert json.loads(as_object) == json.loads(encode_log(plain))


@pytest.fixture(autouse=True)
def watchdog():
    """A value that never arrives at JSON must not hang the suite, or a program."""
    faulthandler.dump_traceback_later(120, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), python_values, max_size=4))
@settings(max_examples=300)
def test_whatever_is_in_a_field_it_is_sent_or_told(log):
    try:
        body = encode_log(log)
    except InvalidLogError as error:
        assert error.problems
        assert all(path.partition(".")[0].partition("[")[0] in log for path, _ in error.problems)  # fmt: skip
    else:
        assert set(json.loads(body)) == {k for k, v in log.items() if v is not None}


wrong_values = st.sampled_from([object(), iter([]), 3j, type])
paths = st.lists(st.one_of(st.integers(0, 3), st.sampled_from("abc")), max_size=6)


@given(paths, wrong_values)
def test_the_path_of_a_problem_leads_to_it(path, wrong):
    value, written = wrong, ""
    for step in reversed(path):
        if isinstance(step, int):
            value = [*range(step), value]
        else:
            value = {"z": 0, step: value}
    for step in path:
        written += f"[{step}]" if isinstance(step, int) else f".{step}"
    with pytest.raises(InvalidLogError) as caught:
        encode_log({"metadata": {"v": value}})
    assert [item[0] for item in caught.value.problems] == [f"metadata.v{written}"]
