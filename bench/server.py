"""What is measured of the log server.

Ours and the floor are processes of their own, and both are sent the same bytes by the
same client. The floor is aiohttp.web with a handler that reads and decodes the body.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import attrs
import flood
from sample import log_of
from table import Row, in_turns, ratio, verdict

__all__ = ["SECTIONS", "Amount"]

CONNECTIONS = 64
_BULK = 500
_CREATE = "/api/request-logs/create/"
_MANY = "/api/request-logs/bulk/"
_WORDS = "listening on "


@attrs.frozen(kw_only=True)
class Amount:
    """How much is measured.

    Attributes:
        rounds: Of what takes seconds.
        creates: Logs of one round, one a request.
        bulks: Requests of one round, 500 logs each.
        kept: Logs in the database that is read.
    """

    rounds: int
    creates: int
    bulks: int
    kept: int


@attrs.frozen
class _Server:
    url: str
    pid: int

    def resident(self) -> float:
        """Bytes of it in RAM now, with the processes that it started."""
        return sum(map(_resident, [self.pid, *_children(self.pid)]))


def _resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096.0


def _children(pid: int) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it is gone by now
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                yield int(path.parent.name)


@contextlib.contextmanager
def _started(*command: str, marks: str = _WORDS) -> Iterator[_Server]:
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if marks in line:
                    yield _Server(line.partition(marks)[2].strip(), process.pid)
                    return
            raise RuntimeError("the server did not start")
        finally:
            process.terminate()


@contextlib.contextmanager
def _ours() -> Iterator[_Server]:
    """A server of ours over a fresh database in a file."""
    with tempfile.TemporaryDirectory(prefix="bench-server-") as folder:
        database = f"sqlite:///{folder}/logs.db"
        command = ("-m", "keywordsai", "serve", "--port", "0", "--database", database)
        with _started(*command) as server:
            yield server


def _floor() -> contextlib.AbstractContextManager[_Server]:
    return _started(__file__)


def _create(amount: Amount) -> Iterable[Row]:
    sent = flood.request(_CREATE, json.dumps(log_of(1000)).encode())

    def case(server: _Server) -> Callable[[], float]:
        def run() -> float:
            taken = flood.post(
                server.url, sent, times=amount.creates, connections=CONNECTIONS
            )
            return taken / amount.creates

        run()
        return run

    with ExitStack() as stack:
        compared = {
            "ours": case(stack.enter_context(_ours())),
            "floor": case(stack.enter_context(_floor())),
        }
        taken = in_turns("server, create", compared, amount.rounds)
    times = ratio(taken["floor"], taken["ours"])
    ours, floor = (1 / median(taken[name]) for name in ("ours", "floor"))
    yield Row(
        f"server: create, {CONNECTIONS} connections, of a bare handler",
        "at least 0.50",
        f"{times:.2f}",
        f"{ours:,.0f} / {floor:,.0f} logs/s",
        verdict(reached=times >= 0.5),
    )


def _bulk(amount: Amount) -> Iterable[Row]:
    logs = json.dumps({"logs": [log_of(1000)] * _BULK}).encode()
    sent = flood.request(_MANY, logs)

    def fresh() -> float:
        with _ours() as server:
            flood.post(server.url, sent, times=1, connections=1)
            taken = flood.post(server.url, sent, times=amount.bulks, connections=4)
        return amount.bulks * _BULK / taken

    rate = median(in_turns("server, bulk", {"ours": fresh}, amount.rounds)["ours"])
    yield Row(
        f"server: bulk of {_BULK}, a fresh database",
        "at least 10,000/s",
        f"{rate:,.0f}/s",
        "",
        verdict(reached=rate >= 10_000),
    )


def _memory(amount: Amount) -> Iterable[Row]:
    one = flood.request(_CREATE, json.dumps(log_of(1000)).encode())
    many = json.dumps({"logs": [log_of(1000)] * _BULK}).encode()
    bulk = flood.request(_MANY, many)
    with _ours() as server:
        time.sleep(1)  # what its start left to be done is done
        flood.post(server.url, one, times=1, connections=1)
        idle = server.resident()
        loaded = 0.0
        for _ in range(3):
            flood.post(server.url, one, times=amount.creates, connections=CONNECTIONS)
            loaded = max(loaded, server.resident())
            flood.post(server.url, bulk, times=amount.bulks, connections=4)
            loaded = max(loaded, server.resident())
    for what, taken, reach in (("idle", idle, 120), ("under load", loaded, 250)):
        yield Row(
            f"server: memory, {what}",
            f"at most {reach} MB",
            f"{taken / 1e6:.0f} MB",
            "",
            verdict(reached=taken <= reach * 1e6),
        )


def _reading(amount: Amount) -> Iterable[Row]:
    import server_store  # noqa: PLC0415  SQLAlchemy, of which the floor has no need

    yield from server_store.rows(amount.kept)


SECTIONS: dict[str, Callable[[Amount], Iterable[Row]]] = {
    "server-create": _create,
    "server-bulk": _bulk,
    "server-memory": _memory,
    "server-reading": _reading,
}


async def _serve_floor() -> None:
    from aiohttp import web  # noqa: PLC0415  of the floor's process only

    async def handle(request: web.Request) -> web.Response:
        json.loads(await request.read())
        return web.json_response({"message": "log successful"}, status=201)

    app = web.Application(client_max_size=2**30)
    app.router.add_post("/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"{_WORDS}http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve_floor())
