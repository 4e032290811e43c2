"""Rounds of cases that take turns, and the table of what came of them."""

from __future__ import annotations

import gc
import platform
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version
from statistics import median
from typing import TypeAlias, TypeVar

import attrs

__all__ = [
    "Measured",
    "Row",
    "figures",
    "in_turns",
    "print_table",
    "progress",
    "ratio",
    "shown",
    "verdict",
]

T = TypeVar("T")
Measured: TypeAlias = dict[str, list[float]]

_LIBRARIES = ("keywordsai", "requests", "aiohttp", "orjson", "attrs", "cattrs")


@attrs.frozen
class Row:
    """One line of the table."""

    what: str
    reach: str
    measured: str
    figures: str
    verdict: str = ""


def in_turns(
    what: str, compared: dict[str, Callable[[], T]], rounds: int
) -> dict[str, list[T]]:
    """Run each case once a round, and give what each of them measured."""
    taken: dict[str, list[T]] = {name: [] for name in compared}
    for done in range(rounds):
        progress(f"{what}: round {done + 1} of {rounds}")
        for name, case in compared.items():
            gc.collect()
            taken[name].append(case())
    return taken


def ratio(one: Iterable[float], other: Iterable[float]) -> float:
    """The median of the rounds' ratios."""
    return median(a / b for a, b in zip(one, other, strict=True))


def figures(taken: Measured, one: str, other: str) -> str:
    return f"{shown(median(taken[one]))} / {shown(median(taken[other]))}"


def shown(seconds: float) -> str:
    microseconds = seconds * 1e6
    if microseconds >= 10_000:
        return f"{microseconds / 1000:.0f} ms"
    return f"{microseconds:.{0 if microseconds >= 100 else 1}f} µs"


def verdict(*, reached: bool) -> str:
    return "ok" if reached else "short"


def print_table(rows: list[Row], rounds: int, long_rounds: int) -> None:
    names = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    print(f"Python {platform.python_version()}, {names}")
    print(
        f"1 KB logs, a sink on loopback; medians over {rounds} rounds, "
        f"{long_rounds} of what takes seconds\n"
    )
    head = Row("what", "reach", "measured", "ours / floor")
    table = [attrs.astuple(row) for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        print("  ".join(padded).rstrip())


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:60}\r", end="", file=sys.stderr, flush=True)
