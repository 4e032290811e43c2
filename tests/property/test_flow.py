"""The exchange, for every script of outcomes, in both colours."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keywordsai import (
    APIStatusError,
    ClosedError,
    ConnectError,
    HTTPRequest,
    HTTPResponse,
    ProtocolError,
    ReadTimeout,
    RetryPolicy,
    ServerError,
    Timeout,
    TransportError,
)
from keywordsai.transport.flow import Send, Sleep, arun, exchange, run

OUTCOMES = {
    "200": lambda: HTTPResponse(status=200, body=b"{}"),
    "400": lambda: HTTPResponse(status=400),
    "503": lambda: HTTPResponse(status=503),
    "429 in 2 s": lambda: HTTPResponse(status=429, headers={"Retry-After": "2"}),
    "429 in 99 s": lambda: HTTPResponse(status=429, headers={"Retry-After": "99"}),
    "refused": lambda: ConnectError("refused"),
    "timeout": lambda: ReadTimeout("late", request_sent=True),
    "stale": lambda: ProtocolError("gone", response_started=False),
    "cut": lambda: ProtocolError("cut"),
}
scripts = st.lists(
    st.tuples(st.sampled_from(sorted(OUTCOMES)), st.floats(0, 5)),
    min_size=12,
    max_size=12,
)
policies = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 8),
    base=st.floats(0, 2),
    cap=st.floats(0, 8),
    resend=st.booleans(),
)
timeouts = st.builds(Timeout, total=st.floats(0.1, 30), read=st.floats(0.1, 10))


class World:
    """A clock, a transport of a script, and what was done, in one colour."""

    def __init__(self, script):
        self.script = iter(script)
        self.now = 100.0
        self.trace: list = []

    def clock(self):
        return self.now

    def do_send(self, request):
        name, seconds = next(self.script)
        self.trace.append(("send", name, request))
        self.now += min(seconds, request.timeout.total)
        outcome = OUTCOMES[name]()
        if isinstance(outcome, TransportError):
            raise outcome
        return outcome

    def do_sleep(self, seconds):
        self.trace.append(("sleep", seconds, None))
        self.now += seconds


class Sync(World):
    send = World.do_send
    sleep = World.do_sleep

    def close(self):
        pass

    def go(self, request, policy, timeout):
        steps = exchange(request, policy, clock=self.clock, jitter=lambda: 0.5)
        return run(steps, self)


class Async(World):
    async def send(self, request):
        return self.do_send(request)

    async def sleep(self, seconds):
        self.do_sleep(seconds)

    async def close(self):
        pass

    def go(self, request, policy, timeout):
        steps = exchange(request, policy, clock=self.clock, jitter=lambda: 0.5)
        return asyncio.run(arun(steps, self))


def outcome_of(world, request, policy, timeout):
    try:
        return world.go(request, policy, timeout).status
    except (APIStatusError, TransportError) as error:
        return error


@given(script=scripts, policy=policies, timeout=timeouts)
def test_the_exchange_keeps_its_promises(script, policy, timeout):
    request = HTTPRequest(
        method="POST", url="http://x", headers={"Idempotency-Key": "k"}, body=b"{}",
        timeout=timeout,
    )  # fmt: skip
    world = Sync(script)
    result = outcome_of(world, request, policy, timeout)
    sent = [(name, one) for kind, name, one in world.trace if kind == "send"]
    # Never more than the budget, in attempts and in time.
    assert 1 <= len(sent) <= policy.attempts
    assert world.now - 100.0 <= timeout.total + 1e-6
    # The same bytes under the same key every time, each within what remains.
    for _name, one in sent:
        assert (one.url, one.headers, one.body) == ("http://x", request.headers, b"{}")
        assert one.timeout.total <= timeout.total
        assert one.timeout.read <= timeout.read
    # It ends with what happened last, or the last real answer out of time.
    last = sent[-1][0]
    if result == 200:
        assert last == "200"
    elif isinstance(result, APIStatusError):
        assert result.attempts == len(sent)
        assert str(result.status) in {name[:3] for name, _one in sent}
    else:
        assert result.attempts == len(sent)
        assert isinstance(OUTCOMES[last](), type(result))
    # What must not be tried again was not.
    for name, _one in sent[:-1]:
        assert name not in {"200", "400"}
        assert policy.resend or name not in {"timeout", "cut"}


@given(script=scripts, policy=policies, timeout=timeouts)
def test_both_drivers_do_the_same(script, policy, timeout):
    request = HTTPRequest(method="GET", url="http://x", timeout=timeout)
    one, two = Sync(script), Async(script)
    first = outcome_of(one, request, policy, timeout)
    second = outcome_of(two, request, policy, timeout)
    assert (type(first), str(first)) == (type(second), str(second))
    assert [step[:2] for step in one.trace] == [step[:2] for step in two.trace]


def script_of(*names, seconds=0.0):
    return [(name, seconds) for name in names] * 4


def go(names, *, seconds=0.0, **options):
    timeout = options.pop("timeout", Timeout())
    world = Sync(script_of(*names, seconds=seconds))
    request = HTTPRequest(method="GET", url="http://x", timeout=timeout)
    result = outcome_of(world, request, RetryPolicy(**options), timeout)
    return result, [step[:2] for step in world.trace]


def test_a_wait_past_the_deadline_is_not_begun_and_the_answer_is_raised():
    result, trace = go(["429 in 99 s"])
    assert (result.status, result.retry_after, len(trace)) == (429, 99, 1)


def test_out_of_time_the_last_real_answer_is_raised_over_a_later_failure():
    result, _trace = go(["503", "timeout"], seconds=14.9, timeout=Timeout(total=30.2))
    assert isinstance(result, ServerError)
    assert isinstance(result.__cause__, ReadTimeout)


def test_out_of_attempts_what_happened_last_is_raised():
    result, _trace = go(["503", "timeout"], attempts=2)
    assert isinstance(result, ReadTimeout)
    assert (result.attempts, result.request_sent) == (2, True)


def test_a_wait_that_ends_at_the_deadline_starts_no_attempt():
    class Slow(Sync):
        def sleep(self, seconds):
            self.now += 1000.0  # a laptop that was asleep

    world = Slow(script_of("503"))
    request = HTTPRequest(method="GET", url="http://x")
    assert outcome_of(world, request, RetryPolicy(), Timeout()).attempts == 1


def test_a_stale_connection_is_tried_again_at_once():
    result, trace = go(["stale", "200"])
    assert (result, trace) == (200, [("send", "stale"), ("send", "200")])


def test_other_exceptions_pass_and_end_the_exchange():
    class Closed(Sync):
        def send(self, request):
            raise ClosedError("closed")

    with pytest.raises(ClosedError):
        Closed([]).go(HTTPRequest(method="GET", url="x"), RetryPolicy(), None)

    class AsyncClosed(Async):
        async def send(self, request):
            raise ClosedError("closed")

    with pytest.raises(ClosedError):
        AsyncClosed([]).go(HTTPRequest(method="GET", url="x"), RetryPolicy(), None)


def test_effects_are_values():
    assert Sleep(1.0) == Sleep(1.0)
    assert "secret" not in repr(
        Send(HTTPRequest(method="GET", url="x", body=b"secret"))
    )


def test_the_defaults_are_the_systems_clock_and_chance():
    steps = exchange(HTTPRequest(method="GET", url="x"), RetryPolicy(base=0.5))
    next(steps)
    effect = steps.throw(ConnectError("x"))
    assert isinstance(effect, Sleep)
    assert 0.25 <= effect.seconds <= 0.5
