"""What reaches the wire: key for key what was passed, or every problem at once."""

from __future__ import annotations

import collections
import copy
import dataclasses
import enum
import http
import inspect
import json
import sys
import types
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

import attrs
import numpy as np
import pydantic
import pytest

from keywordsai import Customer, InvalidLogError, LogParams, Message, Usage
from keywordsai.logs import serialization
from keywordsai.logs.serialization import (
    MAX_BODY,
    decode_json,
    encode_json,
    encode_log,
)

BERLIN = timezone(timedelta(hours=2))


class Role(enum.Enum):
    USER = "user"


class Price(enum.Enum):
    LOW = Decimal("0.10")


class Name(str, enum.Enum):
    GPT = "gpt-4"


class Key(enum.Enum):
    TOKENS = "prompt_tokens"
    ROLE = "role"
    OTHER = "other"
    NUMBER = 5


class Odd:
    def __str__(self):
        return "odd"


class Text(str):
    pass


class Whole(int):
    pass


class Real(float):
    pass


@dataclasses.dataclass
class Point:
    x: int
    y: object = None


@attrs.define
class Foreign:
    a: object
    b: object = None


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    when: datetime
    cost: Decimal
    nothing: int | None = None


Pair = collections.namedtuple("Pair", "a b")


@pytest.fixture(params=["orjson", "json"], autouse=True)
def writer(request, monkeypatch):
    """Every case holds with orjson, and without it as on PyPy."""
    if request.param == "json":
        monkeypatch.setattr(serialization, "orjson", None)


def sent(log, **options):
    return decode_json(encode_log(log, **options))


def problems(log, **options):
    with pytest.raises(InvalidLogError) as caught:
        encode_log(log, **options)
    return dict(caught.value.problems)


def test_keys_and_values_are_those_of_the_caller():
    log = {
        "model": "gpt-4",
        "unknown": {"deep": [1, {"er": None}]},
        "prompt_messages": [{"role": "any role", "content": None, "cache": {"x": 1}}],
        "cost": 0,
        "warnings": {"a": 1},
        "stop": "\n",
        "custom_identifier": 7,
    }
    before = copy.deepcopy(log)
    assert sent(log) == before
    assert log == before
    assert list(sent(log)) == list(before)


def test_top_level_none_is_left_out_and_nested_none_is_sent():
    log = {"model": None, "metadata": {"a": None}, "x": None}
    assert sent(log) == {"metadata": {"a": None}}
    assert log == {"model": None, "metadata": {"a": None}, "x": None}


def test_none_fields_of_attrs_objects_are_not_sent():
    log = LogParams(
        prompt_messages=[Message(role="user"), {"role": "x", "content": None}],
        customer_params=Customer(customer_identifier="c", tier="gold"),
        usage=Usage(prompt_tokens=1),
        application="a",
    )
    assert sent(log) == {
        "prompt_messages": [{"role": "user"}, {"role": "x", "content": None}],
        "customer_params": {"customer_identifier": "c", "tier": "gold"},
        "usage": {"prompt_tokens": 1},
        "application": "a",
    }


