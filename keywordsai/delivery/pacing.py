"""How hard a server may be pressed: one patient client for each account. Pure.

While all goes well the window of requests in flight doubles with each success,
from one up to the concurrency. When the server fails (not when it refuses a log),
it closes: then one probe at a time, after waits that double, until one succeeds.
A refused key holds everything, and is tried once a minute.
"""

from __future__ import annotations

import attrs

__all__ = ["Pacing", "back_off"]

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 60.0


def back_off(failures: int, jitter: float) -> float:
    """Seconds before trying again after so many failures: half of it is chance.

    Args:
        failures: In a row, from 1 on.
        jitter: A random number from 0 to 1.
    """
    whole = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(failures - 1, 16))
    return whole * (0.5 + 0.5 * jitter)


@attrs.define(kw_only=True)
class Pacing:
    """The state of one account. Times are seconds of a clock that never goes back.

    Attributes:
        concurrency: Most requests in flight.
        window: Requests that may be in flight now.
        in_flight: Requests that are.
        not_before: No request starts before this.
        floor: Nor before this, which the server asked for.
        failures: Failures of the server in a row.
        last_success: When a request last succeeded.
        refused: Whether the key was refused last.
    """

    concurrency: int
    window: int = 1
    in_flight: int = 0
    not_before: float = 0.0
    floor: float = 0.0
    failures: int = 0
    last_success: float = float("-inf")
    refused: bool = False

    def wait(self, now: float) -> float | None:
        """Seconds until the next request may start; None while others must end."""
        if self.in_flight >= self.window:
            return None
        return max(0.0, self.not_before - now)

    def started(self) -> None:
        """A request was started."""
        self.in_flight += 1

    def succeeded(self, now: float) -> None:
        """A request was answered for its log, be it refused: the server is well."""
        self.in_flight -= 1
        self.last_success = now
        self.failures = 0
        self.refused = False
        self.not_before = self.floor = 0.0
        self.window = min(self.concurrency, self.window * 2)

    def failed(
        self,
        now: float,
        *,
        since: float,
        jitter: float,
        retry_after: float | None = None,
    ) -> bool:
        """The server failed a request.

        Args:
            now: The time.
            since: When the log was last in trouble, else when the request started.
            jitter: A random number from 0 to 1.
            retry_after: Seconds the server asked to wait, a floor.

        Returns:
            Whether the account is held back; False where others passed meanwhile,
            so that the log alone is to blame.
        """
        self.in_flight -= 1
        self.floor = max(self.floor, now + (retry_after or 0.0))
        if self.last_success > since and retry_after is None:
            return False
        if now >= self.not_before:  # else one of many that failed together
            self.failures += 1
            self.not_before = now + back_off(self.failures, jitter)
        self.window = 1
        self.not_before = max(self.not_before, self.floor)
        return True

    def key_refused(self, now: float) -> bool:
        """The service refused the key. Returns whether that is news."""
        self.in_flight -= 1
        news, self.refused = not self.refused, True
        self.window = 1
        self.not_before = self.floor = now + _LONGEST_WAIT
        return news

    def hurry(self) -> None:
        """There is no time left for patience: only what the server asked for holds."""
        self.not_before = self.floor
