"""What is measured of the delivery in processes of its own.

`pending_memory` and `many_processes` run this file. Such a process answers a line
when it is ready, begins when it reads one, and then prints what it measured, as JSON.
"""

from __future__ import annotations

import functools
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs
import sink
from delivery_cases import Calls, paced
from sample import log_of
from senders import flush, spool_folder

from keywordsai import LogAPI

__all__ = ["Memory", "many_processes", "pending_memory"]

_REST = 3.0  # seconds for the worker to try what it may while the server is down


@attrs.frozen
class Memory:
    """Bytes that pending logs take in RAM, over one client that delivered one."""

    resident: float
    peak: float


def pending_memory(logs: int) -> Memory:
    """The server goes away after the first log; then come so many."""
    with ExitStack() as server, ExitStack() as stack:
        base = server.enter_context(sink.running())
        folder = spool_folder(stack)
        process = stack.enter_context(_process("memory", base, folder, str(logs)))
        _line(process)
        server.close()
        _tell(process)
        return Memory(**json.loads(_line(process)))


def many_processes(base: str, number: int, rate: float, seconds: float) -> Calls:
    """The caller's time in all of them: one folder, and together so many a second."""
    with ExitStack() as stack:
        folder = spool_folder(stack)
        arguments = ("stream", base, folder, str(rate / number), str(seconds))
        processes = [stack.enter_context(_process(*arguments)) for _ in range(number)]
        for act in (_line, _tell):
            for process in processes:
                act(process)
        taken = [time for one in processes for time in json.loads(_line(one))]
    return Calls.of(taken)


@contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, __file__, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()  # it ends, whatever it waits for


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args!r} ended early")
    return line


def _tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def _client(base: str, folder: str) -> LogAPI:
    return LogAPI(api_key="benchmark", base_url=base, block=False, spool=folder)


def _wait_for_go() -> None:
    print("ready", flush=True)
    if not sys.stdin.readline():
        sys.exit()


def _memory(base: str, folder: str, logs: str) -> None:
    log = log_of(1000)
    with _client(base, folder) as client:
        client.create(log)
        flush(client)
        before = _kilobytes("VmRSS")
        _wait_for_go()
        for _ in range(int(logs)):
            client.create(log)
        time.sleep(_REST)  # what is measured is memory at rest
        pending = client.stats().pending
        if pending != int(logs):
            raise RuntimeError(f"{pending} logs are pending, not {logs}")
        after = _kilobytes("VmRSS"), _kilobytes("VmHWM")
        resident, peak = ((kilobytes - before) * 1024 for kilobytes in after)
        print(json.dumps({"resident": resident, "peak": peak}), flush=True)


def _stream(base: str, folder: str, rate: str, seconds: str) -> None:
    with _client(base, folder) as client:
        put = functools.partial(client.create, log_of(1000))
        put()
        flush(client)
        _wait_for_go()
        # Programs do not log in step.
        time.sleep(random.random() / float(rate))
        taken = paced(put, float(rate), float(seconds))
        flush(client)
        print(json.dumps(taken), flush=True)


def _kilobytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    raise RuntimeError(f"there is no {name} in /proc/self/status")


if __name__ == "__main__":
    {"memory": _memory, "stream": _stream}[sys.argv[1]](*sys.argv[2:])
