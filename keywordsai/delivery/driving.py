"""What the two drivers share: when to begin, how to send, what went wrong."""

from __future__ import annotations

# These have hooks for forks of their own, which go wrong if another thread brings them
# in while a fork is under way; sending would import them in the middle of anything.
import concurrent.futures.thread  # noqa: F401  to have been imported
import logging  # noqa: F401  likewise
import sys
import time
from collections.abc import Callable, Iterator

from keywordsai._logging import logger
from keywordsai.delivery.outbox import Outbox
from keywordsai.delivery.outcomes import Outcome
from keywordsai.errors import APIStatusError, ProtocolError, TransportError
from keywordsai.transport.base import HTTPRequest
from keywordsai.transport.flow import Exchange, exchange
from keywordsai.transport.retry import RetryPolicy

__all__ = ["burst", "is_green", "once", "outcome_of"]

_QUIET = 0.02  # seconds without a new log: the burst is over
_LONGEST_BURST = 0.5
_ONCE = RetryPolicy(attempts=1)  # when to try again is the scheduler's to say


def is_green() -> bool:
    """Whether threads are gevent's: an event loop of its own would stop them all."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def burst(outbox: Outbox, stopping: Callable[[], bool]) -> Iterator[float]:
    """Seconds to wait, again and again, until logs cease to come in."""
    end = time.monotonic() + _LONGEST_BURST
    seen = -1
    while not (outbox.flushers or stopping()) and time.monotonic() < end:
        last = outbox.last_put()
        if last == seen:
            return
        seen = last
        yield _QUIET


def outcome_of(error: Exception) -> Outcome:
    """What an exception of an attempt means to the scheduler."""
    if isinstance(error, APIStatusError | TransportError):
        return error
    # The text of an error that nobody expected may hold anything.
    kind = type(error).__name__
    logger("delivery").debug("sending raised %s", kind)
    return ProtocolError(f"sending raised {kind}")


def once(outbox: Outbox, request: HTTPRequest) -> Exchange:
    """The exchange of `create`, with a single attempt."""
    return exchange(request, _ONCE, secret=outbox.endpoints.settings.api_key.reveal())
