"""The exchange of one call with all its attempts, as a generator of effects.

`exchange` decides and never acts: it yields `Send` and `Sleep`, is sent each
response or thrown each transport error, and returns the successful response or
raises. `run` and `arun` act, over a transport of their colour; nothing else in
the package loops over attempts. Clock and jitter are passed in.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from typing import TypeAlias

import attrs

from keywordsai._logging import logger
from keywordsai.errors import TransportError
from keywordsai.transport.base import (
    AsyncTransport,
    HTTPRequest,
    HTTPResponse,
    SyncTransport,
)
from keywordsai.transport.retry import RetryPolicy
from keywordsai.transport.status import status_error

__all__ = ["Exchange", "Send", "Sleep", "arun", "exchange", "random_fraction", "run"]


def random_fraction() -> float:
    """From 0 to 1: from the system, so that forked children do not wait in step."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


@attrs.frozen(eq=False)
class Send:
    """The effect: send this request once."""

    request: HTTPRequest


@attrs.frozen
class Sleep:
    """The effect: wait this many seconds."""

    seconds: float


Exchange: TypeAlias = Generator[Send | Sleep, HTTPResponse | None, HTTPResponse]


def exchange(
    request: HTTPRequest,
    policy: RetryPolicy,
    *,
    secret: str = "",
    clock: Callable[[], float] = time.monotonic,
    jitter: Callable[[], float] = random_fraction,
) -> Exchange:
    """Try a request until it succeeds, or trying is over.

    Every attempt sends the same bytes and headers. ``request.timeout.total``
    bounds attempts and waits together: a wait that would pass it is not begun.

    Args:
        request: The request; its timeout is that of the whole call.
        policy: When to try again.
        secret: Taken out of error messages (see `status_error`).
        clock: Seconds that never go back.
        jitter: Random numbers from 0 to 1.

    Returns:
        The first 2xx response, as the generator's value.

    Raises:
        APIStatusError: The last answer was no success.
        TransportError: There was no answer.
    """
    timeout = request.timeout
    deadline = clock() + timeout.total
    answer: HTTPResponse | None = None
    attempt = 1
    while True:
        outcome: HTTPResponse | TransportError
        try:
            response = yield Send(request)
        except TransportError as error:
            outcome = error
        else:
            assert response is not None  # noqa: S101  the drivers answer every Send
            if response.is_success:
                return response
            outcome = answer = response
        wait = policy.wait(attempt, outcome, jitter=jitter())
        if wait is None:
            # What happened last is what the caller has to know.
            answer = outcome if isinstance(outcome, HTTPResponse) else None
            break
        if clock() + wait >= deadline:
            break
        logger("transport").debug(
            "attempt %d: %r; next in %.3f s", attempt, outcome, wait
        )
        if wait:
            yield Sleep(wait)
        remaining = deadline - clock()
        if remaining <= 0:
            break
        attempt += 1
        request = attrs.evolve(request, timeout=timeout.within(remaining))
    failed = None if isinstance(outcome, HTTPResponse) else outcome
    if answer is not None:
        raise status_error(answer, attempts=attempt, secret=secret) from failed
    assert failed is not None  # noqa: S101  no answer: then the outcome is an error
    failed.attempts = attempt
    raise failed


def run(steps: Exchange, transport: SyncTransport) -> HTTPResponse:
    """Act out an exchange over a synchronous transport."""
    try:
        effect = next(steps)
        while True:
            result: HTTPResponse | None = None
            try:
                if isinstance(effect, Send):
                    result = transport.send(effect.request)
                else:
                    transport.sleep(effect.seconds)
            except TransportError as error:
                effect = steps.throw(error)
            else:
                effect = steps.send(result)
    except StopIteration as stop:
        return _value(stop)


async def arun(steps: Exchange, transport: AsyncTransport) -> HTTPResponse:
    """Act out an exchange over an asynchronous transport."""
    try:
        effect = next(steps)
        while True:
            result: HTTPResponse | None = None
            try:
                if isinstance(effect, Send):
                    result = await transport.send(effect.request)
                else:
                    await transport.sleep(effect.seconds)
            except TransportError as error:
                effect = steps.throw(error)
            else:
                effect = steps.send(result)
    except StopIteration as stop:
        return _value(stop)


def _value(stop: StopIteration) -> HTTPResponse:
    response: HTTPResponse = stop.value
    return response
