"""Logs that try to hang the encoder, to make it raise, or to get into its messages."""

from __future__ import annotations

import collections
import faulthandler
import ipaddress
import pathlib
import threading
from decimal import Decimal
from enum import Enum

import numpy as np
import pydantic
import pytest

from keywordsai import InvalidLogError
from keywordsai.logs.serialization import decode_json, encode_log


@pytest.fixture(autouse=True)
def watchdog():
    faulthandler.dump_traceback_later(60, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def problems(log, **options):
    with pytest.raises(InvalidLogError) as caught:
        encode_log(log, **options)
    return dict(caught.value.problems)


class Endless:
    def model_dump(self, **_options):
        return Endless()


class Secret(Exception):
    pass


class BadItem(dict):
    def __getitem__(self, key):
        raise Secret("secret payload")


class BadItems(dict):
    def items(self):
        raise Secret("secret payload")


class BadSequence(collections.abc.Sequence):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise Secret("secret payload")


class BadKey:
    def __str__(self):
        raise Secret("secret payload")

    __repr__ = __str__


class Key:
    def __repr__(self):
        return "secret payload"


class Loud(int):
    def __str__(self):
        return "x" * 1_000_000

    __repr__ = __str__


class Field(str, Enum):
    TOKENS = "prompt_tokens"


own_list: list = []
own_list.append(own_list)


@pytest.mark.parametrize(
    ("log", "path", "text"),
    [
        ({"usage": [1]}, "usage", "expected an object, got list"),
        ({"prompt_messages": [["a"]]}, "prompt_messages[0]", "expected an object, got list"),
        ({"prompt_messages": [{"a"}]}, "prompt_messages[0]", "expected an object, got set"),
        ({"prompt_messages": own_list}, "prompt_messages[0]", "expected an object, got list"),
        ({"response_format": []}, "response_format", "expected an object, got list"),
        ({"usage": np.array([1])}, "usage", "expected an object, got ndarray"),
        ({"usage": Endless()}, "usage", "expected an object, got Endless"),
        ({"cost": Endless()}, "cost", "expected a number, got Endless"),
        ({"prompt_tokens": Decimal("15.0")}, "prompt_tokens", "expected an integer, got 15.0 (Decimal)"),
        ({"prompt_tokens": Decimal("1E+2")}, "prompt_tokens", "expected an integer, got 1E+2 (Decimal)"),
        ({"model": Decimal("9" * 1000)}, "model", f"expected a string, got {'9' * 40}… (Decimal)"),
        ({"model": Loud(5)}, "model", "expected a string, got 5 (Loud)"),
        ({"model": float("nan")}, "model", "expected a string, got nan (float)"),
        ({"model": type("T" * 5000, (int,), {})(5)}, "model", f"expected a string, got 5 ({'T' * 40}…)"),
        ({"metadata": {Key(): 1}}, "metadata", "cannot become JSON: Key"),
        ({"metadata": {"bad": BadItems(a=object())}}, "metadata.bad", "cannot become JSON: BadItems"),
        ({"metadata": {"a\nb": object()}}, "metadata.a\\nb", "cannot become JSON: object"),
        ({"metadata": {"": object()}}, "metadata.''", "cannot become JSON: object"),
        ({Field.TOKENS: "x"}, "prompt_tokens", "expected an integer, got 'x' (str)"),
    ],
)  # fmt: skip
def test_bad_input_is_told(log, path, text):
    assert problems(log)[path] == text


@pytest.mark.parametrize(
    "log",
    [
        {"usage": BadItem(prompt_tokens=1)},
        {"stop": BadSequence()},
        {"prompt_messages": BadSequence()},
        {BadKey(): 1},
        {"metadata": {BadKey(): object()}},
    ],
)
def test_objects_that_raise_are_problems_without_their_words(log):
    with pytest.raises(InvalidLogError) as caught:
        encode_log(log, strict=True)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_key_of_more_digits_than_python_prints_is_no_crash():
    assert "unknown" in str(problems({10**5000: 1}, strict=True).values())


def test_a_log_that_another_thread_changes_is_sent_or_told():
    log = {"metadata": {}, **{f"k{n}": n for n in range(50)}}
    stop = threading.Event()

    def change():
        n = 0
        while not stop.is_set():
            n += 1
            log[f"new{n % 50}"] = n
            log.pop(f"new{(n + 25) % 50}", None)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(500):
            try:
                encode_log(log)
            except InvalidLogError as error:  # noqa: PERF203
                assert "RuntimeError" in str(error) or "KeyError" in str(error)
    finally:
        stop.set()
        thread.join()


def test_messages_stay_short_however_much_is_wrong():
    with pytest.raises(InvalidLogError) as caught:
        encode_log({"prompt_messages": [{}] * 10_000})
    assert len(caught.value.problems) == 10_000
    assert str(caught.value).endswith("prompt_messages[19].role: required; and 9980 more problems")  # fmt: skip
    value: object = object()
    for _ in range(250):
        value = {"key": value}
    with pytest.raises(InvalidLogError) as caught:
        encode_log({"metadata": value})
    assert len(str(caught.value)) < 200
    with pytest.raises(InvalidLogError) as caught:
        encode_log({f"key{n}": 1 for n in range(10_000)}, strict=True)
    assert len(caught.value.problems) == 10_000


class Web(pydantic.BaseModel):
    url: pydantic.AnyHttpUrl
    ip: ipaddress.IPv4Address
    path: pathlib.Path


def test_more_objects_that_are_text_by_nature():
    model = Web(url="http://x.co/a", ip="10.0.0.1", path=pathlib.Path("/a/b"))
    log = {
        "metadata": model,
        "model": collections.UserString("abc"),
        "x": pathlib.PurePosixPath("a"),
    }
    assert decode_json(encode_log(log)) == {
        "metadata": {"url": "http://x.co/a", "ip": "10.0.0.1", "path": "/a/b"},
        "model": "abc",
        "x": "a",
    }


def test_pydantic_secrets_are_not_sent():
    class Keys(pydantic.BaseModel):
        key: pydantic.SecretStr

    found = problems({"metadata": Keys(key="secret payload")})
    assert found == {"metadata.key": "cannot become JSON: SecretStr"}


def test_numpys_odd_numbers():
    log = {
        "cost": np.longdouble(1.5),
        "x": [np.datetime64("NaT", "s"), np.float16(0.5)],
    }
    assert decode_json(encode_log(log)) == {"cost": 1.5, "x": [None, 0.5]}


def test_integers_of_any_length_come_back():
    for number in (10**5000, -(10**5000)):
        assert decode_json(encode_log({"n": number})) == {"n": number}
