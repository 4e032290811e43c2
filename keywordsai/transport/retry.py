"""When to try again, and how long to wait first: pure, one table.

========================================  =========================================
outcome of an attempt                     what follows
========================================  =========================================
``ConnectError``                          wait, try again: it never left
``ProtocolError`` without a byte read,    try again at once: most often a stale
on the first attempt                      kept-alive connection
``ReadTimeout``, other ``ProtocolError``  wait, try again, unless ``resend=False``
408, 425, 429, 500, 502, 503, 504         wait as the server says, else back off
every other status                        stop: the same would happen again
========================================  =========================================

A log that may arrive twice is better than one that is lost, and every attempt
carries the same ``Idempotency-Key``.
"""

from __future__ import annotations

from typing import Any

import attrs

from keywordsai._excerpt import excerpt
from keywordsai.errors import (
    ConfigurationError,
    ConnectError,
    ProtocolError,
    TransportError,
)
from keywordsai.transport.base import HTTPResponse
from keywordsai.transport.status import retry_after

__all__ = ["RetryPolicy"]

_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


def _at_least(least: float, kind: type) -> Any:
    def check(_instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        number = isinstance(value, kind | int) and not isinstance(value, bool)
        if not (number and least <= value < float("inf")):
            what = "a whole number" if kind is int else "a number of seconds"
            raise ConfigurationError(
                f"retry.{attribute.name} must be {what} from {least} on, "
                f"got {excerpt(value)}"
            )

    return check


def _true_or_false(_instance: object, _attribute: object, value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(
            f"retry.resend must be True or False, got {excerpt(value)}"
        )


def _statuses(value: Any) -> frozenset[int]:
    try:
        statuses = frozenset(value)
    except TypeError:
        statuses = frozenset({None})
    if not all(isinstance(status, int) for status in statuses):
        raise ConfigurationError("retry.statuses must be HTTP status codes")
    return statuses


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often a call is tried, and how long it waits in between.

    The time of the whole call is `Timeout.total`; there is no second budget here.

    Attributes:
        attempts: Tries in all, the first included; 1 never retries. Default 4.
        base: Seconds before the second try, doubled before each further one,
            of which a random part of up to a half is taken off. Default 0.25.
        cap: Most seconds the doubling reaches. Default 8.
        resend: Whether to try again where the server may have got the log
            already. Default True; False means at most once.
        statuses: The HTTP statuses worth another try.

    Raises:
        ConfigurationError: A value is out of its range.

    Example:
        >>> RetryPolicy(attempts=2).attempts
        2
        >>> RetryPolicy.of(1).attempts
        1
    """

    attempts: int = attrs.field(default=4, validator=_at_least(1, int))
    base: float = attrs.field(default=0.25, validator=_at_least(0.0, float))
    cap: float = attrs.field(default=8.0, validator=_at_least(0.0, float))
    resend: bool = attrs.field(default=True, validator=_true_or_false)
    statuses: frozenset[int] = attrs.field(default=_RETRIED, converter=_statuses)

    @classmethod
    def of(cls, value: int | RetryPolicy | None) -> RetryPolicy:
        """Read what a caller may give: a number of attempts, a policy, or None."""
        if value is None:
            return cls()
        return value if isinstance(value, RetryPolicy) else cls(attempts=value)

    def wait(
        self, attempt: int, outcome: HTTPResponse | TransportError, *, jitter: float
    ) -> float | None:
        """Say how long to wait before the next attempt.

        Args:
            attempt: How many attempts there were, from 1 on.
            outcome: What the last one came to.
            jitter: A random number from 0 to 1.

        Returns:
            Seconds, 0 for at once, or None to stop.
        """
        if attempt >= self.attempts:
            return None
        if isinstance(outcome, HTTPResponse):
            if outcome.status not in self.statuses:
                return None
            asked = retry_after(outcome)
            return self._back_off(attempt, jitter) if asked is None else asked
        if isinstance(outcome, ProtocolError) and not outcome.response_started:
            # Once only: a second connection that dies unheard is no stale one.
            return 0.0 if attempt == 1 else self._back_off(attempt, jitter)
        if isinstance(outcome, ConnectError) or self.resend:
            return self._back_off(attempt, jitter)
        return None

    def _back_off(self, attempt: int, jitter: float) -> float:
        # 2.0**1100 overflows; the cap is reached long before.
        whole = min(self.cap, self.base * 2.0 ** min(attempt - 1, 64))
        return whole * (0.5 + 0.5 * jitter)
