"""A log that was posted, and the same made ready to be stored."""

from __future__ import annotations

from typing import Any

import attrs

from keywordsai.server.bodies import read_json
from keywordsai.server.derive import indexed
from keywordsai.server.excerpts import excerpts
from keywordsai.server.indexing import Index, index_of
from keywordsai.server.times import parse_time

__all__ = ["NewLog", "PostedLog", "new_log"]


@attrs.frozen(kw_only=True)
class PostedLog:
    """A log that was checked; what it is found by is still to be worked out.

    Attributes:
        id: 32 hex digits, by which logs are in order.
        arrived: The instant of its arrival, microseconds.
        body: The JSON text as it came.
        idempotency: A digest; of two logs with the same one the first is kept.
    """

    id: str
    arrived: int
    body: str = attrs.field(repr=False)
    idempotency: str | None = None

    def ready(self) -> NewLog:
        """The log made ready to be stored."""
        return new_log(
            self.body,
            read_json(self.body),
            log_id=self.id,
            now=self.arrived,
            idempotency=self.idempotency,
        )


@attrs.frozen(kw_only=True)
class NewLog:
    """A log about to be stored.

    Attributes:
        id: 32 hex digits, by which logs are in order.
        timestamp: Its own instant, microseconds.
        body: The JSON text as it came.
        index: What lists sort and filter by.
        prompt: The first words of what was asked.
        answer: The first words of what was answered.
        changes: JSON of what was changed since it came.
        idempotency: A digest; of two logs with the same one the first is kept.
    """

    id: str
    timestamp: int
    body: str = attrs.field(repr=False)
    index: Index = attrs.field(repr=False)
    prompt: str = attrs.field(default="", repr=False)
    answer: str = attrs.field(default="", repr=False)
    changes: str | None = attrs.field(default=None, repr=False)
    idempotency: str | None = None


def new_log(
    text: str,
    body: dict[str, Any],
    *,
    log_id: str,
    now: int,
    idempotency: str | None = None,
    changes: str | None = None,
) -> NewLog:
    """Make a log that has been checked ready to be stored.

    Args:
        text: Its JSON just as it came.
        body: The object that is, with what was changed since.
        log_id: The id it is to have.
        now: The instant of its arrival, microseconds.
        idempotency: A digest; of two logs with the same one the first is kept.
        changes: JSON of what was changed since it came.
    """
    sent = parse_time(body.get("timestamp"))
    timestamp = now if sent is None else sent
    full = indexed(body)
    prompt, answer = excerpts(full)
    return NewLog(
        id=log_id,
        timestamp=timestamp,
        body=text,
        index=index_of(full),
        prompt=prompt,
        answer=answer,
        changes=changes,
        idempotency=idempotency,
    )
