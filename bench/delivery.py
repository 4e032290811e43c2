"""The rows about the delivery in the background.

Where a target is an absolute time, what it is compared with stands beside it: on a
machine that is busy both are slow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from statistics import median

import attrs
import delivery_cases
import sink
from delivery_apart import many_processes, pending_memory
from delivery_cases import Calls, Delivered
from sample import log_of
from senders import has_opentelemetry
from table import Row, in_turns, ratio, shown, verdict

__all__ = ["SECTIONS", "Amount"]

_RATE = 500.0
_PROCESSES, _RATE_OF_ALL = 8, 1000.0
_OTEL = "OpenTelemetry"


@attrs.frozen(kw_only=True)
class Amount:
    """How much is measured.

    Attributes:
        rounds: Of bursts.
        long_rounds: Of what takes seconds.
        seconds: Of a steady stream.
        delivered: Logs of the burst whose delivery is timed.
        pending: Logs that wait while the server is down.
    """

    rounds: int
    long_rounds: int
    seconds: float
    delivered: int
    pending: int


def _burst(amount: Amount) -> Iterable[Row]:
    taken = _bursts("burst", 1000, amount.rounds)
    what = "create(block=False), bursts of 2,000, 1 KB"
    yield _most(f"{what}: p50", taken, "p50", 25e-6)
    if has_opentelemetry():
        times = ratio(*(_column(taken[who], "p50") for who in ("ours", "otel")))
        reached = verdict(reached=times < 1)
        yield Row(f"  p50, of {_OTEL}'s", "below 1", f"{times:.2f}", "", reached)
    else:
        yield Row(f"  p50, of {_OTEL}'s", "below 1", "", "not installed")
    yield _floor("  p50, of encode_log and one INSERT", taken, "insert")
    yield _most("  p99", taken, "p99", 100e-6)
    yield _most("  max", taken, "longest", 2e-3)


def _burst_of_large(amount: Amount) -> Iterable[Row]:
    taken = _bursts("burst, 10 KB", 10_000, amount.rounds)
    yield _most("create(block=False), bursts of 2,000, 10 KB: p50", taken, "p50", 40e-6)
    yield _floor("  p50, of encode_log and one INSERT", taken, "insert")


def _steady(amount: Amount) -> Iterable[Row]:
    with ExitStack() as stack:
        base = stack.enter_context(sink.running())
        compared = delivery_cases.steady_cases(
            base, log_of(1000), _RATE, amount.seconds, stack
        )
        taken = in_turns("500 logs/s", compared, amount.long_rounds)
    yield _most("create(block=False), 500 logs/s, 1 KB: p99", taken, "p99", 3e-3)


def _delivered(amount: Amount) -> Iterable[Row]:
    with ExitStack() as stack:
        base = stack.enter_context(sink.running())
        compared = delivery_cases.delivered_cases(
            base, log_of(1000), amount.delivered, stack
        )
        taken = in_turns("delivered", compared, amount.long_rounds)
    what = f"delivered, burst of {amount.delivered:,}"
    yield _rate(f"{what}, of bare aiohttp", taken, "single", 0.6)
    yield _rate(f"{what}, bulk=True, of bare aiohttp", taken, "bulk", 1.7)
    cpu = median(one.cpu for one in taken["bulk"]) * 1000
    bare = median(one.cpu for one in taken["bare"]) * 1000
    yield Row(
        "  bulk=True: CPU for 1,000 logs",
        "at most 0.060 s",
        f"{cpu:.3f} s",
        f"{cpu:.3f} / {bare:.3f} s",
        verdict(reached=cpu <= 0.06),
    )


def _memory(amount: Amount) -> Iterable[Row]:
    def case() -> tuple[float, float]:
        found = pending_memory(amount.pending)
        return found.resident / 1e6, found.peak / 1e6

    taken = in_turns("memory", {"ours": case}, amount.long_rounds)["ours"]
    resident, peak = (median(column) for column in zip(*taken, strict=True))
    yield Row(
        f"memory, {amount.pending:,} logs of 1 KB pending in a folder",
        "at most 30 MB",
        f"{resident:.1f} MB",
        f"at its peak {peak:.1f} MB",
        verdict(reached=peak <= 30),
    )


def _processes(amount: Amount) -> Iterable[Row]:
    with sink.running() as base:
        taken = in_turns(
            f"{_PROCESSES} processes",
            {
                "ours": lambda: many_processes(
                    base, _PROCESSES, _RATE_OF_ALL, amount.seconds
                )
            },
            amount.long_rounds,
        )
    what = f"{_PROCESSES} processes, {_RATE_OF_ALL:,.0f} logs/s in all, one folder: p99"
    yield _most(what, taken, "p99", 1e-3)


SECTIONS: dict[str, Callable[[Amount], Iterable[Row]]] = {
    "burst": _burst,
    "large": _burst_of_large,
    "steady": _steady,
    "delivered": _delivered,
    "memory": _memory,
    "processes": _processes,
}


def _bursts(what: str, size: int, rounds: int) -> dict[str, list[Calls]]:
    with ExitStack() as stack:
        base = stack.enter_context(sink.running())
        compared = delivery_cases.burst_cases(base, log_of(size), 2000, stack)
        return in_turns(what, compared, rounds)


def _column(taken: list[Calls], name: str) -> list[float]:
    return [getattr(calls, name) for calls in taken]


def _most(what: str, taken: dict[str, list[Calls]], name: str, reach: float) -> Row:
    ours = median(_column(taken["ours"], name))
    p50, longest = (median(_column(taken["ours"], key)) for key in ("p50", "longest"))
    beside = f"p50 {shown(p50)}, max {shown(longest)}"
    if "otel" in taken:
        theirs = shown(median(_column(taken["otel"], name)))
        beside = f"{shown(ours)} / {theirs} {_OTEL}"
    limit = f"at most {shown(reach)}"
    return Row(what, limit, shown(ours), beside, verdict(reached=ours <= reach))


def _floor(what: str, taken: dict[str, list[Calls]], floor: str) -> Row:
    ours, theirs = _column(taken["ours"], "p50"), _column(taken[floor], "p50")
    beside = f"{shown(median(ours))} / {shown(median(theirs))}"
    return Row(what, "", f"{ratio(ours, theirs):.2f}", beside)


def _rate(what: str, taken: dict[str, list[Delivered]], name: str, reach: float) -> Row:
    ours, bare = ([one.seconds for one in taken[who]] for who in (name, "bare"))
    times = ratio(bare, ours)
    return Row(
        what,
        f"at least {reach:.2f}",
        f"{times:.2f}",
        f"{1 / median(ours):,.0f} / {1 / median(bare):,.0f} logs/s",
        verdict(reached=times >= reach),
    )
