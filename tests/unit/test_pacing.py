"""How hard a server may be pressed."""

from __future__ import annotations

import pytest

from keywordsai.delivery.pacing import Pacing, back_off


def test_the_window_doubles_up_to_the_concurrency():
    pacing = Pacing(concurrency=6)
    windows = []
    for now in range(4):
        windows.append(pacing.window)
        pacing.started()
        pacing.succeeded(float(now))
    assert windows == [1, 2, 4, 6]


def test_no_more_than_the_window_is_in_flight():
    pacing = Pacing(concurrency=4)
    assert pacing.wait(0.0) == 0.0
    pacing.started()
    assert pacing.wait(0.0) is None


@pytest.mark.parametrize(
    ("failures", "most"), [(1, 0.5), (2, 1.0), (3, 2.0), (7, 32.0), (8, 60.0), (999, 60.0)]
)  # fmt: skip
def test_waits_double_to_a_minute_and_half_is_chance(failures, most):
    assert back_off(failures, 1.0) == most
    assert back_off(failures, 0.0) == most / 2


def probe(pacing, now, **options):
    pacing.started()
    return pacing.failed(now, since=now, jitter=1.0, **options)


def test_a_sick_server_is_probed_at_most_ten_times_in_twenty_seconds():
    for jitter in (0.0, 1.0):
        pacing, now, probes = Pacing(concurrency=16), 0.0, 0
        while now < 20.0:
            pacing.started()
            assert pacing.failed(now, since=now, jitter=jitter)
            probes += 1
            assert pacing.window == 1
            now += pacing.wait(now) or 0.0
        assert probes <= 10


def test_the_servers_own_wait_is_a_floor():
    pacing = Pacing(concurrency=4)
    assert probe(pacing, 0.0, retry_after=7.0)
    assert pacing.wait(0.0) == 7.0


def test_many_that_fail_together_count_once():
    pacing = Pacing(concurrency=4, window=4)
    for _ in range(4):
        pacing.started()
    for _ in range(4):
        pacing.failed(10.0, since=0.0, jitter=1.0)
    assert (pacing.failures, pacing.wait(10.0)) == (1, 0.5)


def test_a_log_that_fails_while_others_pass_holds_nobody_back():
    pacing = Pacing(concurrency=4)
    pacing.started()
    pacing.started()
    pacing.succeeded(5.0)
    assert not pacing.failed(6.0, since=4.0, jitter=1.0)
    assert pacing.wait(6.0) == 0.0


def test_a_success_ends_the_wait():
    pacing = Pacing(concurrency=4)
    probe(pacing, 0.0)
    pacing.started()
    pacing.succeeded(1.0)
    assert (pacing.failures, pacing.wait(1.0), pacing.window) == (0, 0.0, 2)


def test_a_refused_key_is_tried_once_a_minute_and_is_news_once():
    pacing = Pacing(concurrency=4)
    pacing.started()
    assert pacing.key_refused(0.0)
    assert pacing.wait(0.0) == 60.0
    pacing.started()
    assert not pacing.key_refused(60.0)
    pacing.started()
    pacing.succeeded(120.0)
    pacing.started()
    assert pacing.key_refused(121.0)
