"""Sends what was taken, over a client like any other, while somebody looks on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import attrs

import keywordsai.transport.aiohttp  # noqa: F401  now, not when files wait for it
from keywordsai.logs.api import LogAPI
from keywordsai.spool.folder import Folder
from keywordsai.spool.taking import Taken

__all__ = ["Sent", "client_of", "send"]

_PATIENCE = 30.0  # seconds without a log delivered, unless there is a limit
_PATIENCE_WITH_OTHERS = 5.0
_LOOK, _LOOK_AT_OTHERS = 0.1, 0.5
_FOR_EVER = 1e9  # seconds: what somebody asks to send is not too old
_AT_THE_END = 0.5


@attrs.frozen(kw_only=True)
class Sent:
    """What became of the logs that were sent.

    Attributes:
        delivered: Logs the service took.
        pending: Logs that still wait.
        dead: Logs the service refused.
        dropped: Logs given up, as their file could not be read any more.
        warnings: What the delivery had to say.
    """

    delivered: int
    pending: int
    dead: int
    dropped: int
    warnings: list[str]


_TOLD = ("stats()", "--all-accounts")  # by the command itself, in its own words


class _Warnings(logging.Handler):
    """Keeps what is said, for the end."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if not any(told in text for told in _TOLD):
            self.said.append(text)


def client_of(path: Path) -> LogAPI:
    """A client that delivers what lies in a folder.

    Raises:
        ConfigurationError: The environment's settings are wrong.
    """
    return LogAPI(block=False, spool=path, max_age=_FOR_EVER, exit_timeout=_AT_THE_END)


def send(
    client: LogAPI,
    folder: Folder,
    taken: Taken,
    *,
    timeout: float | None,
    show: Callable[[int], None],
) -> Sent:
    """Send until all is sent, or nothing more happens, or the time is over.

    Args:
        client: Sends it, and is closed.
        folder: Where it lies.
        taken: What it is.
        timeout: Seconds at most; None while there is progress.
        show: Called again and again with the number of logs that are through.
    """
    warnings = _Warnings()
    logging.getLogger("keywordsai").addHandler(warnings)
    deadline = time.monotonic() + (_FOR_EVER if timeout is None else timeout)
    patience = _PATIENCE if timeout is None else timeout
    sending = _Sending(client, taken, show)
    try:
        with suppress(KeyboardInterrupt):
            with client:
                asyncio.run(sending.until_done(deadline, patience))
            # The files are not looked into while they are worked on here.
            if sending.is_done:
                _wait_for_others(folder, taken, deadline)
    finally:
        logging.getLogger("keywordsai").removeHandler(warnings)
    pending, dead = taken.left(folder)
    # Of what another process took and gave up, nobody here knows.
    ended = taken.total - pending - dead
    dropped = min(ended, sum(client.stats().dropped.values()))
    return Sent(
        delivered=ended - dropped,
        pending=pending,
        dead=dead,
        dropped=dropped,
        warnings=warnings.said,
    )


def _wait_for_others(folder: Folder, taken: Taken, deadline: float) -> None:
    """Running processes of this account may have taken some of it, and send it."""
    least, _ = taken.left(folder)
    end = time.monotonic() + _PATIENCE_WITH_OTHERS
    while least and time.monotonic() < min(end, deadline):
        time.sleep(_LOOK_AT_OTHERS)
        pending, _ = taken.left(folder)
        if pending < least:
            least, end = pending, time.monotonic() + _PATIENCE_WITH_OTHERS


@attrs.define
class _Sending:
    """What is seen while it is sent.

    Attributes:
        client: It sends.
        taken: What is sent.
        show: Called with the number of logs that are through.
        is_done: Whether all that the client found is through.
    """

    client: LogAPI
    taken: Taken
    show: Callable[[int], None]
    is_done: bool = False

    async def until_done(self, deadline: float, patience: float) -> None:
        """Send while something comes of it within so many seconds."""
        drawing = asyncio.ensure_future(self._draw())
        before = -1
        try:
            # A flush ends early, too, when nothing can happen within its time.
            while self._through() > before and not self.is_done:
                before = self._through()
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return
                result = await self.client.aflush(min(patience, remaining))
                self.is_done = result.complete
        finally:
            drawing.cancel()
            self._show()

    async def _draw(self) -> None:
        while True:
            self._show()
            await asyncio.sleep(_LOOK)

    def _show(self) -> None:
        self.show(min(self.taken.total, self._through()))

    def _through(self) -> int:
        stats = self.client.stats()
        refused = max(0, stats.dead - self.taken.dead)
        return stats.delivered + refused + sum(stats.dropped.values())
