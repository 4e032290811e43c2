"""A client that takes next to no time: requests made beforehand, over plain sockets.

Any HTTP library would cost more than the server that it is to measure.
"""

from __future__ import annotations

import asyncio
import re
import time
from urllib.parse import urlsplit

__all__ = ["post", "request"]

_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)


def request(path: str, body: bytes) -> bytes:
    """The bytes of a POST, as a client of ours sends them."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Authorization: Bearer benchmark\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def post(base: str, sent: bytes, *, times: int, connections: int) -> float:
    """Send a request so many times, and give the seconds that it took in all.

    Raises:
        RuntimeError: An answer was no success, so that the figure means nothing.
    """
    return asyncio.run(_post(base, sent, times, connections))


async def _post(base: str, sent: bytes, times: int, connections: int) -> float:
    address = urlsplit(base)
    loop = asyncio.get_running_loop()
    lanes = []
    for number in range(connections):
        share = times // connections + (number < times % connections)
        lane = _Lane(sent, share, loop.create_future())
        await loop.create_connection(lambda lane=lane: lane, "127.0.0.1", address.port)
        lanes.append(lane)
    start = time.perf_counter()
    for lane in lanes:
        lane.next()
    await asyncio.gather(*(lane.done for lane in lanes))
    taken = time.perf_counter() - start
    for lane in lanes:
        lane.transport.close()
    return taken


class _Lane(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    transport: asyncio.Transport

    def __init__(self, sent: bytes, times: int, done: asyncio.Future[None]) -> None:
        self._sent, self._left, self.done = sent, times, done
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def next(self) -> None:
        if not self._left:
            self.done.set_result(None)
            return
        self._left -= 1
        self.transport.write(self._sent)

    def data_received(self, data: bytes) -> None:
        received = self._received + data
        head, mark, body = received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not mark or length is None or len(body) < int(length[1]):
            self._received = received
            return
        self._received = b""
        if head[9:10] != b"2":
            self._fail(f"the server answered {head[9:12].decode()}")
        else:
            self.next()

    def connection_lost(self, _error: Exception | None) -> None:
        self._fail("the connection was lost")

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(why))