def test_any_mapping_is_a_log():
    assert sent(types.MappingProxyType({"model": "a"})) == {"model": "a"}
    assert sent(collections.ChainMap({"model": "a"}, {"cost": 1})) == {
        "model": "a",
        "cost": 1,
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=BERLIN), '"2026-01-02T03:04:05.000006+02:00"'),
        (datetime(2026, 1, 2, tzinfo=timezone.utc), '"2026-01-02T00:00:00+00:00"'),
        (datetime(1890, 1, 1, tzinfo=timezone(timedelta(minutes=53, seconds=28))), '"1889-12-31T23:06:32+00:00"'),
        (date(2026, 1, 2), '"2026-01-02"'),
        (time(3, 4), '"03:04:00"'),
        (timedelta(seconds=1.5), "1.5"),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Decimal("0.10"), "0.10"),
        (Decimal("1E+2"), "1E+2"),
        (Decimal("123456789012345678901234567890.12"), "123456789012345678901234567890.12"),
        (Decimal("NaN"), "null"),
        (Decimal("-Infinity"), "null"),
        (float("nan"), "null"),
        (float("inf"), "null"),
        (Role.USER, '"user"'),
        (Price.LOW, "0.10"),
        (Name.GPT, '"gpt-4"'),
        (http.HTTPStatus.OK, "200"),
        (Text("t"), '"t"'),
        (Whole(3), "3"),
        (Real(1.5), "1.5"),
        ({1}, "[1]"),
        (frozenset({"a"}), '["a"]'),
        ((1, (2,)), "[1,[2]]"),
        (Pair(1, 2), "[1,2]"),
        (collections.deque([1]), "[1]"),
        (range(2), "[0,1]"),
        (b"caf\xc3\xa9", '"café"'),
        (bytearray(b"\xff\x00"), '"/wA="'),
        (memoryview(b"ab"), '"ab"'),
        (Point(1, Decimal("2.50")), '{"x":1,"y":2.50}'),
        (Point(1), '{"x":1,"y":null}'),
        (Foreign(Foreign(1)), '{"a":{"a":1}}'),
        (Message(role="user", content=[Point(1)]), '{"role":"user","content":[{"x":1,"y":null}]}'),
        (Model(when=datetime(2026, 1, 2, tzinfo=timezone.utc), cost=Decimal("0.10"), more={1}), '{"when":"2026-01-02T00:00:00+00:00","cost":0.10,"nothing":null,"more":[1]}'),
        (types.MappingProxyType({"a": 1}), '{"a":1}'),
        (collections.UserDict(a=1), '{"a":1}'),
        (np.float32(1.5), "1.5"),
        (np.float64(1.5), "1.5"),
        (np.int64(7), "7"),
        (np.bool_(True), "true"),
        (np.array([[1, 2]]), "[[1,2]]"),
        (np.array([1.0, float("nan")]), "[1.0,null]"),
        (np.datetime64("2026-01-02T03:04:05.123456789"), '"2026-01-02T03:04:05.123456789"'),
        (2**64, "18446744073709551616"),
        (-(2**70), "-1180591620717411303424"),
        ("\ud800é", '"\\ud800\\u00e9"'),
        ({"k\udfff": [2**64, "é"]}, '{"k\\udfff":[18446744073709551616,"é"]}'),
        ({1: "a", 1.5: "b", True and "t": "c", None: "d"}, '{"1":"a","1.5":"b","t":"c","null":"d"}'),
        ({False: 1}, '{"false":1}'),
        ({Role.USER: 1, Name.GPT: 2, Text("t"): 3}, '{"user":1,"gpt-4":2,"t":3}'),
        ({uuid.UUID(int=1): 1, date(2026, 1, 2): 2}, '{"00000000-0000-0000-0000-000000000001":1,"2026-01-02":2}'),
        ({(1, 2): 1}, '{"[1,2]":1}'),
        ({Decimal("1.5"): 1, b"k": 2}, '{"1.5":1,"k":2}'),
        ({float("nan"): 1}, '{"null":1}'),
        ([None, True, False, "", 0, 1e300, "\x00\n"], '[null,true,false,"",0,1e+300,"\\u0000\\n"]'),
    ],
)  # fmt: skip
def test_python_objects_become_their_natural_json(value, expected):
    log = encode_log({"metadata": {"v": value}, "anything": [value]}).decode()
    unescaped = expected.replace("1e+300", "1e300")
    assert log in {
        f'{{"metadata":{{"v":{text}}},"anything":[{text}]}}'
        for text in (expected, unescaped)
    }


def test_naive_datetimes_are_local_time_with_its_offset(monkeypatch):
    naive = datetime(2026, 7, 1, 12, 0)
    text = sent({"timestamp": naive})["timestamp"]
    assert datetime.fromisoformat(text) == naive.astimezone()
    assert datetime.fromisoformat(text).utcoffset() is not None


def test_a_digits_limit_does_not_stop_a_long_integer():
    number = 10**5000
    body = encode_log({"metadata": {"n": number}})
    assert body == b'{"metadata":{"n":1' + b"0" * 5000 + b"}}"


class Nat(datetime):
    """As pandas' NaT: a datetime that is equal to nothing."""

    def __eq__(self, other):
        return False

    def __ne__(self, other):
        return True

    __hash__ = None


