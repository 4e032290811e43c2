"""Deadlines of requests in flight: each ends its own, and only its own."""

from __future__ import annotations

import asyncio
import sys

import pytest

from keywordsai.transport.deadline import _KNOWN_URLS, DeadlineAdapter
from keywordsai.transport.watchdog import Flight, Watchdog


async def fly(dog, seconds):
    with Flight(dog, seconds):
        await asyncio.sleep(3600)


def test_each_flight_ends_at_its_own_deadline():
    async def main():
        dog = Watchdog(asyncio.get_running_loop())
        began = dog.loop.time()
        flights = [asyncio.ensure_future(fly(dog, s)) for s in (0.2, 0.05, 0.1)]
        ended = []
        for flight in flights:
            flight.add_done_callback(
                lambda _done: ended.append(dog.loop.time() - began)
            )
        results = await asyncio.gather(*flights, return_exceptions=True)
        assert [type(result) for result in results] == [TimeoutError] * 3
        assert all(
            late >= due - 0.002
            for late, due in zip(ended, (0.05, 0.1, 0.2), strict=True)
        )
        assert not dog.flights
        assert isinstance(results[0].__cause__, asyncio.CancelledError)

    asyncio.run(main())


def test_a_flight_that_lands_in_time_is_forgotten():
    async def main():
        dog = Watchdog(asyncio.get_running_loop())
        with Flight(dog, 0.01):
            pass
        assert not dog.flights
        await asyncio.sleep(0.03)  # the timer rings for nobody

    asyncio.run(main())


def test_other_exceptions_and_cancellations_pass():
    async def main():
        dog = Watchdog(asyncio.get_running_loop())
        with pytest.raises(ZeroDivisionError), Flight(dog, 5):
            raise ZeroDivisionError
        task = asyncio.ensure_future(fly(dog, 5))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.10 counts no cancellations")
def test_who_was_cancelled_by_others_too_stays_cancelled():
    async def main():
        dog = Watchdog(asyncio.get_running_loop())
        task = asyncio.ensure_future(fly(dog, 5))
        await asyncio.sleep(0)
        (flight,) = dog.flights
        flight.cancel()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.10 counts no cancellations")
def test_in_the_clean_up_of_a_cancelled_task_the_deadline_is_a_timeout():
    """The cancellation that is being handled is not taken for another one."""

    ended = []

    async def cancelled_first():
        dog = Watchdog(asyncio.get_running_loop())
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            try:
                await fly(dog, 0.01)
            except BaseException as error:  # noqa: BLE001  which one, is told below
                ended.append(type(error))
            ended.append(asyncio.current_task().cancelling())

    async def main():
        task = asyncio.ensure_future(cancelled_first())
        await asyncio.sleep(0)
        task.cancel()
        await task

    asyncio.run(main())
    assert ended == [TimeoutError, 1]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.10 counts no cancellations")
def test_a_deadline_that_came_too_late_leaves_no_cancellation():
    """What was in flight made another error of it."""

    async def turned():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise ZeroDivisionError from None

    async def main():
        dog = Watchdog(asyncio.get_running_loop())
        with pytest.raises(ZeroDivisionError), Flight(dog, 0.01):
            await turned()
        assert asyncio.current_task().cancelling() == 0

    asyncio.run(main())


def test_the_pools_of_many_urls_are_not_all_remembered():
    class Request:
        def __init__(self, number):
            self.url = f"http://127.0.0.1:1/{number}"

    adapter = DeadlineAdapter()
    pools = {
        adapter.get_connection_with_tls_context(Request(number), verify=True)
        for number in range(_KNOWN_URLS + 10)
    }
    assert len(pools) == 1
    assert len(adapter._pools) == 10
    adapter.close()
