"""Measures what the package costs, against floors measured in the same run.

    python bench/run.py [--quick] [--rounds N] [--with-published | --published PYTHON]

Every number is a ratio to something that does the same work without us. The
cases that are compared take turns, round after round, so that whatever else the
machine does slows them alike. Printed are the median of the rounds' ratios, and
the medians of the figures that they come from.

Benchmarks judge nothing: a target that falls short is marked, and the exit code
tells only whether everything ran.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TypeAlias

import attrs
import cases
import sink
from sample import log_of

Measured: TypeAlias = dict[str, list[float]]

PUBLISHED = "keywordsai==1.0.4"
FULL = cases.Work(calls=200, calls_in_flight=10, kilobytes=2000, published_calls=10)
QUICK = cases.Work(calls=50, calls_in_flight=3, kilobytes=400, published_calls=3)
_OURS = ("keywordsai_", "keywords_ai_", "respan_")
_OF_NETWORKS = ("_proxy", "_ca_bundle", "ssl_cert_file", "ssl_cert_dir")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h


@attrs.frozen
class Row:
    """One line of the table."""

    what: str
    reach: str
    measured: str
    figures: str
    verdict: str = ""


def main() -> None:
    options = _options()
    _even_out_malloc()
    rounds = options.rounds or (5 if options.quick else 21)
    work = QUICK if options.quick else FULL
    with ExitStack() as stack:
        python = options.published
        if options.with_published:
            python = _install(stack)
        _forget_settings()
        rows = [
            *_calls(rounds, work, stack, python),
            *_encoding(rounds, work),
            *_importing(rounds),
        ]
    _progress("")
    _print_table(rows, rounds)


def _calls(
    rounds: int, work: cases.Work, stack: ExitStack, python: str | None
) -> Iterable[Row]:
    base = stack.enter_context(sink.running())
    log = log_of(1000)
    sync = cases.sync_cases(base, log, work, stack)
    what = "published SDK's create()"
    if python is not None:
        name, sync["published"] = cases.published_case(python, base, log, work, stack)
        what = f"create() of the published {name}"
    taken = _rounds("create()", sync, rounds)
    yield _times("create(), of Session().post(json=…)", taken, "post", 0.60)
    yield _times("create(), of HTTPAdapter.send", taken, "adapter", 1.20)
    if python is None:
        yield Row(what, "", "", "not installed")
    else:
        ratio = _ratio(taken, "published", "ours")
        yield Row(what, "", f"{ratio:.1f} x ours", _figures(taken, "published", "ours"))

    flying = cases.async_cases(base, log, work, stack)
    taken = _rounds("acreate()", flying, rounds)
    yield _throughput("bare session.post(data=…)", taken, "bare", 0.60)
    yield _throughput("ClientSession().post(json=…)", taken, "post", 0.80)


def _encoding(rounds: int, work: cases.Work) -> Iterable[Row]:
    for size, reach in ((1, 1.3), (10, 0.6), (100, 0.35)):
        pair = cases.encode_cases(log_of(size * 1000), work)
        taken = _rounds(f"encode_log {size} KB", pair, rounds)
        yield _times(f"encode_log, {size} KB, of json.dumps", taken, "dumps", reach)


def _importing(rounds: int) -> Iterable[Row]:
    taken = _rounds("import", cases.import_cases(), rounds)
    yield _times("from keywordsai import LogAPI, of attrs, cattrs", taken, "floor", 1.9)
    empty = median(taken["nothing"])
    yield Row("  a process that imports nothing", "", "", _shown(empty))
    loaded = cases.loaded_by_import()
    found = ", ".join(loaded) or "none"
    what = "  loads requests, aiohttp, sqlalchemy, sqlite3"
    yield Row(what, "none", found, "", "short" if loaded else "ok")


def _rounds(
    what: str, compared: dict[str, Callable[[], float]], rounds: int
) -> Measured:
    taken: Measured = {name: [] for name in compared}
    for done in range(rounds):
        _progress(f"{what}: round {done + 1} of {rounds}")
        for name, case in compared.items():
            gc.collect()
            taken[name].append(case())
    return taken


def _ratio(taken: Measured, one: str, other: str) -> float:
    return median(a / b for a, b in zip(taken[one], taken[other], strict=True))


def _times(what: str, taken: Measured, floor: str, reach: float) -> Row:
    ratio = _ratio(taken, "ours", floor)
    return Row(
        what,
        f"at most {reach:.2f}",
        f"{ratio:.2f}",
        _figures(taken, "ours", floor),
        "ok" if ratio <= reach else "short",
    )


def _throughput(floor: str, taken: Measured, name: str, reach: float) -> Row:
    ratio = _ratio(taken, name, "ours")
    ours, theirs = (1 / median(taken[case]) for case in ("ours", name))
    return Row(
        f"acreate(), {cases.IN_FLIGHT} in flight, of {floor}",
        f"at least {reach:.2f}",
        f"{ratio:.2f}",
        f"{ours:,.0f} / {theirs:,.0f} req/s",
        "ok" if ratio >= reach else "short",
    )


def _figures(taken: Measured, one: str, other: str) -> str:
    return f"{_shown(median(taken[one]))} / {_shown(median(taken[other]))}"


def _shown(seconds: float) -> str:
    microseconds = seconds * 1e6
    if microseconds >= 10_000:
        return f"{microseconds / 1000:.0f} ms"
    return f"{microseconds:.{0 if microseconds >= 100 else 1}f} µs"


def _print_table(rows: list[Row], rounds: int) -> None:
    libraries = ("keywordsai", "requests", "aiohttp", "orjson", "attrs", "cattrs")
    names = ", ".join(f"{name} {version(name)}" for name in libraries)
    print(f"Python {platform.python_version()}, {names}")
    print(f"1 KB logs, a sink on loopback; medians over {rounds} rounds\n")
    head = Row("what", "reach", "ratio", "ours / floor")
    table = [attrs.astuple(row) for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        print("  ".join(padded).rstrip())


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:60}\r", end="", file=sys.stderr, flush=True)


def _forget_settings() -> None:
    """Drop what would send requests elsewhere, or make some cases look up files."""
    for name in list(os.environ):
        if name.lower().startswith(_OURS) or name.lower().endswith(_OF_NETWORKS):
            del os.environ[name]


def _even_out_malloc() -> None:
    """Have glibc keep big buffers in its heap, whatever the heap looks like.

    asyncio takes a buffer of 256 KiB for each piece that it reads. Whether glibc
    finds room for it or asks the system, at two page faults a request, depends on
    what happened to be allocated before: luck, and worth a third of a request.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # elsewhere there is nothing to even out
        for threshold in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            mallopt(threshold, 1 << 30)


def _install(stack: ExitStack) -> str | None:
    """The interpreter of a temporary venv with the published SDK, None if it fails."""
    _progress("installing the published SDK")
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    python = str(Path(folder, "bin", "python"))
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        for command in ([sys.executable, "-m", "venv", folder], [*pip, PUBLISHED]):
            subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return python


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, help="default 21")
    parser.add_argument("--quick", action="store_true", help="5 short rounds")
    published = parser.add_mutually_exclusive_group()
    published.add_argument(
        "--published", metavar="PYTHON", help="an interpreter with the published SDK"
    )
    published.add_argument(
        "--with-published",
        action="store_true",
        help=f"install {PUBLISHED} into a temporary venv, to measure it too",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
