"""A stored log as it is sent on: the text that came, and the time it came at. Pure.

A log that was changed since, by PATCH, is sent as it reads now.
"""

from __future__ import annotations

from keywordsai.server.answers import to_json
from keywordsai.server.bodies import read_json
from keywordsai.server.changes import overlaid
from keywordsai.server.store import StoredLog
from keywordsai.server.times import format_time

__all__ = ["body_of", "key_of"]


def key_of(log_id: str) -> str:
    """The idempotency key of a log: the same in every push to anywhere.

    Example:
        >>> key_of("0192f0c1d2e3")
        'keywordsai-push-0192f0c1d2e3'
    """
    return f"keywordsai-push-{log_id}"


def body_of(log: StoredLog) -> bytes:
    """What is sent: every byte as it was stored, and a timestamp if there is none.

    Without one the service would take the moment of the push for that of the call.

    Example:
        >>> body_of(StoredLog(id="a", timestamp=0, body='{"cost": 1.10}'))
        b'{"cost": 1.10, "timestamp": "1970-01-01T00:00:00.000000Z"}'
    """
    text = log.body
    body = read_json(text)
    if log.changes is not None:
        body = overlaid(body, read_json(log.changes))
        text = to_json(body).decode()
    if body.get("timestamp") is not None:
        return text.encode()
    # At the end: of two of a name, such as a null before, the last one counts.
    mark = ", " if body else ""
    head = text.rstrip().removesuffix("}")
    return f'{head}{mark}"timestamp": "{format_time(log.timestamp)}"}}'.encode()
