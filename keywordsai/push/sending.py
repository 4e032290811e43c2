"""Sends what is left to push, many at once, and remembers what came of it.

The first log goes alone: where the service cannot be reached, or refuses the key,
that is found by one of them. What was in flight when a push ends early is sent again
by the next one, under the same key.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import attrs

from keywordsai.delivery.outcomes import Outcome, Verdict, verdict
from keywordsai.errors import APIStatusError, TransportError
from keywordsai.logs.endpoints import Endpoints
from keywordsai.push.bodies import body_of, key_of
from keywordsai.push.memory import REFUSED, Ended, Memory, Wanted
from keywordsai.server.store import StoredLog
from keywordsai.transport.base import AsyncTransport
from keywordsai.transport.flow import arun, exchange

__all__ = ["Pushed", "Sender"]

_AT_ONCE = 16
_PAGE = 200  # logs that are read, and remembered, together
_IN_A_ROW = 16  # failures after which the service is left alone
_LONGEST_REASON = 500


@attrs.define
class Pushed:
    """What came of the logs so far.

    Attributes:
        delivered: Logs the service took.
        refused: Logs it refused for good, each with its id and the reason.
        trouble: Why it ended early; empty if it did not.
    """

    delivered: int = 0
    refused: list[tuple[str, str]] = attrs.field(factory=list)
    trouble: str = ""

    @property
    def through(self) -> int:
        """How many the service took or refused; with one of them, it is at work."""
        return self.delivered + len(self.refused)


class Sender:
    """One push.

    Args:
        memory: What is left, and where to remember.
        endpoints: How a log is sent.
        transport: Over what.
        show: Called again and again with the number of logs that are through.

    Attributes:
        pushed: What came of it so far.
    """

    def __init__(
        self,
        memory: Memory,
        endpoints: Endpoints,
        transport: AsyncTransport,
        show: Callable[[int], None],
    ) -> None:
        self.pushed = Pushed()
        self._memory = memory
        self._endpoints = endpoints
        self._transport = transport
        self._show = show
        self._ended: list[Ended] = []
        self._in_a_row = 0

    async def send(self, wanted: Wanted, most: int) -> None:
        """Send the logs that are wanted, so many at most.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database failed.
        """
        in_flight: set[asyncio.Task[None]] = set()
        try:
            async for log in self._logs(wanted, most):
                in_flight.add(asyncio.create_task(self._one(log)))
                # The next ones wait until the first is through.
                room = _AT_ONCE if self.pushed.through else 1
                while len(in_flight) >= room:
                    in_flight = await self._some(in_flight)
                if self.pushed.trouble:
                    break
            while in_flight:
                in_flight = await self._some(in_flight)
        finally:
            for task in in_flight:
                task.cancel()
            await asyncio.gather(*in_flight, return_exceptions=True)
            self._remember()

    async def _logs(self, wanted: Wanted, most: int) -> AsyncIterator[StoredLog]:
        memory = self._memory
        last = await asyncio.to_thread(memory.newest)
        after, taken = "", 0
        while taken < most:
            size = min(_PAGE, most - taken)
            page = await asyncio.to_thread(
                memory.next, wanted, after=after, last=last, most=size
            )
            if not page:
                return
            for log in page:
                yield log
            after, taken = page[-1].id, taken + len(page)

    async def _some(
        self, in_flight: set[asyncio.Task[None]]
    ) -> set[asyncio.Task[None]]:
        done, left = await asyncio.wait(in_flight, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        self._show(self.pushed.through)
        if len(self._ended) >= _PAGE:
            self._remember()
        return left

    def _remember(self) -> None:
        if self._ended:
            self._memory.remember(self._ended)
            self._ended = []

    async def _one(self, log: StoredLog) -> None:
        settings = self._endpoints.settings
        request = self._endpoints.post_log(body_of(log), key_of(log.id))
        secret = settings.api_key.reveal()
        outcome: Outcome
        try:
            steps = exchange(request, settings.retry, secret=secret)
            outcome = await arun(steps, self._transport)
        except (APIStatusError, TransportError) as error:
            outcome = error
        self._note(log, outcome)

    def _note(self, log: StoredLog, outcome: Outcome) -> None:
        pushed = self.pushed
        found = verdict(outcome, batch=False, was_stale=True)
        if found is Verdict.DELIVERED:
            pushed.delivered += 1
            self._in_a_row = 0
            self._ended.append(Ended(log.id))
        elif found is Verdict.LOG_REFUSED and isinstance(outcome, APIStatusError):
            words = str(outcome)[:_LONGEST_REASON]
            pushed.refused.append((log.id, words))
            self._in_a_row = 0
            self._ended.append(Ended(log.id, REFUSED, outcome.status, words))
        else:
            self._in_a_row += 1
            hopeless = found is Verdict.KEY_REFUSED or not pushed.through
            if hopeless or self._in_a_row >= _IN_A_ROW:
                pushed.trouble = pushed.trouble or str(outcome)
