"""A stored log as the service answers it: a row.

`full_log` is the log with what follows from it; `row` makes that readable for the
published SDK; `detail` adds what was sent, byte for byte, under ``as_sent``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keywordsai.server.answers import to_json
from keywordsai.server.bodies import read_json
from keywordsai.server.changes import overlaid
from keywordsai.server.derive import derived
from keywordsai.server.excerpts import excerpts
from keywordsai.server.shapes import presentable

if TYPE_CHECKING:
    from keywordsai.server.store import StoredLog

__all__ = ["derived", "detail", "excerpts", "full_log", "row"]


def full_log(log: StoredLog) -> dict[str, Any]:
    """A log as it reads: what was sent, changed since, with what follows from it."""
    body = read_json(log.body)
    if log.changes is not None:
        body = overlaid(body, read_json(log.changes))
    return derived(body, log_id=log.id, timestamp=log.timestamp)


def row(log: StoredLog) -> dict[str, Any]:
    """The log as one of a list's results."""
    return presentable(full_log(log))


def detail(log: StoredLog) -> bytes:
    """The log as ``get`` answers it: its row, and ``as_sent``, the text as it came.

    What was changed since is beside it, under ``as_changed``.
    """
    shown = row(log)
    # Those keys are ours here; what somebody sent under them is inside ``as_sent``.
    shown.pop("as_sent", None)
    shown.pop("as_changed", None)
    changes = b"" if log.changes is None else b', "as_changed": ' + log.changes.encode()
    return to_json(shown)[:-1] + changes + b', "as_sent": ' + log.body.encode() + b"}"
