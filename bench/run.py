"""Measures what the package costs, against floors measured in the same run.

    python bench/run.py [--quick] [--rounds N] [--only SECTION,…]
                        [--with-published | --published PYTHON]

What it compares with is in bench/requirements.txt; without that, those figures are
left out. Every number is a ratio to something that does the same work without us. The
cases that are compared take turns, round after round, so that whatever else the
machine does slows them alike. Printed are the median of the rounds' ratios, and
the medians of the figures that they come from.

Benchmarks judge nothing: a target that falls short is marked, and the exit code
tells only whether everything ran.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import attrs
import cases
import delivery
import server
import sink
from sample import log_of
from table import (
    Measured,
    Row,
    figures,
    in_turns,
    print_table,
    progress,
    ratio,
    shown,
    verdict,
)

PUBLISHED = "keywordsai==1.0.4"
FULL = cases.Work(calls=200, calls_in_flight=10, kilobytes=2000, published_calls=10)
QUICK = cases.Work(calls=50, calls_in_flight=3, kilobytes=400, published_calls=3)
FULL_DELIVERY = delivery.Amount(
    rounds=21, long_rounds=5, seconds=5, delivered=20_000, pending=100_000
)
QUICK_DELIVERY = delivery.Amount(
    rounds=5, long_rounds=1, seconds=2, delivered=5_000, pending=20_000
)
FULL_SERVER = server.Amount(rounds=5, creates=20_000, bulks=60, kept=1_000_000)
QUICK_SERVER = server.Amount(rounds=1, creates=4000, bulks=10, kept=50_000)
_SECTIONS = ("create", "encoding", "import", *delivery.SECTIONS, *server.SECTIONS)
_SETTINGS = ("keywordsai_", "keywords_ai_", "respan_", "otel_")
_OF_NETWORKS = ("_proxy", "_ca_bundle", "ssl_cert_file", "ssl_cert_dir")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def main() -> None:
    options = _options()
    _even_out_malloc()
    rounds = options.rounds or (5 if options.quick else 21)
    work, amount = (QUICK, QUICK_DELIVERY) if options.quick else (FULL, FULL_DELIVERY)
    amount = attrs.evolve(
        amount, rounds=rounds, long_rounds=min(rounds, amount.long_rounds)
    )
    serving = QUICK_SERVER if options.quick else FULL_SERVER
    serving = attrs.evolve(serving, rounds=min(rounds, serving.rounds))
    with ExitStack() as stack:
        python = options.published
        if options.with_published:
            python = _install(stack)
        _forget_settings()
        sections: dict[str, Callable[[], Iterable[Row]]] = {
            "create": lambda: _calls(rounds, work, python),
            "encoding": lambda: _encoding(rounds, work),
            "import": lambda: _importing(rounds),
        }
        for name, section in delivery.SECTIONS.items():
            sections[name] = functools.partial(section, amount)
        for name, of_server in server.SECTIONS.items():
            sections[name] = functools.partial(of_server, serving)
        rows = [row for name in options.only for row in sections[name]()]
    progress("")
    print_table(rows, rounds, amount.long_rounds)


def _calls(rounds: int, work: cases.Work, python: str | None) -> Iterable[Row]:
    with ExitStack() as stack:
        base = stack.enter_context(sink.running())
        log = log_of(1000)
        sync = cases.sync_cases(base, log, work, stack)
        what = "published SDK's create()"
        if python is not None:
            name, sync["published"] = cases.published_case(
                python, base, log, work, stack
            )
            what = f"create() of the published {name}"
        taken = in_turns("create()", sync, rounds)
        yield _times("create(), of Session().post(json=…)", taken, "post", 0.60)
        yield _times("create(), of HTTPAdapter.send", taken, "adapter", 1.20)
        if python is None:
            yield Row(what, "", "", "not installed")
        else:
            times = ratio(taken["published"], taken["ours"])
            shares = figures(taken, "published", "ours")
            yield Row(what, "", f"{times:.1f} x ours", shares)

        flying = cases.async_cases(base, log, work, stack)
        taken = in_turns("acreate()", flying, rounds)
        yield _throughput("bare session.post(data=…)", taken, "bare", 0.60)
        yield _throughput("ClientSession().post(json=…)", taken, "post", 0.80)


def _encoding(rounds: int, work: cases.Work) -> Iterable[Row]:
    for size, reach in ((1, 1.3), (10, 0.6), (100, 0.35)):
        pair = cases.encode_cases(log_of(size * 1000), work)
        taken = in_turns(f"encode_log {size} KB", pair, rounds)
        yield _times(f"encode_log, {size} KB, of json.dumps", taken, "dumps", reach)


def _importing(rounds: int) -> Iterable[Row]:
    taken = in_turns("import", cases.import_cases(), rounds)
    yield _times("from keywordsai import LogAPI, of attrs, cattrs", taken, "floor", 1.9)
    empty = median(taken["nothing"])
    yield Row("  a process that imports nothing", "", "", shown(empty))
    loaded = cases.loaded_by_import()
    found = ", ".join(loaded) or "none"
    what = "  loads requests, aiohttp, sqlalchemy, sqlite3"
    yield Row(what, "none", found, "", "short" if loaded else "ok")


def _times(what: str, taken: Measured, floor: str, reach: float) -> Row:
    times = ratio(taken["ours"], taken[floor])
    return Row(
        what,
        f"at most {reach:.2f}",
        f"{times:.2f}",
        figures(taken, "ours", floor),
        verdict(reached=times <= reach),
    )


def _throughput(floor: str, taken: Measured, name: str, reach: float) -> Row:
    times = ratio(taken[name], taken["ours"])
    ours, theirs = (1 / median(taken[case]) for case in ("ours", name))
    return Row(
        f"acreate(), {cases.IN_FLIGHT} in flight, of {floor}",
        f"at least {reach:.2f}",
        f"{times:.2f}",
        f"{ours:,.0f} / {theirs:,.0f} req/s",
        verdict(reached=times >= reach),
    )


def _forget_settings() -> None:
    """Drop what would send requests elsewhere, or make some cases look up files."""
    for name in list(os.environ):
        if name.lower().startswith(_SETTINGS) or name.lower().endswith(_OF_NETWORKS):
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
    progress("installing the published SDK")
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    python = str(Path(folder, "bin", "python"))
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        for command in ([sys.executable, "-m", "venv", folder], [*pip, PUBLISHED]):
            subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return python


def _some_sections(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in _SECTIONS:
            raise argparse.ArgumentTypeError(f"there is no {name!r}")
    return names


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, help="default 21")
    parser.add_argument("--quick", action="store_true", help="5 short rounds")
    parser.add_argument(
        "--only",
        type=_some_sections,
        default=_SECTIONS,
        metavar="SECTION,…",
        help=", ".join(_SECTIONS),
    )
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
