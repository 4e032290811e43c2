"""What must not cross a fork is told of it: in the child, before anything else runs.

One hook serves all transports, through weak references: hooks cannot be taken
back, and a program may make and drop any number of clients.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any, Protocol

__all__ = [
    "be_still_for_forks",
    "importing",
    "keep_for_ever",
    "looking_up",
    "prepare_to_keep",
    "watch_forks",
]


class _Forked(Protocol):
    def after_fork_in_child(self) -> None: ...


importing = threading.RLock()
"""Held while what is slow to import is imported: a child forked in the middle of it
would wait for ever for the import to end."""

_watched: weakref.WeakSet[_Forked] = weakref.WeakSet()


def watch_forks(one: _Forked) -> None:
    """Have ``one.after_fork_in_child()`` called in forked children, while it lives."""
    _watched.add(one)


_LONGEST_LOOK_UP = 1.0  # seconds that a fork waits for one


class _LookUps:
    """How many look-ups of host names are under way."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.under_way = 0


_look_ups = _LookUps()


@contextmanager
def looking_up() -> Iterator[None]:
    """Keep forks away, for a while, until a host's name was looked up.

    The C library holds a lock meanwhile; a child that was forked then would wait for
    it for ever at its own first look-up.
    """
    with _look_ups.changed:
        _look_ups.under_way += 1
    try:
        yield
    finally:
        with _look_ups.changed:
            _look_ups.under_way -= 1
            _look_ups.changed.notify_all()


_kept: list[Any] = []


def prepare_to_keep() -> None:
    """Import what `keep_for_ever` needs; in a forked child it may be too late."""
    with suppress(ImportError):  # not everywhere
        import ctypes  # noqa: F401, PLC0415  rarely needed


def keep_for_ever(what: Any) -> None:
    """Never destroy an object, not even at the end of the interpreter.

    For what a child was handed by its parent in the middle of something: to take it
    down would reach into sockets, and a selector, that the parent still uses.
    """
    _kept.append(what)
    ctypes = sys.modules.get("ctypes")
    if ctypes is not None and len(_kept) == 1:
        # A reference that nobody holds is one that nobody gives back.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(_kept))


_still: list[Callable[[], AbstractContextManager[None]]] = []
_in_child: list[Callable[[], None]] = []
_forking: list[ExitStack] = []  # by the thread that forks


def be_still_for_forks(
    still: Callable[[], AbstractContextManager[None]], in_child: Callable[[], None]
) -> None:
    """Enter a context while the process forks, and call something in the child.

    Not hooks of the system's: one that is added in the middle of a fork, by another
    thread, would be called after it and not before.
    """
    _still.append(still)
    _in_child.append(in_child)


def _before_fork() -> None:
    stack = ExitStack()
    # Before all others: who looks up may need what they hold, to come to its end.
    stack.enter_context(_look_ups.changed)  # none begins from now on
    _look_ups.changed.wait_for(lambda: not _look_ups.under_way, _LONGEST_LOOK_UP)
    stack.enter_context(importing)  # from now on nobody joins the lists
    for still in _still:
        stack.enter_context(still())
    _forking.append(stack)


def _after_fork_in_parent() -> None:
    _forking.pop().close()


def _after_fork_in_child() -> None:
    global _look_ups  # noqa: PLW0603  those under way are the parent's
    if _forking:
        _forking.pop().close()
    _look_ups = _LookUps()
    for one in list(_watched):
        one.after_fork_in_child()
    for act in _in_child:
        act()


if hasattr(os, "register_at_fork"):  # pragma: no branch  not on Windows
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
