"""What is measured of the delivery in the background, and what it is compared with.

As in `cases`, a case is a function that does its work once, and what it needs is made
before the first round and closed by the stack. All send the same log to the same sink,
and each ends when all that it was given is delivered, so that nothing is left to
do while others have their turn.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import aiohttp
import attrs
import senders
from senders import Sender
from yarl import URL

from keywordsai.logs.serialization import encode_log

__all__ = [
    "IN_FLIGHT",
    "Calls",
    "Delivered",
    "burst_cases",
    "delivered_cases",
    "paced",
    "steady_cases",
]

IN_FLIGHT = 16  # the default concurrency of a client
_HEADERS = {
    "Authorization": "Bearer benchmark",
    "Content-Type": "application/json",
}


@attrs.frozen
class Calls:
    """The seconds that each of many calls took, in short."""

    p50: float
    p99: float
    longest: float

    @classmethod
    def of(cls, nanoseconds: list[int]) -> Calls:
        taken = sorted(nanoseconds)
        last = len(taken) - 1
        p50, p99, longest = (taken[round(last * part)] for part in (0.5, 0.99, 1))
        return cls(p50 / 1e9, p99 / 1e9, longest / 1e9)


@attrs.frozen
class Delivered:
    """Seconds for each log of a burst, until the last was answered."""

    seconds: float
    cpu: float


def burst_cases(
    base: str, log: dict[str, Any], calls: int, stack: ExitStack
) -> dict[str, Callable[[], Calls]]:
    """The caller's time, for logs one after another as fast as they are taken."""

    def case(sender: Sender) -> Callable[[], Calls]:
        def burst() -> Calls:
            taken = _times(sender.put, calls)
            sender.settle()
            return Calls.of(taken)

        burst()  # connects
        return burst

    compared = _compared(base, log, stack)
    compared["insert"] = senders.insert(log, stack)
    return {name: case(sender) for name, sender in compared.items()}


def steady_cases(
    base: str, log: dict[str, Any], rate: float, seconds: float, stack: ExitStack
) -> dict[str, Callable[[], Calls]]:
    """The caller's time, for logs at a steady rate."""

    def case(sender: Sender) -> Callable[[], Calls]:
        def stream() -> Calls:
            taken = paced(sender.put, rate, seconds)
            sender.settle()
            return Calls.of(taken)

        _times(sender.put, 10)
        sender.settle()
        return stream

    return {name: case(one) for name, one in _compared(base, log, stack).items()}


def delivered_cases(
    base: str, log: dict[str, Any], logs: int, stack: ExitStack
) -> dict[str, Callable[[], Delivered]]:
    """A burst from its first call to its last answer: ours, and bare aiohttp."""

    def case(burst: Callable[[int], object]) -> Callable[[], Delivered]:
        def run() -> Delivered:
            start, cpu = time.perf_counter(), time.process_time()
            burst(logs)
            taken, worked = time.perf_counter() - start, time.process_time() - cpu
            return Delivered(taken / logs, worked / logs)

        burst(100 * IN_FLIGHT)  # connects
        return run

    def ours(*, bulk: bool) -> Callable[[int], object]:
        sender = senders.ours(base, log, stack, bulk=bulk)

        def burst(times: int) -> None:
            for _ in range(times):
                sender.put()
            sender.settle()

        return burst

    return {
        "bare": case(_bare(base, encode_log(log), stack)),
        "single": case(ours(bulk=False)),
        "bulk": case(ours(bulk=True)),
    }


def paced(put: Callable[[], object], rate: float, seconds: float) -> list[int]:
    """Call so many times a second, and take the nanoseconds of each call."""
    taken: list[int] = []
    begin = time.perf_counter()
    for number in range(int(rate * seconds)):
        wait = begin + number / rate - time.perf_counter()
        if wait > 0:
            time.sleep(wait)  # the rate is what is set, not how fast it can be
        taken += _times(put, 1)
    return taken


def _times(call: Callable[[], object], times: int) -> list[int]:
    clock, taken = time.perf_counter_ns, []
    for _ in range(times):
        start = clock()
        call()
        taken.append(clock() - start)
    return taken


def _compared(base: str, log: dict[str, Any], stack: ExitStack) -> dict[str, Sender]:
    compared = {"ours": senders.ours(base, log, stack)}
    if senders.has_opentelemetry():
        compared["otel"] = senders.opentelemetry(base, log, stack)
    return compared


def _bare(base: str, body: bytes, stack: ExitStack) -> Callable[[int], object]:
    """aiohttp as fast as it gets, with as many in flight as our client has."""
    url = URL(f"{base}/api/request-logs/create/")
    loop = asyncio.new_event_loop()
    stack.callback(loop.close)

    async def open_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None),
        )

    session = loop.run_until_complete(open_session())
    stack.callback(lambda: loop.run_until_complete(session.close()))

    async def lane(times: int) -> None:
        for _ in range(times):
            async with session.post(url, data=body) as response:
                await response.read()

    async def lanes(times: int) -> None:
        await asyncio.gather(*(lane(times // IN_FLIGHT) for _ in range(IN_FLIGHT)))

    return lambda times: loop.run_until_complete(lanes(times))
