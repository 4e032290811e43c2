"""What was posted, given its id, its instant and its digest; what was changed.

Imports neither aiohttp nor a driver.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import time
from typing import TYPE_CHECKING, Any

import attrs

from keywordsai.server.answers import to_json
from keywordsai.server.bodies import read_json
from keywordsai.server.changes import joined, overlaid
from keywordsai.server.ids import IdSource
from keywordsai.server.newlogs import NewLog, PostedLog, new_log
from keywordsai.server.store import StoredLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Intake", "changed", "digest_of", "digests_of", "to_bytes"]


def _now() -> int:
    return time.time_ns() // 1000


@attrs.frozen(kw_only=True)
class Intake:
    """Takes logs that have been checked.

    Attributes:
        new_id: Gives a new id at every call.
        now: Gives the present instant, microseconds since 1970.
    """

    new_id: Callable[[], str] = attrs.field(factory=IdSource, repr=False)
    now: Callable[[], int] = attrs.field(default=_now, repr=False)

    def posted(self, text: str, digest: str | None) -> PostedLog:
        """A log as it is to be stored.

        Args:
            text: Its JSON as it came.
            digest: See `digest_of`.
        """
        return PostedLog(
            id=self.new_id(), arrived=self.now(), body=text, idempotency=digest
        )


def changed(log: StoredLog, asked: dict[str, Any]) -> NewLog:
    """A stored log with changes that have been checked, ready to be stored again.

    Args:
        log: As it is stored.
        asked: The changes, see `keywordsai.server.changes.joined`.
    """
    body = read_json(log.body)
    before = {} if log.changes is None else read_json(log.changes)
    changes = joined(body, before, asked)
    shown = overlaid(body, changes)
    return new_log(
        log.body,
        shown,
        log_id=log.id,
        now=log.timestamp,
        changes=to_json(changes).decode(),
    )


def to_bytes(text: str) -> bytes:
    """Bytes of a header, whatever it holds."""
    return text.encode("utf-8", "surrogatepass")


def digest_of(key: bytes, token: str) -> str | None:
    """One text for an account's idempotency key; neither can be had back from it."""
    if not token:
        return None
    account = hashlib.sha256(key).digest()
    return hashlib.sha256(account + to_bytes(token)).hexdigest()


def digests_of(key: bytes, token: str) -> Iterator[str | None]:
    """The like for every place in a bulk: never what a single log has of that key.

    They differ at their end, so that in an index they are neighbours.
    """
    if not token:
        return itertools.repeat(None)
    account = hashlib.sha256(key).digest()
    bulk = hmac.digest(account, b"bulk " + to_bytes(token), "sha256").hex()
    return (f"{bulk[:-4]}{index:04x}" for index in itertools.count())
