"""Charts as geometry: what the templates draw as SVG.

A drawing is as many units wide as it has columns and 100 units high, whatever it
shows, and is stretched to the room there is; labels stand beside it, as text, and
so keep their size. Nothing here knows colours: a series has a class.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs

from keywordsai.server.pages.formats import (
    NOTHING,
    compact,
    count,
    duration,
    money,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from keywordsai.server.aggregates import Overview, Span

__all__ = ["Bar", "Chart", "Column", "Line", "charts_of", "nice_ceiling"]

_HEIGHT = 100.0


@attrs.frozen
class Bar:
    """A rectangle, of a series."""

    x: str
    y: str
    height: str
    series: str


@attrs.frozen
class Line:
    """A piece of a line without gaps: its points as SVG has them."""

    points: str
    series: str


@attrs.frozen
class Column:
    """The place of one step of time: where it is, and its values in words."""

    x: int
    start: int
    words: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Chart:
    """One chart.

    Attributes:
        name: For ids in the page.
        title: What it shows.
        summary: The same in a sentence, for those who do not see it.
        columns: How many units wide it is, and what is told of each.
        bars: What is drawn as bars.
        lines: What is drawn as lines.
        ticks: The labels of its scale, from the top down.
        legend: The series by their classes.
    """

    name: str
    title: str
    summary: str
    columns: tuple[Column, ...]
    bars: tuple[Bar, ...] = ()
    lines: tuple[Line, ...] = ()
    ticks: tuple[str, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()


def nice_ceiling(value: float) -> float:
    """The next number that is good to read at the top of a scale.

    Example:
        >>> [nice_ceiling(value) for value in (0, 0.7, 13, 2100)]
        [1.0, 0.8, 15.0, 2500.0]
    """
    if not value > 0 or not math.isfinite(value):
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(value))
    for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10):
        if value <= step * power * (1 + 1e-9):
            return float(f"{step * power:.6g}")
    return 10 * power


def _unit(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _bars(
    layers: Sequence[tuple[str, Sequence[float]]], ceiling: float
) -> tuple[Bar, ...]:
    """Layers of bars on top of one another, the first at the bottom."""
    drawn = []
    below = [0.0] * len(layers[0][1])
    for series, values in layers:
        for index, value in enumerate(values):
            height = max(0.0, value) / ceiling * _HEIGHT
            if height > 0:
                # What is there is seen, be it ever so little.
                height = max(height, 1.0)
                top = max(0.0, _HEIGHT - below[index] - height)
                bar = Bar(_unit(index + 0.14), _unit(top), _unit(height), series)
                drawn.append(bar)
                below[index] += height
    return tuple(drawn)


def _lines(
    series: str, values: Sequence[float | None], ceiling: float
) -> tuple[Line, ...]:
    """A line through the middles of the columns, broken where there is no value."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            y = _HEIGHT - min(1.0, max(0.0, value / ceiling)) * _HEIGHT
            pieces[-1].append((index + 0.5, y))
    drawn = []
    for piece in filter(None, pieces):
        if len(piece) == 1:  # a lone point has no length: give it some
            ((x, y),) = piece
            piece = [(x - 0.3, y), (x + 0.3, y)]  # noqa: PLW2901 - the one that is drawn
        points = " ".join(f"{_unit(x)},{_unit(y)}" for x, y in piece)
        drawn.append(Line(points, series))
    return tuple(drawn)


def _ticks(ceiling: float, words: Callable[[float], str]) -> tuple[str, ...]:
    return (words(ceiling), words(ceiling / 2), words(0))


def _columns(
    spans: Sequence[Span], words: Callable[[Span], tuple[str, ...]]
) -> tuple[Column, ...]:
    return tuple(Column(i, span.start, words(span)) for i, span in enumerate(spans))


def _whole_ceiling(value: float) -> float:
    """For things that are counted: the middle of the scale is a whole number."""
    ceiling = max(2.0, nice_ceiling(value))
    return ceiling + 1 if ceiling % 2 and ceiling < 10 else ceiling


def _requests(spans: Sequence[Span]) -> Chart:
    errors = [float(span.figures.errors) for span in spans]
    fine = [float(span.figures.requests - span.figures.errors) for span in spans]
    most = max((span.figures.requests for span in spans), default=0)
    ceiling = _whole_ceiling(most)
    return Chart(
        name="requests",
        title="Requests",
        summary=f"At most {count(most)} in one step; {count(sum(errors))} errors.",
        columns=_columns(
            spans,
            lambda span: (
                f"{count(span.figures.requests)} requests",
                f"{count(span.figures.errors)} errors",
            ),
        ),
        bars=_bars((("errors", errors), ("requests", fine)), ceiling),
        ticks=_ticks(ceiling, compact),
        legend=(("requests", "succeeded"), ("errors", "failed")),
    )


def _cost(spans: Sequence[Span]) -> Chart:
    costs = [_finite(span.figures.cost) or 0.0 for span in spans]
    ceiling = nice_ceiling(max(costs, default=0))
    return Chart(
        name="cost",
        title="Cost",
        summary=f"At most {money(max(costs, default=0))} in one step.",
        columns=_columns(spans, lambda span: (money(span.figures.cost),)),
        bars=_bars((("cost", costs),), ceiling),
        ticks=_ticks(ceiling, money),
    )


def _tokens(spans: Sequence[Span]) -> Chart:
    prompt = [float(span.figures.prompt_tokens) for span in spans]
    # The total may say more than its parts do: what they leave is completion.
    rest = [
        max(0.0, float(span.figures.tokens - span.figures.prompt_tokens))
        for span in spans
    ]
    most = max((p + r for p, r in zip(prompt, rest, strict=True)), default=0)
    ceiling = _whole_ceiling(most)
    return Chart(
        name="tokens",
        title="Tokens",
        summary=f"At most {count(most)} in one step.",
        columns=_columns(
            spans,
            lambda span: (
                f"{count(span.figures.tokens)} tokens",
                f"{count(span.figures.prompt_tokens)} of prompts",
                f"{count(span.figures.completion_tokens)} of completions",
            ),
        ),
        bars=_bars((("prompt", prompt), ("completion", rest)), ceiling),
        ticks=_ticks(ceiling, compact),
        legend=(("prompt", "prompt"), ("completion", "completion")),
    )


def _latency(spans: Sequence[Span]) -> Chart:
    names = ("p50", "p95", "p99")
    by_name = {
        name: [_finite(getattr(span.latency, name)) for span in spans] for name in names
    }
    known = [value for values in by_name.values() for value in values if value]
    ceiling = nice_ceiling(max(known, default=0))
    highest = max(known, default=None)
    return Chart(
        name="latency",
        title="Latency",
        summary="No log has a latency."
        if highest is None
        else f"The highest 99th percentile is {duration(highest)}.",
        columns=_columns(
            spans,
            lambda span: tuple(
                f"{name} {duration(getattr(span.latency, name))}" for name in names
            ),
        ),
        lines=tuple(
            line
            for name in reversed(names)
            for line in _lines(name, by_name[name], ceiling)
        ),
        ticks=_ticks(ceiling, lambda value: duration(value) if known else NOTHING),
        legend=tuple((name, name) for name in names),
    )


def charts_of(overview: Overview) -> tuple[Chart, ...]:
    """The charts of the overview: requests and errors, cost, tokens, latency."""
    spans = overview.spans
    return (_requests(spans), _latency(spans), _cost(spans), _tokens(spans))
