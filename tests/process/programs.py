"""Programs that log, as processes of their own; killed when their test ends."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

LOGS = 200
DEADLINE = 40.0  # seconds that a program may take before its test has failed
EXIT_TIMEOUT = 2.0

START = """
import asyncio, gc, json, os, signal, sys, threading, time
from keywordsai import LogAPI, Timeout

URL, FOLDER = sys.argv[1], sys.argv[2] or None

def connect(**options):
    return LogAPI(**{
        "api_key": "key-of-tests", "base_url": URL, "block": False, "spool": FOLDER,
        **options,
    })

def log(number):
    return {"model": "gpt-4", "metadata": {"number": number}}

def say(**values):
    os.write(1, json.dumps({"now": time.monotonic(), **values}).encode() + b"\\n")

def sums(stats):
    return {
        "accepted": stats.accepted, "delivered": stats.delivered,
        "pending": stats.pending, "dead": stats.dead, "dropped": dict(stats.dropped),
    }
"""

WARN = "import logging; logging.basicConfig(format='%(levelname)s %(message)s')"
FLUSH = "client = connect(); say(**sums(client.flush(20)))"

LARGE = f"""
client = connect()
for number in range({LOGS}):
    answer = client.create({{**log(number), "output": "x" * 3000}})
    assert answer == {{"message": "log queued"}}
say(**sums(client.stats()))
say(**sums(client.flush(20)))
"""

CHILDREN, EACH = 4, 50
CHILD = f"""
def create(client, child):
    for n in range({EACH}):
        client.create(log(child * 1000 + n))

def watch():
    '''What hangs in a child is killed, and its parent hears of it.'''
    import faulthandler
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.alarm(10)
"""

# asyncio finds this machine slow; Python dislikes a fork beside any other thread.
NOT_OURS = re.compile(
    r"^Executing <|use of fork\(\) may lead|^  (self\.)?\w+ = os\.fork"
)


class Program:
    """A running program, and what it said."""

    def __init__(self, path, url, folder, *, dev, arguments=(), **options):
        # Not every warning an error: one in a finalizer is on stderr either way.
        flags = ["-X", "dev"] if dev else ["-W", "default"]
        self.process = subprocess.Popen(
            [
                *(sys.executable, *flags, str(path)),
                *(url, str(folder or ""), *arguments),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            **options,
        )
        self.ended = None
        self._heard = b""

    def hear(self):
        """The next thing it says; waits for it."""
        end = time.monotonic() + DEADLINE
        out = self.process.stdout.fileno()
        while b"\n" not in self._heard:
            assert select.select([out], [], [], end - time.monotonic())[0], "silence"
            data = os.read(out, 65536)
            assert data, f"it ended:\n{self.process.stderr.read().decode()}"
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        return json.loads(line)

    def tell(self):
        """Let it go on: it reads a line."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def end(self, code=0, seconds=DEADLINE):
        """Wait for its end; all that it said and was not heard yet."""
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"it did not end:\n{err.decode()}") from None
        self.ended = time.monotonic()
        self.stderr = err.decode()
        assert self.process.returncode == code, self.stderr
        lines = (self._heard + out).splitlines()
        return [json.loads(line) for line in lines]

    def kill(self):
        """Kill it, and its children with it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    @property
    def complaints(self):
        """The lines on its stderr, but those of Python's about forks."""
        lines = self.stderr.splitlines()
        return [line for line in lines if not NOT_OURS.search(line)]


class Programs:
    """Starts programs against a server.

    Args:
        url: Of the server.
        folder: Of their spools, "" for memory.
        dev: Whether they run in Python's development mode, which is slow.
    """

    def __init__(self, url, folder, *, dev=False):
        self.url, self.folder, self.dev = url, folder, dev
        self._all = []
        self._texts = tempfile.TemporaryDirectory()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in self._all:
            program.kill()
            program.process.communicate()
        self._texts.cleanup()

    def start(self, *texts, first="", folder=None, **options):
        """Start a program of these pieces of text, the same things defined first.

        ``folder`` wins over the common one: "" is memory.
        """
        where = self.folder if folder is None else folder
        # A file, for children of multiprocessing to import.
        path = pathlib.Path(self._texts.name, f"program_{len(self._all)}.py")
        pieces = (textwrap.dedent(text) for text in texts)
        path.write_text("\n".join([first, START, *pieces]))
        options = {"dev": self.dev, "start_new_session": True, **options}
        program = Program(path, self.url, where, **options)
        self._all.append(program)
        return program

    def run(self, *texts, **options):
        """Run a program to its good end: it says nothing on stderr."""
        program = self.start(*texts, **options)
        said = program.end()
        assert program.complaints == [], program.stderr
        return said


def until(condition, seconds=20.0):
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def left_in(folder):
    return sorted(path.name for path in pathlib.Path(folder).iterdir())


def place(where):
    """The argument that has a program log into memory, or into the common folder."""
    return {"folder": "" if where == "memory" else None}


def numbers_of_children():
    """The numbers of the logs of a parent, and of each child."""
    return [child * 1000 + n for child in range(CHILDREN + 1) for n in range(EACH)]


def agrees(sums):
    """Whether numbers of a client add up."""
    parts = sums["delivered"] + sums["pending"] + sums["dead"]
    return sums["accepted"] == parts + sum(sums["dropped"].values())


def _environment():
    """That of the tests, without proxies and settings of ours."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy")
        and not name.startswith(("KEYWORDSAI_", "KEYWORDS_AI_", "RESPAN_"))
    }