def test_a_datetime_that_is_no_moment_becomes_null():
    assert sent({"timestamp": Nat(2026, 1, 1)}) == {"timestamp": None}


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ({"prompt_tokens": "15"}, {"prompt_tokens": "expected an integer, got '15' (str)"}),
        ({"prompt_tokens": 1.5}, {"prompt_tokens": "expected an integer, got 1.5 (float)"}),
        ({"prompt_tokens": True}, {"prompt_tokens": "expected an integer, got True (bool)"}),
        ({"prompt_tokens": Decimal("1.5")}, {"prompt_tokens": "expected an integer, got 1.5 (Decimal)"}),
        ({"stream": "false"}, {"stream": "expected true or false, got 'false' (str)"}),
        ({"stream": 1}, {"stream": "expected true or false, got 1 (int)"}),
        ({"cost": "0.1"}, {"cost": "expected a number, got '0.1' (str)"}),
        ({"cost": False}, {"cost": "expected a number, got False (bool)"}),
        ({"model": 4}, {"model": "expected a string, got 4 (int)"}),
        ({"model": ["a"]}, {"model": "expected a string, got list"}),
        ({"custom_identifier": 1.5}, {"custom_identifier": "expected a string or an integer, got 1.5 (float)"}),
        ({"custom_identifier": True}, {"custom_identifier": "expected a string or an integer, got True (bool)"}),
        ({"timestamp": 5}, {"timestamp": "expected a string or a datetime, got 5 (int)"}),
        ({"metadata": [1]}, {"metadata": "expected an object, got list"}),
        ({"prompt_messages": "hi"}, {"prompt_messages": "expected a list, got 'hi' (str)"}),
        ({"prompt_messages": {"role": "u"}}, {"prompt_messages": "expected a list, got dict"}),
        ({"prompt_messages": b"hi"}, {"prompt_messages": "expected a list, got bytes"}),
        ({"prompt_messages": [{"role": "u"}, {"content": 5}, None, "hi"]}, {
            "prompt_messages[1].role": "required",
            "prompt_messages[1].content": "expected a string or a list, got 5 (int)",
            "prompt_messages[2]": "expected an object, got null",
            "prompt_messages[3]": "expected an object, got 'hi' (str)",
        }),
        ({"prompt_messages": [{"role": None}]}, {"prompt_messages[0].role": "required"}),
        ({"completion_message": {"content": "x"}}, {"completion_message.role": "required"}),
        ({"completion_message": 5}, {"completion_message": "expected an object, got 5 (int)"}),
        ({"prompt_messages": [{"role": "a", "tool_calls": [{"id": None, "function": {"name": 1}}]}]}, {
            "prompt_messages[0].tool_calls[0].function.name": "expected a string, got 1 (int)",
        }),
        ({"stop": [1]}, {"stop[0]": "expected a string, got 1 (int)"}),
        ({"stop": {"a": 1}}, {"stop": "expected a string or a list, got dict"}),
        ({"usage": {"prompt_tokens": "1", "prompt_tokens_details": {"cached_tokens": "2"}}}, {
            "usage.prompt_tokens": "expected an integer, got '1' (str)",
            "usage.prompt_tokens_details.cached_tokens": "expected an integer, got '2' (str)",
        }),
        ({"keywordsai_api_controls": {"block": 0}}, {"keywordsai_api_controls.block": "expected true or false, got 0 (int)"}),
        ({"tool_choice": {"type": "function", "function": {"name": 5}}}, {"tool_choice.function.name": "expected a string, got 5 (int)"}),
        ({"tool_choice": 5}, {"tool_choice": "expected a string or an object, got 5 (int)"}),
        ({"customer_params": Customer(customer_identifier=1.5)}, {"customer_params.customer_identifier": "expected a string or an integer, got 1.5 (float)"}),
        ({"metadata": {"o": object()}}, {"metadata.o": "cannot become JSON: object"}),
        ({"metadata": {"g": [iter([])]}}, {"metadata.g[0]": "cannot become JSON: list_iterator"}),
        ({"model": object()}, {"model": "cannot become JSON: object"}),
        ({"prompt_messages": [object()]}, {"prompt_messages[0]": "cannot become JSON: object"}),
        ({"metadata": {1: "a", "1": "b"}}, {"metadata.1": "two keys become this one: 1 (int) and '1' (str)"}),
        ({"prompt_tokens": 10**60}, None),
        ({"stream": 10**60}, {"stream": "expected true or false, got a number of more than 40 digits (int)"}),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_path(log, expected):
    if expected is None:
        assert sent(log) == log
    else:
        assert problems(log) == expected


def test_every_problem_is_told_in_one_go():
    cycle: dict = {}
    cycle["self"] = cycle
    found = problems(
        {
            "prompt_tokens": "15",
            "prompt_messages": [{}],
            "metadata": {"o": object(), "c": cycle},
            "anything": {5},
        }
    )
    assert found == {
        "prompt_tokens": "expected an integer, got '15' (str)",
        "prompt_messages[0].role": "required",
        "metadata.o": "cannot become JSON: object",
        "metadata.c.self": "refers to itself",
    }


