"""The options of delivery: each is checked at construction, and named."""

from __future__ import annotations

from pathlib import Path

import pytest

from keywordsai import ConfigurationError, LogAPI, MockTransport
from keywordsai.delivery.options import DeliveryOptions


def options(environ=None, **given):
    every = dict(
        block=True, spool=None, on_drop=None, concurrency=16, bulk=False,
        max_pending=100_000, max_pending_bytes=2**30, max_age=1.0, exit_timeout=2.0,
    )  # fmt: skip
    return DeliveryOptions.resolve(**{**every, **given}, environ=environ or {})


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("block", 0, "block must be True or False, got 0 (int)"),
        ("bulk", "no", "bulk must be True or False, got 'no' (str)"),
        ("on_drop", 5, "on_drop must be a function of a log and a reason, or None, got 5 (int)"),
        *((name, value, f"{name} must be a whole number from 1 on")
          for name in ("concurrency", "max_pending", "max_pending_bytes")
          for value in (0, -1, True, 1.5, "9", None)),
        *(("max_age", value, "max_age must be a number of seconds above 0")
          for value in (0, -1, True, "9", float("nan"), float("inf"), None)),
        *(("exit_timeout", value, "exit_timeout must be a number of seconds from 0 on")
          for value in (-1, False, "9", float("nan"), float("inf"), None)),
        ("spool", 5, "spool must be the path of a folder, got 5 (int)"),
        ("spool", b"/tmp", "spool must be the path of a folder, got bytes"),
        ("spool", "a\0b", "spool must be the path of a folder"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(name, value, text):
    with pytest.raises(ConfigurationError) as caught:
        LogAPI("a-key", transport=MockTransport(), **{name: value})
    assert text in str(caught.value)


def test_the_folder_comes_from_the_argument_then_the_environment():
    environ = {"KEYWORDSAI_SPOOL": "/var/lib/app"}
    assert options(environ).spool == "/var/lib/app"
    assert options(environ, spool="/srv").spool == "/srv"
    assert options(environ, spool="").spool is None
    assert options().spool is None
    assert options(spool=Path("here")).spool == str(Path("here").absolute())
    assert options(spool="~").spool == str(Path.home())


def test_zero_seconds_for_the_exit_is_no_time_at_all():
    assert options(exit_timeout=0).exit_timeout == 0.0


@pytest.mark.parametrize("timeout", [-1, "5", True, float("nan")])
def test_a_flush_takes_seconds(timeout):
    with LogAPI("a-key", transport=MockTransport(), block=False) as client:
        with pytest.raises(ConfigurationError, match="timeout must be a number"):
            client.flush(timeout)
        assert client.flush(0).complete
