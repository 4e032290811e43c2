"""Beginnings and ends: joining, leaving, forking, the program's exit.

The one registry of the package is here: the outbox and worker of each account in
this process, shared by all its clients.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

from keywordsai.delivery.options import DeliveryOptions
from keywordsai.delivery.outbox import Outbox
from keywordsai.delivery.post import Post
from keywordsai.logs.endpoints import Endpoints
from keywordsai.transport.base import SyncTransport
from keywordsai.transport.forks import be_still_for_forks, keep_for_ever

__all__ = ["forget_unused", "join", "leave", "time_after_exit"]

_AFTER_EXIT = 1.0  # seconds, for all logs that come later than our part of the exit

Account: TypeAlias = tuple[str | None, str, bytes, int | None]


class _Registry:
    """The outboxes of this process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.posts: dict[Account, Post] = {}
        self.pid = os.getpid()
        self.exiting: float | None = None
        self.finishing = False


_registry = _Registry()
_in_children = ExitStack()  # anything that lives as long as this module


def join(
    endpoints: Endpoints, options: DeliveryOptions, transport: SyncTransport | None
) -> Post:
    """A client comes: the post of its account, which is made if there is none."""
    _check_pid()
    account = _account(endpoints, options, transport)
    with _registry.lock:
        _finish_where_no_exit_does()
        post = _registry.posts.get(account)
        if post is None:
            post = Post(Outbox(endpoints, options), transport, _is_needed)
            post.outbox.wake = post.wake
            _registry.posts[account] = post
        post.clients += 1
        post.exit_timeout = max(post.exit_timeout, options.exit_timeout)
    return post


def leave(post: Post, giver: int) -> None:
    """A client is closed, or was forgotten; what it gave is still delivered.

    The garbage collector may call this in the middle of anything, whatever its thread
    holds: it takes no lock and wakes nobody. The worker looks by itself.
    """
    post.left.append(giver)


def forget_unused(post: Post) -> bool:
    """Take a post that no client uses out of the registry; says whether it did."""
    with _registry.lock:
        while post.left:
            post.clients -= 1
            post.outbox.ledger.leave(post.left.popleft())
        if post.clients or post.outbox.flushers:
            return False
        for account in [key for key, one in _registry.posts.items() if one is post]:
            del _registry.posts[account]
        return True


def time_after_exit() -> float | None:
    """Until when late logs may be sent; None before the program's exit."""
    return _registry.exiting


def _is_needed(post: Post) -> bool:
    if not forget_unused(post):
        return True
    post.outbox.spools.end()
    return False


def _account(
    endpoints: Endpoints, options: DeliveryOptions, transport: SyncTransport | None
) -> Account:
    settings = endpoints.settings
    key = hashlib.sha256(settings.api_key.reveal().encode()).digest()
    handed_in = None if transport is None else id(transport)
    return options.spool, settings.base_url, key, handed_in


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
        for seconds in post.ending(deadline):
            time.sleep(seconds)  # until it looks again whether all is delivered
        post.outbox.flushers -= 1


def _at_exit() -> None:
    _end_all()
    _registry.exiting = time.monotonic() + _AFTER_EXIT


def _finish_where_no_exit_does() -> None:
    """Have children of pools deliver that leave without what atexit has of them."""
    if _registry.finishing:
        return
    _registry.finishing = True
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        # A child forgets what was registered with it before it began in earnest, as
        # by an import of the program's main module; so it is registered again then.
        util.register_after_fork(_in_children, _finish_with_multiprocessing)
        process = sys.modules["multiprocessing.process"].current_process()
        if getattr(process, "_parent_pid", None) is not None:
            _finish_with_multiprocessing(None)
    signals = sys.modules.get("celery.signals")
    if signals is not None:  # its children leave without any of this
        signals.worker_process_shutdown.connect(_end_all_for_celery, weak=False)


def _finish_with_multiprocessing(_: object) -> None:
    sys.modules["multiprocessing.util"].Finalize(None, _end_all, exitpriority=0)


def _end_all_for_celery(**_: object) -> None:
    _end_all()


def _check_pid() -> None:
    """A fork that went past our hooks: whatever is here is the parent's."""
    if _registry.pid != os.getpid():
        _after_fork_in_child()


@contextmanager
def _still_for_fork() -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(_registry.lock)
        for post in _registry.posts.values():
            stack.enter_context(post.lock)
            stack.enter_context(post.outbox.spools.still_for_fork())
        yield


def _after_fork_in_child() -> None:
    global _registry  # noqa: PLW0603  the one registry of the package
    posts = list(_registry.posts.values())
    for post in posts:
        post.outbox.spools.abandon()
    if posts:
        keep_for_ever(posts)
    _registry = _Registry()


atexit.register(_at_exit)
be_still_for_forks(_still_for_fork, _after_fork_in_child)
