"""How long the store takes to answer over a million logs, next to ten thousand.

It fills a database of about 2 GB first, which takes some minutes. `run.py` has the
rows that there is a reach for; by itself this shows more:

    python bench/server_store.py [--logs 1000000] [--keep FILE]

With --keep the database is made at that place, or used again if it is there.
The last column says what the p95 over many logs is to be at most, and whether it is;
of the newest page, also that it takes no more than twice as long as over few.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
from sample import log_of
from table import Row, progress, verdict

from keywordsai.server.indexing import name_of
from keywordsai.server.newlogs import new_log
from keywordsai.server.query import Condition, ListQuery, Selection
from keywordsai.server.store import NewLog, Store

_DAY = 24 * 3600 * 1_000_000
_END = 1_790_000_000_000_000  # microseconds
_DAYS = 30
_AT_ONCE = 2000
_ROUNDS = 40
_FEW = 10_000
_NEWEST = "newest 100"
_REACH = {  # milliseconds that the p95 may take
    _NEWEST: 50,
    "by the model": 100,
    "by the customer": 100,
    "by a metadata key, a third": 300,
    "by a metadata key, one log": 300,
    "overview of 24 hours": 500,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--logs", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    few, many = _few_and_many(options.logs, options.keep)
    progress("")
    print(f"{'p50 / p95 in ms':34}{_FEW:>20,}{options.logs:>20,}   reach")
    for name in few:
        most = _REACH.get(name)
        print(
            f"{name:34}{_shown(few[name]):>20}{_shown(many[name]):>20}",
            "" if most is None else f"  {most} ms  {_judged(name, few, many)}",
        )


def rows(count: int) -> Iterator[Row]:
    """What there is a reach for, over so many logs."""
    few, many = _few_and_many(count, None)
    for name, most in _REACH.items():
        yield Row(
            f"server: {name}, of {count:,} logs, p95",
            f"at most {most} ms",
            f"{_p95(many[name]):.1f} ms",
            f"{_p95(few[name]):.1f} ms of {_FEW:,}",
            _judged(name, few, many),
        )


def _few_and_many(
    count: int, place: Path | None
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    with tempfile.TemporaryDirectory(prefix="bench-store-") as folder:
        few = _measured(Path(folder, "few.db"), _FEW)
        return few, _measured(place or Path(folder, "many.db"), count)


def _p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1] * 1000


def _shown(times: list[float]) -> str:
    return f"{statistics.median(times) * 1000:.1f} / {_p95(times):.1f}"


def _judged(
    name: str, few: dict[str, list[float]], many: dict[str, list[float]]
) -> str:
    reached = _p95(many[name]) <= _REACH[name]
    if name == _NEWEST:
        reached &= _p95(many[name]) <= 2 * _p95(few[name])
    return verdict(reached=reached)


def _measured(path: Path, count: int) -> dict[str, list[float]]:
    fresh = not path.exists()
    store = Store.open(f"sqlite:///{path}")
    try:
        if fresh:
            _fill(store, count)
        return {
            name: list(_times(f"{count:,} logs: {name}", case))
            for name, case in _cases(store).items()
        }
    finally:
        store.close()


def _times(what: str, case: Callable[[random.Random], object]) -> Iterator[float]:
    chance = random.Random(1)
    case(chance)
    for done in range(_ROUNDS):
        progress(f"{what}: {done + 1} of {_ROUNDS}")
        start = time.perf_counter()
        case(chance)
        yield time.perf_counter() - start


def _cases(store: Store) -> dict[str, Callable[[random.Random], object]]:
    def find(*conditions: Condition, days: float = 0, **options: object) -> object:
        start = round(_END - days * _DAY) if days else None
        selection = Selection(start=start, end=_END, conditions=conditions)
        return store.find(attrs.evolve(_QUERY, selection=selection, **options))

    def equal(field: str, value: str | float, name: str = "") -> Condition:
        return Condition(field=field, operator=name, values=(value,))

    return {
        _NEWEST: lambda _: find(),
        "newest 100 of 24 hours": lambda _: find(days=1),
        "100 of 24 hours, days ago": lambda chance: store.find(
            attrs.evolve(
                _QUERY,
                selection=Selection(
                    start=(day := _END - chance.randrange(2, _DAYS) * _DAY),
                    end=day + _DAY,
                ),
            )
        ),
        "by the model": lambda chance: find(
            equal("model", f"model-{chance.randrange(5)}")
        ),
        "by the model, 7 days": lambda chance: find(
            equal("model", f"model-{chance.randrange(5)}"), days=7
        ),
        "by the customer": lambda chance: find(
            equal("customer_identifier", f"customer_{chance.randrange(500)}")
        ),
        "failed": lambda _: find(equal("status", "failed")),
        "by a metadata key, a third": lambda chance: find(
            equal("region", f"region-{chance.randrange(3)}")
        ),
        "by a metadata key, 24 hours": lambda chance: find(
            equal("region", f"region-{chance.randrange(3)}"), days=1
        ),
        "by a metadata key, one log": lambda chance: find(
            equal("session", f"session-{chance.randrange(_FEW)}")
        ),
        "by a metadata key and the model": lambda chance: find(
            equal("region", f"region-{chance.randrange(3)}"),
            equal("model", f"model-{chance.randrange(5)}"),
        ),
        "metadata key not equal": lambda _: find(equal("region", "region-1", "not")),
        "metadata number above": lambda _: find(equal("retries", 3, "gt")),
        "page 90": lambda _: find(page=90),
        "in brief, newest 50": lambda _: store.brief(
            Selection(), before=None, after=None, limit=50
        ),
        "free text, common": lambda _: store.brief(
            Selection(text="BIRTHDAY present"), before=None, after=None, limit=50
        ),
        "overview of 24 hours": lambda _: store.overview(
            Selection(start=_END - _DAY, end=_END), step=_DAY // 24
        ),
        "summary of 24 hours": lambda _: store.summarize(
            Selection(start=_END - _DAY, end=_END)
        ),
    }


_QUERY = ListQuery(
    selection=Selection(),
    page=1,
    page_size=100,
    sort_by="id",
    descending=True,
    include_fields=None,
    url="",
)


def _fill(store: Store, count: int) -> None:
    """Store so many logs of 1 KB, in the order of time, evenly over the days."""
    chance = random.Random(0)
    samples = [_sample(chance) for _ in range(5000)]
    for start in range(0, count, _AT_ONCE):
        progress(f"filling: {start:,} of {count:,} logs")
        store.add(
            [
                _placed(samples[chance.randrange(len(samples))], n, count, chance)
                for n in range(start, min(count, start + _AT_ONCE))
            ]
        )


def _sample(chance: random.Random) -> NewLog:
    log = log_of(1000)
    log["model"] = f"model-{chance.randrange(5)}"
    log["customer_params"]["customer_identifier"] = f"customer_{chance.randrange(500)}"
    log["thread_identifier"] = f"thread_{chance.randrange(100_000)}"
    log["generation_time"] = chance.lognormvariate(0, 0.7)
    log["status_code"] = 500 if chance.random() < 0.01 else 200
    log["metadata"]["region"] = f"region-{chance.randrange(3)}"
    log["metadata"]["retries"] = chance.randrange(5)
    return new_log(json.dumps(log), log, log_id="0" * 32, now=0)


def _placed(log: NewLog, n: int, count: int, chance: random.Random) -> NewLog:
    """The log at its place in time, in a session of its own."""
    timestamp = _END - _DAYS * _DAY + (n + 1) * _DAYS * _DAY // (count + 1)
    counter = n % 2**12  # of logs of one millisecond
    seconds = f"{timestamp // 1000:012x}7{counter:03x}"
    session = (name_of("metadata__session"), f"session-{n}")
    index = attrs.evolve(log.index, attributes={**log.index.attributes, session: None})
    return attrs.evolve(
        log,
        id=f"{seconds}8{chance.getrandbits(60):015x}",
        timestamp=timestamp,
        index=index,
    )


if __name__ == "__main__":
    main()