@pytest.mark.parametrize("wrong", [None, [], "log", 5, [("model", "a")], object()])
def test_what_is_no_mapping_is_no_log(wrong):
    assert problems(wrong) == {
        "": f"a log is a mapping or a LogParams, got {type(wrong).__name__}"
    }


def test_values_are_checked_as_what_they_become():
    good = {
        "model": Name.GPT,
        "custom_identifier": uuid.UUID(int=1),
        "status_code": http.HTTPStatus.OK,
        "prompt_tokens": Decimal(15),
        "completion_tokens": np.int64(3),
        "cost": np.float32(0.5),
        "stream": np.bool_(True),
        "timestamp": date(2026, 1, 2),
        "start_time": Text("2026"),
        "embedding": np.zeros(2),
        "prompt_messages": (Point(1) and Message(role="u"), {"role": Role.USER}),
        "completion_message": Model(when=date.today(), cost=1, role="assistant"),
        "metadata": Point(1),
        "stop": {"a"},
        "error_message": b"bytes",
    }
    body = sent(good)
    assert body["model"] == "gpt-4"
    assert body["prompt_tokens"] == 15
    assert body["stream"] is True
    assert body["prompt_messages"] == [{"role": "u"}, {"role": "user"}]
    assert body["metadata"] == {"x": 1, "y": None}


def test_keys_are_known_by_the_text_they_become():
    """As the keys in the JSON are: an Enum by its value, bytes by what they say."""
    wrong = {Key.TOKENS: "15", b"model": 5, "cost": "x"}
    told = {
        "prompt_tokens": "expected an integer, got '15' (str)",
        "model": "expected a string, got 5 (int)",
        "cost": "expected a number, got 'x' (str)",
    }
    assert problems(wrong) == told
    assert problems(wrong, strict=True) == told
    right = {Key.TOKENS: 15, "prompt_messages": [{Key.ROLE: "user"}, {Key.ROLE: "x"}]}
    assert sent(right, strict=True) == {
        "prompt_tokens": 15,
        "prompt_messages": [{"role": "user"}, {"role": "x"}],
    }
    assert problems({"prompt_messages": [{Key.ROLE: 1}, {Key.OTHER: 1}]}) == {
        "prompt_messages[0].role": "expected a string, got 1 (int)",
        "prompt_messages[1].role": "required",
    }
    assert sent({Text("text"): 0, Key.OTHER: 1, Key.NUMBER: 2, None: 3, 4: 4}) == {
        "text": 0,
        "other": 1,
        "5": 2,
        "null": 3,
        "4": 4,
    }
    assert problems({Key.OTHER: 1, Key.NUMBER: 2}, strict=True) == {
        "other": "unknown; did you mean note?",
        "5": "unknown",
    }
    assert problems({Odd(): 1}, strict=True) == {
        "odd": "unknown",
        "": "cannot become JSON: Odd",
    }


@pytest.mark.parametrize("before", [0, 20])
def test_the_messages_of_a_long_list_are_checked_as_those_of_a_short_one(before):
    fine = {"role": "user", "content": "Hi"}
    call = {"role": "assistant", "tool_calls": [{"id": "1", "cache": None}]}
    front = [fine] * before
    messages = [*front, fine, call, {**fine, "cache": 1}, {**fine, "content": None}]
    for kind in (list, tuple, collections.deque):
        assert sent({"prompt_messages": kind(messages)})["prompt_messages"] == messages
        assert problems({"prompt_messages": kind([*messages, {"content": "x"}])}) == {
            f"prompt_messages[{before + 4}].role": "required"
        }
    wrong = [
        {"content": 5, "role": None},
        fine,
        {"tool_calls": "x", "role": 5},
        {"content": "", Key.ROLE: 5},
        {**call, "tool_calls": [{"id": 5}]},
    ]
    told = [
        (0, "content", "expected a string or a list, got 5 (int)"),
        (0, "role", "required"),
        (2, "tool_calls", "expected a list, got 'x' (str)"),
        (2, "role", "expected a string, got 5 (int)"),
        (3, "role", "expected a string, got 5 (int)"),
        (4, "tool_calls[0].id", "expected a string, got 5 (int)"),
    ]
    for more in ([], [Message(role="user")], [collections.OrderedDict(fine)]):
        with pytest.raises(InvalidLogError) as caught:
            encode_log({"prompt_messages": [*front, *wrong, *more]})
        assert list(caught.value.problems) == [
            (f"prompt_messages[{before + place}].{name}", text)
            for place, name, text in told
        ]
    strict = [*front, {**fine, "rolle": 1}, {"rolle": 1}]
    assert problems({"prompt_messages": strict}, strict=True) == {
        f"prompt_messages[{before}].rolle": "unknown; did you mean role?",
        f"prompt_messages[{before + 1}].rolle": "unknown; did you mean role?",
        f"prompt_messages[{before + 1}].role": "required",
    }
    assert problems({"prompt_messages": [{"x": 1}] * (before + 1)}) == {
        f"prompt_messages[{index}].role": "required" for index in range(before + 1)
    }


