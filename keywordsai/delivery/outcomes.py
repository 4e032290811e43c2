"""Whose fault was it? What the outcome of a request means for its logs. Pure.

=============================================  =====================================
outcome                                        what follows
=============================================  =====================================
2xx                                            delivered; of a batch, those refused
                                               by ``errors[].index`` are dead
400, 413, 422, of one log                      dead: the log is refused for good
400, 413, 422, 404, 405, of a batch            it falls apart, into halves or logs
401, 403                                       the key is refused: all wait, and one
                                               log is tried each minute
a connection that ended without a byte, once   at once again: it most often was stale
everything else                                the server failed: back-off
=============================================  =====================================
"""

from __future__ import annotations

import json
from enum import Enum

from keywordsai.errors import APIStatusError, ProtocolError, TransportError
from keywordsai.transport.base import HTTPResponse

__all__ = ["NO_BULK", "Outcome", "Verdict", "refused_of", "verdict"]

Outcome = HTTPResponse | APIStatusError | TransportError

NO_BULK = frozenset({404, 405})
"""What a service answers that takes logs one by one only."""

_REFUSED_LOG = frozenset({400, 413, 422})
_REFUSED_KEY = frozenset({401, 403})


class Verdict(Enum):
    """What follows from an outcome."""

    DELIVERED = "delivered"
    LOG_REFUSED = "log refused"
    BATCH_REFUSED = "batch refused"
    KEY_REFUSED = "key refused"
    STALE = "stale"
    FAILED = "failed"


def verdict(outcome: Outcome, *, batch: bool, was_stale: bool) -> Verdict:
    """Judge an outcome.

    Args:
        outcome: What a request came to.
        batch: Whether it carried a batch.
        was_stale: Whether the same was judged stale before.
    """
    if isinstance(outcome, HTTPResponse):
        return Verdict.DELIVERED
    if isinstance(outcome, APIStatusError):
        if outcome.status in _REFUSED_KEY:
            return Verdict.KEY_REFUSED
        if batch and outcome.status in _REFUSED_LOG | NO_BULK:
            return Verdict.BATCH_REFUSED
        return Verdict.LOG_REFUSED if outcome.status in _REFUSED_LOG else Verdict.FAILED
    unheard = isinstance(outcome, ProtocolError) and not outcome.response_started
    return Verdict.STALE if unheard and not was_stale else Verdict.FAILED


def refused_of(response: HTTPResponse) -> dict[int, str]:
    """Which logs of a batch were refused, with the words: only their index counts."""
    try:
        answer = json.loads(response.body)
        errors = answer.get("errors") or []
        return {
            item["index"]: str(item.get("error", ""))
            for item in errors
            if isinstance(item.get("index"), int)
        }
    except (ValueError, AttributeError, TypeError):
        return {}
