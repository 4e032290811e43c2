"""A log server that fails as it is told, and knows what was lost or doubled by it.

It speaks just enough HTTP, on an event loop in a thread of its own. How it fails is a
mode, which may change at any moment; every log carries a number of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections import defaultdict

import attrs

SINGLE, BULK = "/request-logs/create/", "/request-logs/bulk/"
REFUSED_FOR_GOOD = frozenset({400, 404, 405, 413, 422})


@attrs.frozen
class Answer:
    """Answer each request with this, after so many seconds."""

    status: int = 201
    headers: tuple[str, ...] = ()
    delay: float = 0.0


HEALTHY = Answer()
HANG_UP = "hang up"  # read the request, and close
NO_ANSWER = "no answer"  # read the request, and keep the connection
REFUSE = "refuse"  # nobody listens


@attrs.define(eq=False)
class Request:
    """What arrived, and what became of it.

    Attributes:
        numbers: Those of its logs.
        at: When it had arrived, by the monotonic clock.
        in_flight: How many waited for their answer then, this one included.
        successes: How many had been answered 2xx before.
        status: What it was answered; None if it was not.
    """

    path: str
    key: str
    api_key: str
    numbers: tuple[int, ...]
    at: float
    in_flight: int
    successes: int
    status: int | None = None


class FaultServer:
    """The server; stopped when its context ends.

    Args:
        mode: How it begins: an `Answer`, `HANG_UP`, `NO_ANSWER`, `REFUSE`, or a
            function of a `Request` that gives one of the first three.
        remember: Whether to keep every request in ``requests``.

    Attributes:
        requests: All that arrived.
        taken: The numbers of logs that were answered 2xx.
    """

    def __init__(self, mode=HEALTHY, *, remember=True):
        self.mode = mode
        self.requests = []
        self.taken = set()
        self.arrived = 0
        self.in_flight = 0
        self.successes = 0
        self._remember = remember
        # Keys that a log was sent under, but those that were refused for good.
        self._keys = defaultdict(set)
        self._bodies = {}
        self._reused = set()
        self._peers = set()
        self._listener = None
        self._changed = threading.Condition()
        # Bound, so that nobody else is given the port while it is refused.
        self._holder = _bound(0)
        self.port = self._holder.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self):
        self._thread.start()
        self.be(self.mode)
        return self

    def __exit__(self, *_):
        self._call(self._switch(REFUSE))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()
        self._holder.close()

    def be(self, mode, *, at=None):
        """Behave like this from now on, or from a moment of the monotonic clock."""
        if at is None:
            self._call(self._switch(mode))
        else:
            self._call(self._later(mode, at))

    def wait_for(self, condition, seconds=20.0):
        """Wait until the condition of this server holds."""
        with self._changed:
            assert self._changed.wait_for(condition, seconds), "it never happened"

    def lost(self, numbers):
        """The numbers of logs that were never answered 2xx."""
        with self._changed:
            return set(numbers) - self.taken

    def doubled(self):
        """The numbers of logs sent under two keys, or two logs under one key."""
        with self._changed:
            twice = {number for number, keys in self._keys.items() if len(keys) > 1}
            return twice | self._reused

    def check(self, numbers):
        """Nothing was lost of these, and nothing doubled of all."""
        assert self.lost(numbers) == set()
        assert self.doubled() == set()

    def _call(self, work):
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _later(self, mode, at):
        seconds = at - time.monotonic()
        self._loop.call_later(
            seconds, lambda: asyncio.ensure_future(self._switch(mode))
        )

    async def _switch(self, mode):
        self.mode = mode
        if mode == REFUSE:
            if self._listener is not None:
                self._listener.close()
                self._listener = None
            for peer in list(self._peers):
                peer.transport.abort()
            await asyncio.sleep(0)
        elif self._listener is None:
            sock = _bound(self.port)
            self._listener = await self._loop.create_server(
                lambda: _Peer(self), sock=sock, backlog=256
            )
        with self._changed:
            self._changed.notify_all()

    def came(self, peer, path, headers, body):
        """A request has arrived."""
        whole = json.loads(body)
        logs = whole["logs"] if path.endswith(BULK) else [whole]
        key = headers.get("idempotency-key", "")
        with self._changed:
            self.arrived += 1
            self.in_flight += 1
            request = Request(
                path=path,
                key=key,
                api_key=headers.get("authorization", "").removeprefix("Bearer "),
                numbers=tuple(log["metadata"]["number"] for log in logs),
                at=time.monotonic(),
                in_flight=self.in_flight,
                successes=self.successes,
            )
            if self._remember:
                self.requests.append(request)
            for number in request.numbers:
                self._keys[number].add(key)
            if self._bodies.setdefault(key, hash(body)) != hash(body):
                self._reused.update(request.numbers)
            self._changed.notify_all()
        peer.open = request
        mode = self.mode(request) if callable(self.mode) else self.mode
        if mode == HANG_UP:
            peer.transport.abort()
        elif isinstance(mode, Answer):
            self._loop.call_later(mode.delay, self._answer, peer, request, mode)

    def _answer(self, peer, request, mode):
        if peer.open is not request:
            return  # the connection is gone
        taken = 200 <= mode.status < 300
        body = b'{"message": "log successful"}' if taken else b'{"detail": "no"}'
        head = [
            f"HTTP/1.1 {mode.status} Scripted",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *mode.headers,
        ]
        with self._changed:
            peer.open = None
            self.in_flight -= 1
            request.status = mode.status
            if taken:
                self.successes += 1
                self.taken.update(request.numbers)
            elif mode.status in REFUSED_FOR_GOOD:
                for number in request.numbers:
                    self._keys[number].discard(request.key)
            self._changed.notify_all()
        peer.transport.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    def joined(self, peer):
        self._peers.add(peer)

    def left(self, peer):
        self._peers.discard(peer)
        with self._changed:
            if peer.open is not None:
                peer.open = None
                self.in_flight -= 1
            self._changed.notify_all()


class _Peer(asyncio.Protocol):
    """The server's end of a connection."""

    def __init__(self, server):
        self.server = server
        self.open = None
        self.buffer = b""

    def connection_made(self, transport):
        self.transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.joined(self)

    def data_received(self, data):
        self.buffer += data
        head, blank, rest = self.buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        if len(rest) == int(headers["content-length"]):
            self.buffer = b""
            self.server.came(self, first.split()[1], headers, rest)

    def connection_lost(self, _error):
        self.server.left(self)


def _bound(port):
    """A socket on the port, beside others of ours."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", port))
        stack.pop_all()
    return sock