def test_strict_names_unknown_keys_and_the_nearest_known_one():
    log = {
        "promt_tokens": 15,
        "zzz": 1,
        "prompt_messages": [{"role": "u", "contnt": "x"}],
        "metadata": {"anything": 1},
    }
    assert sent(log) == log
    assert problems(log, strict=True) == {
        "promt_tokens": "unknown; did you mean prompt_tokens?",
        "zzz": "unknown",
        "prompt_messages[0].contnt": "unknown; did you mean content?",
    }
    extra = LogParams(model="m", promt_tokens=1)
    assert list(problems(extra, strict=True)) == ["promt_tokens"]


class Broken:
    def model_dump(self, **_options):
        raise RuntimeError("secret payload")


def test_an_object_that_fails_to_give_itself_is_a_problem_without_its_words():
    assert problems({"metadata": Broken()}) == {
        "metadata": "cannot become JSON: Broken"
    }


def test_no_message_carries_more_than_an_excerpt():
    long = "x" * 10_000
    with pytest.raises(InvalidLogError) as caught:
        encode_log({"prompt_tokens": long, long: object(), "stream": {"k": long}})
    assert len(str(caught.value)) < 400
    assert "x" * 50 not in str(caught.value)


def test_a_body_over_20_mib_is_refused():
    room = MAX_BODY - len('{"model":""}')
    assert len(encode_log({"model": "x" * room})) == MAX_BODY
    assert problems({"model": "x" * (room + 1)}) == {
        "": f"the log is {MAX_BODY + 1} bytes of JSON, over {MAX_BODY} (20 MiB)"
    }


def nested(depth):
    value: object = "bottom"
    for _ in range(depth):
        value = [value]
    return value


def test_deep_nesting_is_sent_until_it_is_a_problem():
    assert sent({"metadata": {"d": nested(280)}})["metadata"]["d"] == nested(280)
    (text,) = problems({"metadata": {"d": nested(2_000)}}).values()
    assert text == "nested too deeply (over 300 levels)"


def test_python_running_out_of_frames_is_a_problem_too():
    def deeper(frames):
        return deeper(frames - 1) if frames else problems({"m": nested(290)})

    depth = len(inspect.stack())
    found = deeper(sys.getrecursionlimit() - depth - 250)
    assert found == {"": "nested too deeply"}


def test_cycles_through_objects_are_found():
    point = Point(1)
    point.y = [point]
    assert problems({"metadata": {"p": point}}) == {
        "metadata.p.y[0]": "refers to itself"
    }
    shared = {"a": 1}
    assert sent({"x": [shared, shared]}) == {"x": [shared, shared]}


def test_encode_json_writes_filters_by_the_same_rules():
    assert encode_json({"a": [datetime(2026, 1, 1, tzinfo=timezone.utc)]}) == (
        b'{"a":["2026-01-01T00:00:00+00:00"]}'
    )
    with pytest.raises(InvalidLogError, match=r"a\[0\]: cannot become JSON: object"):
        encode_json({"a": [object()]})


def test_decode_json_is_exact():
    assert decode_json(b'{"n": 123456789012345678901234567890}')["n"] == (
        123456789012345678901234567890
    )
    assert decode_json(b'"\\ud800"') == "\ud800"
    for wrong in (b"", b"<html>", b"\xff", b"[" * 200_000):
        with pytest.raises(ValueError, match=r".*"):
            decode_json(wrong)


def test_the_repr_of_a_log_shows_no_payload():
    assert repr(LogParams(model="secret", cost=5)) == "LogParams(model, cost)"
    assert json.dumps(repr(Message(role="secret"))) == '"Message(role)"'
