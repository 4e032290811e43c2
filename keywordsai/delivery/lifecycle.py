"""When a delivery begins and ends: joining, flushing, forking, the program's exit.

`Delivery` is what a client holds. The one registry of the package is here: the
outbox and worker of each account in this process, shared by all its clients.
"""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import os
import sys
import threading
import time
import weakref
from collections.abc import Generator
from contextlib import ExitStack, suppress
from typing import Any

import attrs

from keywordsai.delivery.counts import DeliveryStats, FlushResult
from keywordsai.delivery.options import DeliveryOptions
from keywordsai.delivery.outbox import Giver, Outbox
from keywordsai.delivery.worker import Worker, deliver_here, importing
from keywordsai.logs.endpoints import Endpoints
from keywordsai.transport.base import SyncTransport
from keywordsai.transport.forks import keep_for_ever, watch_forks

__all__ = ["Delivery"]

_FIRST_LOOK, _LAST_LOOK = 0.001, 0.02  # seconds between looks whether all is sent
_STOPPING = 0.25  # seconds for the worker to let go of what is in flight
_AFTER_EXIT = 1.0  # seconds, for all logs that come later than our part of the exit


@attrs.define(eq=False)
class _Post:
    """An outbox with its worker, and the clients that use it.

    Attributes:
        outbox: What they put in.
        key: Its place in the registry.
        transport: To send over; None for our own.
        worker: The thread; None until there is something to send.
        clients: How many use it.
        exit_timeout: The longest of theirs.
    """

    outbox: Outbox
    key: tuple[Any, ...]
    transport: SyncTransport | None
    worker: Worker | None = None
    clients: int = 0
    exit_timeout: float = 0.0
    pid: int = attrs.field(factory=os.getpid)
    lock: threading.RLock = attrs.field(factory=threading.RLock)

    def wake(self) -> None:
        """Have the worker look, and start it if there is none."""
        worker = self.worker
        if worker is not None and worker.is_alive():
            worker.wake()
            return
        with self.lock:
            if self.worker is not None and self.worker.is_alive():
                return
            _finish_with_multiprocessing()
            worker = Worker(self.outbox, self.transport, self._is_needed)
            self.outbox.asleep = False
            with suppress(RuntimeError):  # the interpreter is ending
                worker.start()
                self.worker = worker

    def is_at_work(self) -> bool:
        """Whether there is a worker."""
        return self.worker is not None and self.worker.is_alive()

    def flush(self, deadline: float) -> Generator[float, None, None]:
        """Seconds to wait, again and again, until all is sent or the time is over."""
        if self.worker is not None and self.worker.is_current():
            return  # it would wait for itself
        outbox = self.outbox
        outbox.flushers += 1
        try:
            marks = outbox.marks()
            self.wake()
            pause = _FIRST_LOOK
            while not (outbox.looked and outbox.scheduler.settled_up_to(marks)):
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return
                if outbox.looked and outbox.scheduler.held() > remaining:
                    return  # nothing can happen in time
                if not self.is_at_work():
                    deliver_here(outbox, self.transport, deadline)
                    return
                yield min(pause, remaining)
                pause = min(pause * 1.5, _LAST_LOOK)
        finally:
            outbox.flushers -= 1

    def ending(self, deadline: float) -> Generator[float, None, None]:
        """As `flush`; then the worker ends, and what is left is left in order."""
        if self.worker is not None or self.outbox.last_put():
            self.outbox.scheduler.hurry()
            yield from self.flush(deadline)
        worker, self.worker = self.worker, None
        if worker is not None and not worker.is_current():
            worker.stop()
            end = time.monotonic() + _STOPPING
            while worker.is_alive() and time.monotonic() < end:
                yield _FIRST_LOOK
        self.outbox.end()

    def _is_needed(self) -> bool:
        """Asked by the worker when it has nothing to do: it ends with its clients."""
        with _registry.lock:
            if self.clients or self.outbox.flushers:
                return True
            _registry.posts.pop(self.key, None)
        self.outbox.end()
        return False


