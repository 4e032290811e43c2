"""What the server's tests share: a small client, and the server as a process."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import attrs

from keywordsai.server.intake import Intake
from keywordsai.server.store import Store

NOT_NOW = {"detail": "The server's database cannot be used now; try again"}
DEADLINE = 20.0  # seconds that anything may take before a test gives up
KEY = "a-made-up-key"


@attrs.frozen
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


def call(url, method="GET", body=None, *, key=KEY, headers=None, query=None):
    """Send one request over a connection of its own; ``body`` is bytes or JSON."""
    parts = urlsplit(url)
    if query:
        parts = parts._replace(query=urlencode(query))
    sent = {
        **({} if key is None else {"Authorization": f"Bearer {key}"}),
        **(headers or {}),
    }
    data = (
        body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    )
    connection = http.client.HTTPConnection(
        parts.hostname, parts.port, timeout=DEADLINE
    )
    with contextlib.closing(connection):
        target = parts._replace(scheme="", netloc="").geturl()
        connection.request(method, target, data, sent)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())


def create(url, body, **options):
    answer = call(f"{url}/api/request-logs/create/", "POST", body, **options)
    assert answer.status == 201, answer.body
    return answer.json["id"]


def keep(database, *bodies):
    """Put logs into a database unchecked, as they may be there from before."""
    store, intake = Store.open(database), Intake()
    with contextlib.closing(store):
        return store.add_posted(
            [intake.posted(json.dumps(one), None) for one in bodies]
        )


def get(url, log_id, **options):
    answer = call(f"{url}/api/request-logs/{log_id}/", **options)
    assert answer.status == 200, answer.body
    return answer.json


def listed(url, **query):
    answer = call(f"{url}/api/request-logs/list/", query=query)
    assert answer.status == 200, answer.body
    return answer.json


def until(condition):
    """Wait for a condition, and fail once the deadline has passed."""
    end = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)
    return value


def children(pid):
    """The processes that a process has started and that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it is gone by now
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid and state != "Z":
                found.append(int(path.parent.name))
    return found


def clean_environment(**extra):
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KEYWORDS", "RESPAN"))
        and not name.lower().endswith("_proxy")
    }
    return {**kept, **extra}


def start(*arguments, **environment):
    """Start ``python -m keywordsai`` with these arguments."""
    return subprocess.Popen(
        [sys.executable, "-m", "keywordsai", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(**environment),
    )


def run(*arguments, **environment):
    """Run a command to its end: exit code, standard output, standard error."""
    with start(*arguments, **environment) as process:
        try:
            out, err = process.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return process.returncode, out, err


def stopped(process, number=signal.SIGTERM):
    """Send a signal and wait: exit code, the rest of standard output and error."""
    process.send_signal(number)
    out, err = process.communicate(timeout=DEADLINE)
    return process.returncode, out, err


@contextlib.contextmanager
def serving(database, *arguments, **environment):
    """The server as a process: gives the process and its URL, kills it at the end."""
    process = start(
        "serve", "--port", "0", "--database", database, *arguments, **environment
    )
    try:
        first = process.stdout.readline()
        assert first.startswith("Keywords AI log server listening on http://"), (
            first + process.stderr.read()
        )
        assert "KEYWORDSAI_BASE_URL=" in process.stdout.readline()
        until(lambda: process.stdout.readline() == "Stop it with Ctrl-C.\n")
        yield process, first.split()[-1]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
