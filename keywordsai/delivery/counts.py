"""What became of every log: sums that always hold."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import attrs

__all__ = ["Counts", "DeliveryStats"]


@attrs.frozen(kw_only=True)
class DeliveryStats:
    """What became of every log that was accepted.

    The sum always holds:
    ``accepted = delivered + pending + dead + sum(dropped.values())``.

    Attributes:
        accepted: Logs given to ``create``, and those adopted from processes
            that died.
        delivered: Logs the service took.
        pending: Logs waiting to be delivered.
        dead: Logs the service refused for good, kept to be looked at.
        dropped: Logs given up, by reason, such as ``expired``.
    """

    accepted: int = 0
    delivered: int = 0
    pending: int = 0
    dead: int = 0
    dropped: Mapping[str, int] = attrs.field(factory=dict)


class Counts:
    """The numbers behind the stats. Each log is in exactly one of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._delivered = 0
        self._dead = 0
        self._dropped: dict[str, int] = {}
        self.pending = 0
        self.pending_bytes = 0

    def accept(self, count: int, size: int) -> None:
        """Logs came to wait."""
        with self._lock:
            self.pending += count
            self.pending_bytes += size

    def settle(self, size: int, *, dead: bool = False, dropped: str = "") -> None:
        """One pending log was delivered, or else what the arguments say."""
        with self._lock:
            self.pending -= 1
            self.pending_bytes -= size
            if dropped:
                self._dropped[dropped] = self._dropped.get(dropped, 0) + 1
            elif dead:
                self._dead += 1
            else:
                self._delivered += 1

    def adopt_dead(self, count: int) -> None:
        """Dead logs of another process came into this one's care."""
        with self._lock:
            self._dead += count

    def stats(self) -> DeliveryStats:
        """All of them at one moment."""
        with self._lock:
            return DeliveryStats(
                accepted=self._delivered
                + self.pending
                + self._dead
                + sum(self._dropped.values()),
                delivered=self._delivered,
                pending=self.pending,
                dead=self._dead,
                dropped=dict(self._dropped),
            )