class _Registry:
    """The outboxes of this process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.posts: dict[tuple[Any, ...], _Post] = {}
        self.pid = os.getpid()
        self.exiting: float | None = None
        self.finalizing = False


_registry = _Registry()
_held: list[ExitStack] = []  # by the thread that forks


class Delivery:
    """What a client holds of the delivery in the background.

    Args:
        endpoints: How its logs are sent.
        options: How they are delivered.
        transport: To send over; None for our own.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        options: DeliveryOptions,
        transport: SyncTransport | None,
    ) -> None:
        self._endpoints = endpoints
        self._options = options
        self._transport = transport
        self._lock = threading.RLock()
        self._pid = 0
        self._post: _Post
        self._giver: Giver
        self._leave: Any = None
        watch_forks(self)

    def put(self, body: bytes, key: str | None) -> dict[str, Any]:
        """Take a log in, and answer at once."""
        if self._pid != os.getpid():
            self._join()
        post = self._post
        dropped = post.outbox.put(self._giver, body, key, self._options)
        if _registry.exiting is not None:  # nobody comes after us
            _act(post.ending(_registry.exiting))
        return (
            {"message": f"log dropped: {dropped}"}
            if dropped
            else {"message": "log queued"}
        )

    def flush(self, timeout: float | None) -> FlushResult:
        """Wait until all that was put in is sent, or the time is over."""
        _act(self._flush(timeout))
        return self._result()

    async def aflush(self, timeout: float | None) -> FlushResult:
        """As `flush`, letting the event loop go on."""
        await _aact(self._flush(timeout))
        return self._result()

    def stats(self) -> DeliveryStats:
        """The numbers, at this moment; none of the parent's in a forked child."""
        if self._pid != os.getpid():
            return DeliveryStats()
        return self._post.outbox.ledger.stats(self._giver.counts)

    def close(self) -> None:
        """Send what can be sent in ``exit_timeout``, and leave."""
        _act(self._closing())

    async def aclose(self) -> None:
        """As `close`, letting the event loop go on."""
        await _aact(self._closing())

    def after_fork_in_child(self) -> None:
        """Take a new lock: another thread of the parent may hold the old one."""
        self._lock = threading.RLock()

    def _join(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            _check_pid()
            key = self._account()
            with _registry.lock:
                post = _registry.posts.get(key)
                if post is None:
                    outbox = Outbox(self._endpoints, self._options)
                    post = _Post(outbox, key, self._transport)
                    outbox.wake = post.wake
                    _registry.posts[key] = post
                post.clients += 1
                post.exit_timeout = max(post.exit_timeout, self._options.exit_timeout)
            self._giver = post.outbox.join(self._options)
            self._post = post
            self._leave = weakref.finalize(self, _leave, post, self._giver.number)
            self._leave.atexit = False
            self._pid = os.getpid()

    def _account(self) -> tuple[Any, ...]:
        settings = self._endpoints.settings
        key = hashlib.sha256(settings.api_key.reveal().encode()).digest()
        handed_in = None if self._transport is None else id(self._transport)
        return self._options.spool, settings.base_url, key, handed_in

    def _flush(self, timeout: float | None) -> Generator[float, None, None]:
        if self._pid != os.getpid():
            self._join()
        if timeout is None:
            timeout = self._endpoints.settings.timeout.total
        return self._post.flush(time.monotonic() + timeout)

    def _closing(self) -> Generator[float, None, None]:
        if self._pid != os.getpid() or not self._leave.alive:
            return
        post = self._post
        deadline = time.monotonic() + self._options.exit_timeout
        post.outbox.scheduler.hurry()
        yield from post.flush(deadline)
        self._leave()
        with _registry.lock:
            if post.clients:
                return
            _registry.posts.pop(post.key, None)
        yield from post.ending(deadline)

    def _result(self) -> FlushResult:
        stats = self.stats()
        return FlushResult(
            delivered=stats.delivered,
            pending=stats.pending,
            dead=stats.dead,
            dropped=stats.dropped,
        )


def _act(steps: Generator[float, None, None]) -> None:
    for seconds in steps:
        time.sleep(seconds)


async def _aact(steps: Generator[float, None, None]) -> None:
    try:
        for seconds in steps:
            await asyncio.sleep(seconds)
    finally:
        steps.close()


def _leave(post: _Post, giver: int) -> None:
    """A client is closed, or was forgotten."""
    if post.pid != os.getpid():
        return  # in a forked child: it was the parent's
    with _registry.lock:
        post.clients -= 1
    post.outbox.ledger.leave(giver)
    if post.is_at_work():
        post.wake()  # it may be needed no more


def _end_all() -> None:
    """The program ends: all clients together have the longest of their times."""
    _check_pid()
    with _registry.lock:
        posts = list(_registry.posts.values())
    longest = max((post.exit_timeout for post in posts), default=0.0)
    deadline = time.monotonic() + longest
    for post in posts:  # all at once, then each waits for its own
        post.outbox.flushers += 1
        post.outbox.scheduler.hurry()
        if post.is_at_work():
            post.wake()
    for post in posts:
        _act(post.ending(deadline))
        post.outbox.flushers -= 1


def _at_exit() -> None:
    _end_all()
    _registry.exiting = time.monotonic() + _AFTER_EXIT


def _finish_with_multiprocessing() -> None:
    """Children of multiprocessing leave without what is registered with atexit."""
    if _registry.finalizing:
        return
    _registry.finalizing = True
    for name in ("multiprocessing", "billiard"):
        process = sys.modules.get(f"{name}.process")
        util = sys.modules.get(f"{name}.util")
        if process is None or util is None:
            continue
        if getattr(process.current_process(), "_parent_pid", None) is not None:
            util.Finalize(None, _end_all, exitpriority=0)


def _check_pid() -> None:
    """A fork that went past our hooks: whatever is here is the parent's."""
    if _registry.pid != os.getpid():
        _after_fork_in_child()


def _before_fork() -> None:
    stack = ExitStack()
    stack.enter_context(_registry.lock)
    stack.enter_context(importing)
    for post in _registry.posts.values():
        stack.enter_context(post.lock)
        stack.enter_context(post.outbox.still_for_fork())
    _held.append(stack)


def _after_fork_in_parent() -> None:
    _held.pop().close()


def _after_fork_in_child() -> None:
    global _registry  # noqa: PLW0603  the one registry of the package
    if _held:
        _held.pop().close()
    posts = list(_registry.posts.values())
    for post in posts:
        post.outbox.abandon()
    if posts:
        keep_for_ever(posts)
    _registry = _Registry()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):  # pragma: no branch  not on Windows
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
