"""Acts on the faults that are asked for: waits, keeps silent, closes connections.

A request that hangs is let go, its connection closed without an answer, when its
fault ends or others take its place, when the client leaves, or the server stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING

from keywordsai.server.answers import Refusal
from keywordsai.server.bodies import BULK_BODY, BodyLimit
from keywordsai.server.fault_control import answer_of, control_faults
from keywordsai.server.faults import Faults, parse_fault
from keywordsai.server.reading import head_of, is_gone, read_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from aiohttp import web

    from keywordsai.transport.base import HTTPResponse

__all__ = ["Trouble"]

_FAULTS_BODY = BodyLimit(256 * 1024, "faults are at most 256 KiB")
_LOOK = 0.05  # seconds between two looks at whether a request hangs on


class Trouble:
    """What goes wrong on demand, in one server.

    Args:
        texts: The faults in force from the start.
        keys: The server's keys.

    Raises:
        ConfigurationError: A text is no fault.
    """

    def __init__(self, texts: Sequence[str] = (), *, keys: Sequence[str] = ()) -> None:
        self._faults = Faults(map(parse_fault, texts), now=time.monotonic())
        self._keys = keys
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let go whatever waits or hangs."""
        self._stopping.set()

    async def control(self, request: web.Request) -> HTTPResponse:
        """Answer a request to ``/_faults``."""
        try:
            body = await read_body(request, _FAULTS_BODY)
        except Refusal as refusal:
            return refusal.response()
        return control_faults(
            self._faults,
            head_of(request, body),
            peer=request.remote or "",
            keys=self._keys,
            now=time.monotonic(),
        )

    async def around(
        self,
        request: web.Request,
        respond: Callable[[web.Request], Awaitable[HTTPResponse]],
    ) -> HTTPResponse | None:
        """Have a request answered, unless a fault is in the way.

        Returns:
            The answer; None if the connection is to be closed without one.
        """
        if not self._faults:
            return await respond(request)
        outcome = self._faults.decide(now=time.monotonic(), dice=random.random)
        await self._wait(outcome.latency)
        fault = outcome.fault
        if fault is None:
            return await respond(request)
        if fault.kind == "drop-response":
            await respond(request)
            return None
        # The body first, as a server in trouble takes it too: clients tell a request
        # that was sent from one that was not.
        with contextlib.suppress(Refusal):
            await read_body(request, BULK_BODY)
        if fault.kind == "status":
            return answer_of(fault)
        if fault.kind == "hang":
            await self._hang(request, outcome.until)
        return None

    async def _wait(self, seconds: float) -> None:
        if seconds:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _hang(self, request: web.Request, until: float | None) -> None:
        generation = self._faults.generation
        while not self._stopping.is_set() and not is_gone(request):
            over = until is not None and time.monotonic() >= until
            if over or generation != self._faults.generation:
                return
            await self._wait(_LOOK)
