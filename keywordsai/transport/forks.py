"""What must not cross a fork is told of it: in the child, before anything else runs.

One hook serves all transports, through weak references: hooks cannot be taken
back, and a program may make and drop any number of clients.
"""

from __future__ import annotations

import os
import sys
import weakref
from contextlib import suppress
from typing import Any, Protocol

__all__ = ["keep_for_ever", "prepare_to_keep", "watch_forks"]


class _Forked(Protocol):
    def after_fork_in_child(self) -> None: ...


_watched: weakref.WeakSet[_Forked] = weakref.WeakSet()


def watch_forks(one: _Forked) -> None:
    """Have ``one.after_fork_in_child()`` called in forked children, while it lives."""
    _watched.add(one)


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


def _after_fork_in_child() -> None:
    for one in list(_watched):
        one.after_fork_in_child()


if hasattr(os, "register_at_fork"):  # pragma: no branch  not on Windows
    os.register_at_fork(after_in_child=_after_fork_in_child)
