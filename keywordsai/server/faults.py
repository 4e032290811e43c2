"""Faults on demand, so that programs can be tested against a service in trouble.

Texts are read into `Fault` values; `Faults` decides by them what becomes of a
request, with the clock and the dice passed in. Whoever serves acts on it. Imports
neither aiohttp nor a driver.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from keywordsai._excerpt import excerpt
from keywordsai.errors import ConfigurationError
from keywordsai.server.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["GRAMMAR", "Fault", "Faults", "Outcome", "parse_fault"]

GRAMMAR = (
    'expected what is to happen: a status from 400 to 599 ("503", '
    '"429 retry-after 2"), "hang", "close", "drop-response", each with a '
    'probability after it if it is not to happen always ("drop-response 0.1"), or '
    '"latency 200ms"; then how long, if not for good: "for 20s", "first 3", "every 4"'
)

_FAULT = re.compile(
    r"""(?: (?P<status>[45][0-9][0-9])
            (?:\ retry-after\ (?P<after>[0-9]{1,6}(?:\.[0-9]{1,3})?)(?P<unit>ms|s)?)?
          | (?P<word>hang|close|drop-response)
        ) (?:\ (?P<chance>0?\.[0-9]{1,9}|[01](?:\.0{1,9})?))?
      | latency\ (?P<latency>\S+)""",
    re.VERBOSE | re.ASCII,
)
_SCOPE = re.compile(r"(?P<rest>.+) (?P<word>for|first|every) (?P<value>\S+)")
_NUMBER = re.compile("[1-9][0-9]{0,8}", re.ASCII)
_LONGEST_LATENCY = 3600.0
_LONGEST = 200


@attrs.frozen(kw_only=True)
class Fault:
    """Something that is to go wrong.

    Attributes:
        text: As it was asked for.
        kind: What happens: the answer has a ``status``; no answer comes and the
            connection stays (``hang``) or is closed (``close``); the request is
            carried out, but the connection closed before it is answered
            (``drop-response``); the answer comes later (``latency``).
        status: The status answered with.
        retry_after: What that answer says of trying again, seconds, or None.
        latency: Seconds that the answer comes later.
        chance: How probable it is, from 0 to 1.
        lasts: For how many seconds it happens, None for good.
        first: To how many requests it happens, None for all.
        every: To every how many-th request.
    """

    text: str
    kind: str
    status: int = 0
    retry_after: float | None = None
    latency: float = 0.0
    chance: float = 1.0
    lasts: float | None = None
    first: int | None = None
    every: int = 1


def parse_fault(text: object) -> Fault:
    """Read a fault.

    Raises:
        ConfigurationError: It is none; the message says how one is written.

    Example:
        >>> parse_fault("429 retry-after 2 for 10s").lasts
        10.0
    """
    words = " ".join(text.split()) if isinstance(text, str) else ""
    fault = _read(words) if len(words) <= _LONGEST else None
    if fault is None:
        raise ConfigurationError(f"fault: {excerpt(text)} is none; {GRAMMAR}")
    return fault


def _read(words: str) -> Fault | None:
    rest, scopes = words, {}
    while (found := _SCOPE.fullmatch(rest)) is not None:
        rest = found["rest"]
        if found["word"] in scopes:
            return None
        scopes[found["word"]] = found["value"]
    action = _FAULT.fullmatch(rest)
    if action is None:
        return None
    if not all(_NUMBER.fullmatch(scopes.get(word, "1")) for word in ("first", "every")):
        return None
    try:
        lasts = parse_duration(scopes["for"]) if "for" in scopes else None
        latency = parse_duration(action["latency"]) if action["latency"] else 0.0
    except ValueError:
        return None
    if latency > _LONGEST_LATENCY:
        return None
    after = None
    if action["after"]:
        after = float(action["after"]) / (1000 if action["unit"] == "ms" else 1)
    return Fault(
        text=words,
        kind=action["word"] or ("latency" if latency else "status"),
        status=int(action["status"] or 0),
        retry_after=after,
        latency=latency,
        chance=float(action["chance"] or 1),
        lasts=lasts,
        first=int(scopes["first"]) if "first" in scopes else None,
        every=int(scopes.get("every", "1")),
    )


@attrs.define(eq=False)
class _Active:
    """A fault, and what became of it so far."""

    fault: Fault
    since: float
    seen: int = 0
    hits: int = 0

    def is_over(self, now: float) -> bool:
        fault = self.fault
        late = fault.lasts is not None and now >= self.since + fault.lasts
        return late or (fault.first is not None and self.seen >= fault.first)

    def strikes(self, now: float, dice: Callable[[], float]) -> bool:
        if self.is_over(now):
            return False
        self.seen += 1
        hit = self.seen % self.fault.every == 0 and dice() < self.fault.chance
        self.hits += hit
        return hit


@attrs.frozen(kw_only=True)
class Outcome:
    """What becomes of a request.

    Attributes:
        latency: Seconds to wait first.
        fault: What happens in place of its answer, or after it was carried out;
            None if it is answered.
        until: When that ends, on the clock passed in; None for good.
    """

    latency: float = 0.0
    fault: Fault | None = None
    until: float | None = None


_NOTHING = Outcome()


class Faults:
    """The faults in force. Not for several threads at a time.

    A request goes through them in their order: latencies add up, and the first
    other fault that strikes is the last that is asked.

    Attributes:
        generation: Goes up whenever others are put in force.
    """

    def __init__(self, faults: Iterable[Fault] = (), *, now: float = 0.0) -> None:
        self.generation = 0
        self.replace(faults, now=now)

    def __bool__(self) -> bool:
        """Whether there are any, be they over or not."""
        return bool(self._active)

    def replace(self, faults: Iterable[Fault], *, now: float) -> None:
        """Put these in force from now on, instead of those before."""
        self._active = [_Active(fault, now) for fault in faults]
        self.generation += 1

    def decide(self, *, now: float, dice: Callable[[], float]) -> Outcome:
        """Decide on one request.

        Args:
            now: The present moment, seconds of a clock that never steps back.
            dice: Gives a number from 0 up to 1 at every call.
        """
        if not self._active:
            return _NOTHING
        latency = 0.0
        for active in self._active:
            if not active.strikes(now, dice):
                continue
            fault = active.fault
            if fault.kind == "latency":
                latency += fault.latency
                continue
            until = None if fault.lasts is None else active.since + fault.lasts
            return Outcome(latency=latency, fault=fault, until=until)
        return Outcome(latency=latency)

    def shown(self, now: float) -> list[tuple[str, int]]:
        """Those that are not over, each with the number of requests it struck."""
        return [
            (active.fault.text, active.hits)
            for active in self._active
            if not active.is_over(now)
        ]
