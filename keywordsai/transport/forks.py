"""What must not cross a fork is told of it: in the child, before anything else runs.

One hook serves all transports, through weak references: hooks cannot be taken
back, and a program may make and drop any number of clients.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["watch_forks"]


class _Forked(Protocol):
    def after_fork_in_child(self) -> None: ...


_watched: weakref.WeakSet[_Forked] = weakref.WeakSet()


def watch_forks(one: _Forked) -> None:
    """Have ``one.after_fork_in_child()`` called in forked children, while it lives."""
    _watched.add(one)


def _after_fork_in_child() -> None:
    for one in list(_watched):
        one.after_fork_in_child()


if hasattr(os, "register_at_fork"):  # pragma: no branch  not on Windows
    os.register_at_fork(after_in_child=_after_fork_in_child)
