"""The server that the benchmarks send to: it answers every request at once.

It runs in a process of its own, so that its work is nobody's time, and does the
least that HTTP asks for: it finds the end of each request and answers
``200 {"message": "log successful"}`` on a connection that stays open.

``python bench/sink.py`` serves on a free port of 127.0.0.1, prints the port and
ends with its standard input; `running` does that for a ``with`` block.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_BODY = b'{"message": "log successful"}'
_ANSWER = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: application/json\r\n"
    b"Content-Length: %d\r\n"
    b"\r\n%s" % (len(_BODY), _BODY)
)
_LENGTH = b"content-length:"


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Run the sink in another process and give its URL."""
    with subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


class _Sink(asyncio.Protocol):
    """One connection."""

    _transport: asyncio.Transport
    _received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        while (end := _end_of_request(received)) is not None:
            self._transport.write(_ANSWER)
            received = received[end:]
        self._received = received


def _end_of_request(received: bytes) -> int | None:
    """Where the first request ends, None if it has not come in whole."""
    head = received.find(b"\r\n\r\n")
    if head < 0:
        return None
    end = head + 4
    _, named, rest = received[:end].lower().partition(_LENGTH)
    if named:
        end += int(rest.partition(b"\r\n")[0])
    return end if end <= len(received) else None


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until the parent closes it
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
