"""What is measured: a case is a function that gives the seconds of one operation.

A case does its operation many times and divides; what it needs (a client, its
connections, a loop) is made before the first round and closed by the stack.
Cases that are compared send or write the same log to the same sink.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import attrs
import requests
from requests.adapters import HTTPAdapter
from yarl import URL

from keywordsai import LogAPI
from keywordsai.logs.serialization import encode_log

__all__ = [
    "IN_FLIGHT",
    "Case",
    "Work",
    "async_cases",
    "encode_cases",
    "import_cases",
    "loaded_by_import",
    "published_case",
    "sync_cases",
]

Case: TypeAlias = Callable[[], float]

IN_FLIGHT = 64
_HEADERS = {
    "Authorization": "Bearer benchmark",
    "Content-Type": "application/json",
}
_IMPORTS_LATER = ("requests", "aiohttp", "sqlalchemy", "sqlite3")


@attrs.frozen(kw_only=True)
class Work:
    """How much one measurement does.

    Attributes:
        calls: One after another over HTTP.
        calls_in_flight: For each of the 64 that are in flight at once.
        kilobytes: Of JSON to write.
        published_calls: Of the published SDK, which takes far longer for each.
    """

    calls: int
    calls_in_flight: int
    kilobytes: int
    published_calls: int


def sync_cases(
    base: str, log: dict[str, Any], work: Work, stack: ExitStack
) -> dict[str, Case]:
    """`create` and its two floors, each over one connection of its own."""
    url = f"{base}/api/request-logs/create/"
    client = stack.enter_context(LogAPI(api_key="benchmark", base_url=base))
    session = stack.enter_context(requests.Session())
    session.headers.update(_HEADERS)
    adapter = HTTPAdapter()
    stack.callback(adapter.close)
    prepared = requests.Request("POST", url, headers=_HEADERS, json=log).prepare()

    def timed(call: Callable[[], object]) -> Case:
        call()  # connects
        return lambda: _seconds(call, work.calls)

    return {
        "post": timed(lambda: session.post(url, json=log)),
        "adapter": timed(lambda: adapter.send(prepared).content),
        "ours": timed(lambda: client.create(log)),
    }


def async_cases(
    base: str, log: dict[str, Any], work: Work, stack: ExitStack
) -> dict[str, Case]:
    """`acreate` and its two floors on one loop, 64 in flight."""
    url = f"{base}/api/request-logs/create/"
    parsed, body = URL(url), json.dumps(log).encode()
    loop = asyncio.new_event_loop()
    run = loop.run_until_complete
    stack.callback(loop.close)

    async def sessions() -> tuple[aiohttp.ClientSession, aiohttp.ClientSession]:
        bare = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=IN_FLIGHT),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None),
        )
        return bare, aiohttp.ClientSession(headers=_HEADERS)

    bare, usual = run(sessions())
    client = LogAPI(api_key="benchmark", base_url=base)
    stack.callback(lambda: run(client.aclose()))
    stack.callback(lambda: run(usual.close()))
    stack.callback(lambda: run(bare.close()))

    async def post_json() -> None:
        async with usual.post(url, json=log) as response:
            await response.read()

    async def post_bytes() -> None:
        async with bare.post(parsed, data=body) as response:
            await response.read()

    async def ours() -> None:
        await client.acreate(log)

    def timed(call: Callable[[], Awaitable[None]]) -> Case:
        run(_seconds_in_flight(call, 2))  # connects
        return lambda: run(_seconds_in_flight(call, work.calls_in_flight))

    return {"post": timed(post_json), "bare": timed(post_bytes), "ours": timed(ours)}


def encode_cases(log: dict[str, Any], work: Work) -> dict[str, Case]:
    """`encode_log` and plain `json.dumps`."""
    times = max(1, work.kilobytes * 1024 // len(json.dumps(log)))
    encode_log(log)  # makes the converter
    return {
        "dumps": lambda: _seconds(lambda: json.dumps(log), times),
        "ours": lambda: _seconds(lambda: encode_log(log), times),
    }


def import_cases() -> dict[str, Case]:
    """A fresh process that imports us, or only what we are built on, or nothing."""

    def timed(statement: str) -> Case:
        command = [sys.executable, "-c", statement]

        def run() -> float:
            return _seconds(lambda: subprocess.run(command, check=True), 1)

        run()  # writes the bytecode
        return run

    return {
        "nothing": timed("pass"),
        "floor": timed("import attrs, cattrs"),
        "ours": timed("from keywordsai import LogAPI"),
    }


def loaded_by_import() -> list[str]:
    """Those modules that our import should leave for later and does not."""
    statement = "import sys; from keywordsai import LogAPI; print(*sys.modules)"
    command = [sys.executable, "-c", statement]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    loaded = done.stdout.split()
    return [name for name in _IMPORTS_LATER if name in loaded]


def published_case(
    python: str, base: str, log: dict[str, Any], work: Work, stack: ExitStack
) -> tuple[str, Case]:
    """The published SDK's version and its `create`, in a process of its own.

    Raises:
        RuntimeError: It does not run there.
    """
    script = Path(__file__).with_name("published.py")
    process = stack.enter_context(
        subprocess.Popen(
            # Isolated, lest PYTHONPATH or the working directory name our package.
            [python, "-I", str(script), f"{base}/api", json.dumps(log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    )
    assert process.stdin is not None
    assert process.stdout is not None
    requests_in, answers = process.stdin, process.stdout
    stack.callback(requests_in.close)  # ends it

    def answer() -> str:
        line = answers.readline()
        if not line:
            raise RuntimeError(f"the published SDK does not run with {python}")
        return line.strip()

    def run() -> float:
        requests_in.write(f"{work.published_calls}\n")
        requests_in.flush()
        return float(answer())

    return answer(), run


def _seconds(call: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


async def _seconds_in_flight(call: Callable[[], Awaitable[None]], times: int) -> float:
    async def one_after_another() -> None:
        for _ in range(times):
            await call()

    start = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(IN_FLIGHT)))
    return (time.perf_counter() - start) / (times * IN_FLIGHT)
