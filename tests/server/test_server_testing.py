"""The pytest plugin, as the tests of a program use it: in runs of pytest of their own."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest
from server_tools import clean_environment

PROGRAM = """
from keywordsai import LogAPI

def answer(question, **options):
    with LogAPI(**options) as client:
        return client.create({"model": "gpt-4", "input": question, "timestamp": "2001-02-03"})
"""

CAPTURED = """
import asyncio, os, threading
import pytest
from keywordsai import Log, LogAPI
from program import answer

def test_nothing_yet(captured_logs):
    assert len(captured_logs) == 0
    assert list(captured_logs) == []
    assert not captured_logs
    with pytest.raises(IndexError):
        captured_logs[0]

@pytest.mark.parametrize("again", [1, 2])
def test_logs_as_logs(captured_logs, again):
    answer("Why?")
    answer("How?", block=False)
    assert [log.input for log in captured_logs] == ["Why?", "How?"]
    first, last = captured_logs[0], captured_logs[-1]
    assert isinstance(first, Log)
    assert first.sent == {"model": "gpt-4", "input": "Why?", "timestamp": "2001-02-03"}
    assert [log.id for log in captured_logs[1:]] == [last.id]
    assert first in captured_logs
    assert repr(captured_logs) == "<CapturedLogs of 2 logs>"
    assert captured_logs.client.get(last.id).input == "How?"

def test_asynchronous_code_and_threads(captured_logs):
    async def main():
        async with LogAPI() as client:
            await client.acreate({"model": "async"})
    asyncio.run(main())
    thread = threading.Thread(target=answer, args=["thread"])
    thread.start()
    thread.join()
    assert [log.model for log in captured_logs] == ["async", "gpt-4"]

def test_more_than_a_page(captured_logs, monkeypatch):
    monkeypatch.setattr("keywordsai.testing._PAGE", 2)
    for i in range(5):
        answer(f"{i}")
    assert [log.input for log in captured_logs] == list("01234")

def test_what_the_environment_says_is_out_of_the_way(captured_logs):
    assert "KEYWORDSAI_API_KEY" not in os.environ
    assert "KEYWORDSAI_ENABLED" not in os.environ
    answer("Why?")
    assert len(captured_logs) == 1

def test_the_environment_comes_back():
    assert os.environ["KEYWORDSAI_ENABLED"] == "0"
    assert os.environ["KEYWORDSAI_API_KEY"] == "the-users-own"
"""

SERVER = """
import os, subprocess, sys, time
import pytest
from keywordsai import AuthenticationError, LogAPI, ServerError
from program import answer

def test_a_server(keywordsai_server):
    answer("Why?")
    subprocess.run([sys.executable, "-c", "from program import *; answer('How?')"], check=True)
    assert [log.input for log in keywordsai_server.logs()] == ["Why?", "How?"]
    assert keywordsai_server.client.list(start_time="2000-01-01").count == 2
    with pytest.raises(AuthenticationError):
        answer("Who?", api_key="wrong")
    assert keywordsai_server.base_url == keywordsai_server.url + "/api"
    assert repr(keywordsai_server) == f"<KeywordsAIServer {keywordsai_server.url}>"

def test_faults(keywordsai_server):
    keywordsai_server.fault("503 first 1")
    answer("Why?")
    keywordsai_server.fault("503")
    with pytest.raises(ServerError):
        answer("How?", retry=1)
    keywordsai_server.fault()
    assert [log.input for log in keywordsai_server.logs()] == ["Why?"]
    with pytest.raises(ValueError, match="expected what is to happen"):
        keywordsai_server.fault("earthquake")
"""

WITHOUT = """
import sys
sys.modules["sqlalchemy"] = None

def test_needs_neither():
    pass

def test_captured(captured_logs):
    pass

def test_server(keywordsai_server):
    pass
"""


@pytest.fixture
def run(tmp_path):
    """Run pytest on a file as users do, with the plugin; gives its standard output."""
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")

    def run(test, *options, **environment):
        (tmp_path / "test_it.py").write_text(test, encoding="utf-8")
        return subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-W", "error", "-p"),
                *("keywordsai.testing", "-p", "no:cacheprovider", "-p", "no:xdist"),
                *("--rootdir", str(tmp_path), *options),
            ],
            cwd=tmp_path,
            env=clean_environment(**environment),
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_captured_logs(run):
    done = run(
        CAPTURED, KEYWORDSAI_ENABLED="0", KEYWORDSAI_API_KEY="the-users-own",
        KEYWORDSAI_BASE_URL="http://127.0.0.1:1", KEYWORDSAI_SPOOL="/no/such/folder",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "7 passed" in done.stdout


def test_a_server_with_faults(run, tmp_path):
    path = str(tmp_path)
    done = run(SERVER, HTTP_PROXY="http://127.0.0.1:1", NO_PROXY="x", PYTHONPATH=path + ":" + sys.path[0] + ":".join(["", *sys.path]))  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "2 passed" in done.stdout


def test_without_the_extra_only_who_asks_hears_of_it(run):
    done = run(WITHOUT)
    assert done.returncode == 1
    assert "1 passed, 2 errors" in done.stdout
    for what in ("base_url is a database, which", "the fixture keywordsai_server"):
        assert f"{what} needs sqlalchemy: install the extra keywordsai[server]" in " ".join(done.stdout.split())  # fmt: skip


def test_the_plugin_costs_little():
    code = (
        "import keywordsai.testing, sys; print({'requests', 'aiohttp', 'sqlalchemy', "
        "'sqlite3', 'jinja2', 'alembic'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_the_entry_point_has_the_name_of_the_module():
    # Else whoever asks for it by `-p keywordsai.testing` would have it twice.
    config = configparser.ConfigParser()
    config.read(Path(__file__).parents[2] / "setup.cfg", encoding="utf-8")
    plugins = config["options.entry_points"]["pytest11"].split("\n")[1:]
    assert plugins == ["keywordsai.testing = keywordsai.testing"]


def test_the_fixtures_are_listed_with_what_they_are(run):
    done = run("", "--fixtures")
    for name in ("captured_logs", "keywordsai_server"):
        assert re.search(rf"(?m)^{name} -- .*testing.py:\d+\n    \S", done.stdout)
