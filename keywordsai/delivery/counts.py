"""What became of every log: sums that always hold."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import attrs

__all__ = ["ADOPTED", "Counts", "DeliveryStats", "FlushResult", "Ledger"]

ADOPTED = 0
"""Who gave the logs that a dead process left behind: nobody here."""


@attrs.frozen(kw_only=True)
class DeliveryStats:
    """What became of every log that was accepted, at one moment.

    The sum always holds:
    ``accepted = delivered + pending + dead + sum(dropped.values())``.
    Counted are the logs given to this client in this process, and those that were
    adopted from processes that died.

    Attributes:
        accepted: Logs given to ``create``, and those adopted.
        delivered: Logs the service took.
        pending: Logs waiting to be delivered.
        dead: Logs the service refused for good (400, 413, 422), kept to be looked at.
        dropped: Logs given up, by reason: ``full`` (there was no room), ``expired``
            (older than ``max_age``), ``refused`` (refused for good, and no room to
            keep it), ``closed`` (in memory when the client or the program ended),
            ``corrupt`` (its file could not be read any more).

    Example:
        >>> DeliveryStats(accepted=3, delivered=2, pending=1).pending
        1
    """

    accepted: int = 0
    delivered: int = 0
    pending: int = 0
    dead: int = 0
    dropped: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class FlushResult:
    """What became of every log so far, when a flush ended.

    Attributes:
        delivered: As in `DeliveryStats`.
        pending: Logs still waiting: 0 if all was done in time.
        dead: As in `DeliveryStats`.
        dropped: As in `DeliveryStats`.

    Example:
        >>> result = FlushResult(delivered=2, pending=1)
        >>> result.complete, result.accepted
        (False, 3)
    """

    delivered: int = 0
    pending: int = 0
    dead: int = 0
    dropped: Mapping[str, int] = attrs.field(factory=dict)

    @property
    def complete(self) -> bool:
        """Whether nothing is left waiting."""
        return self.pending == 0

    @property
    def accepted(self) -> int:
        """The sum of all four."""
        return self.delivered + self.pending + self.dead + sum(self.dropped.values())


@attrs.define(eq=False)
class Counts:
    """The numbers of one giver of logs; changed by the `Ledger` only."""

    accepted: int = 0
    delivered: int = 0
    pending: int = 0
    dead: int = 0
    dropped: dict[str, int] = attrs.field(factory=dict)
    left: bool = False

    def __add__(self, other: Counts) -> DeliveryStats:
        dropped = dict(self.dropped)
        for reason, count in other.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
        return DeliveryStats(
            accepted=self.accepted + other.accepted,
            delivered=self.delivered + other.delivered,
            pending=self.pending + other.pending,
            dead=self.dead + other.dead,
            dropped=dropped,
        )


class Ledger:
    """The numbers of one account in this process, by who gave the logs.

    A client that joins is given a number; its logs carry it. Each log is counted
    in when it is accepted, and in exactly one way when it ends.

    Attributes:
        pending: Logs of clients here that wait, all together.
        pending_bytes: Their bytes.
        dead: Logs kept as dead, those of clients here.
        dead_bytes: Their bytes.
    """

    def __init__(self) -> None:
        # Taken again by a signal's handler that logs while its thread holds it.
        self._lock = threading.RLock()
        self._last = ADOPTED
        self._adopted = Counts()
        self._givers: dict[int, Counts] = {ADOPTED: self._adopted}
        self.pending = 0
        self.pending_bytes = 0
        self.dead = 0
        self.dead_bytes = 0

    def join(self) -> tuple[int, Counts]:
        """A new giver: its number, and its counts to be looked at."""
        with self._lock:
            self._last += 1
            counts = self._givers[self._last] = Counts()
            return self._last, counts

    def leave(self, giver: int) -> None:
        """The giver gives no more; forgotten once none of its logs waits."""
        with self._lock:
            counts = self._givers.get(giver)
            if counts is not None:
                counts.left = True
                if not counts.pending:
                    del self._givers[giver]

    def accept(self, giver: int, size: int, *, most: int, most_bytes: int) -> bool:
        """A log comes to wait, if there is room; else it is dropped as ``full``."""
        with self._lock:
            counts = self._givers[giver]
            counts.accepted += 1
            if self.pending >= most or self.pending_bytes + size > most_bytes:
                counts.dropped["full"] = counts.dropped.get("full", 0) + 1
                return False
            counts.pending += 1
            self.pending += 1
            self.pending_bytes += size
            return True

    def adopt(self, pending: int, dead: int) -> None:
        """Logs of a process that died came into this one's care."""
        with self._lock:
            self._adopted.accepted += pending + dead
            self._adopted.pending += pending
            self._adopted.dead += dead

    def settle(
        self, giver: int, size: int, *, dead: bool = False, dropped: str = ""
    ) -> None:
        """One pending log was delivered, or else what the arguments say."""
        with self._lock:
            counts = self._givers.get(giver)
            if counts is None or not counts.pending:
                return  # it was given up as lost with its file, and was not
            counts.pending -= 1
            if giver != ADOPTED:
                self.pending -= 1
                self.pending_bytes -= size
            if dropped:
                counts.dropped[dropped] = counts.dropped.get(dropped, 0) + 1
            elif dead:
                counts.dead += 1
                if giver != ADOPTED:
                    self.dead += 1
                    self.dead_bytes += size
            else:
                counts.delivered += 1
            if counts.left and not counts.pending:
                del self._givers[giver]

    def lose(self, giver: int, elsewhere: int) -> int:
        """The pending logs of a giver are lost, but those known to be elsewhere."""
        with self._lock:
            counts = self._givers.get(giver)
            if counts is None:
                return 0
            lost = max(0, counts.pending - elsewhere)
            if lost:
                counts.pending -= lost
                counts.dropped["corrupt"] = counts.dropped.get("corrupt", 0) + lost
                if giver != ADOPTED:
                    # Of their size nobody knows more than the mean.
                    self.pending_bytes -= self.pending_bytes * lost // self.pending
                    self.pending -= lost
                if counts.left and not counts.pending:
                    del self._givers[giver]
            return lost

    def givers(self) -> list[int]:
        """Who gave logs that may still wait; `ADOPTED` among them."""
        with self._lock:
            return list(self._givers)

    def room_for_dead(self, size: int, *, most: int, most_bytes: int) -> bool:
        """Whether a refused log may be kept: the dead are bounded as the pending."""
        with self._lock:
            return self.dead < most and self.dead_bytes + size <= most_bytes

    def stats(self, counts: Counts) -> DeliveryStats:
        """A giver's numbers, and those of the adopted, at one moment."""
        with self._lock:
            return counts + self._adopted
