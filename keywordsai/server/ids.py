"""Ids that sort by the time they were made: UUIDs of version 7, 32 hex digits.

The first bits of an id, its time and a counter, are the integer that a database
keeps logs by: in the same order, a quarter as long, and an index over it grows at
its end. Imports nothing of the package.
"""

from __future__ import annotations

import os
import secrets
import threading
import time

__all__ = ["IdSource", "seq_of", "seqs_of"]

_COUNTER_BITS = 21  # 12 of them stand before the variant's bits
_RANDOM_BITS = 53
_MILLISECONDS = (1 << (63 - _COUNTER_BITS)) - 1  # until the year 2109
_HEX = frozenset("0123456789abcdef")


def seq_of(log_id: str) -> int:
    """The integer of an id: its milliseconds and its counter; -1 if it is no id.

    Ids of one source have each another integer, in the ids' order. Those of two
    processes may have the same one, if they are made in the same millisecond.
    """
    if len(log_id) != 32 or not _HEX.issuperset(log_id):
        return -1
    millisecond = int(log_id[:12], 16) & _MILLISECONDS
    counter = int(log_id[13:16], 16) << 9 | (int(log_id[16:19], 16) >> 1) & 0x1FF
    return millisecond << _COUNTER_BITS | counter


def seqs_of(log_id: str) -> tuple[int, int]:
    """The first and the last integer that ids of the same millisecond have.

    An older log is kept by some other integer of them than its id says.
    """
    first = seq_of(log_id) >> _COUNTER_BITS << _COUNTER_BITS
    return first, first + (1 << _COUNTER_BITS) - 1


class IdSource:
    """Makes ids, each greater than the one before, from any thread.

    Within one millisecond, or when the clock steps back, the last id is counted
    up; what follows the counter is random, so that no id can be guessed.

    Example:
        >>> new_id = IdSource()
        >>> new_id() < new_id()
        True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._millisecond = 0
        self._counter = 0

    def __call__(self) -> str:
        """A new id, 32 hex digits."""
        with self._lock:
            now = time.time_ns() // 1_000_000
            if now > self._millisecond:
                self._millisecond = now
                # Anywhere, so that two processes seldom make the same.
                self._counter = secrets.randbits(_COUNTER_BITS)
            else:
                self._counter += 1
                if self._counter >> _COUNTER_BITS:
                    self._millisecond += 1
                    self._counter = 0
            millisecond, counter = self._millisecond, self._counter
        high = (millisecond << 16) | (0x7 << 12) | (counter >> 9)
        low = (0b10 << 62) | ((counter & 0x1FF) << _RANDOM_BITS)
        noise = int.from_bytes(os.urandom(8), "big") >> (64 - _RANDOM_BITS)
        return f"{high:016x}{low | noise:016x}"
