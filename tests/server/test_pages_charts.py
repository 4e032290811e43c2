from __future__ import annotations

import math

import pytest

from keywordsai.server.aggregates import Figures, Overview, Percentiles, Span
from keywordsai.server.pages.charts import charts_of, nice_ceiling
from keywordsai.server.pages.formats import NOTHING


def overview(*spans):
    made = tuple(
        Span(start=index * 60_000_000, figures=figures, latency=latency)
        for index, (figures, latency) in enumerate(spans)
    )
    return Overview(
        total=Figures(), latency=Percentiles(), step=60_000_000, spans=made, groups={}
    )


def charts(*spans):
    return {chart.name: chart for chart in charts_of(overview(*spans))}


NONE = Percentiles()


@pytest.mark.parametrize("value", [0.001, 0.07, 1, 1.01, 7, 99, 101, 12345, 1e12])
def test_the_ceiling_is_the_next_good_number(value):
    ceiling = nice_ceiling(value)
    assert value <= ceiling <= value * 2


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_there_is_a_ceiling_over_nothing(value):
    assert nice_ceiling(value) == 1.0


def test_errors_and_the_rest_add_up_to_the_requests():
    chart = charts((Figures(requests=10, errors=3), NONE))["requests"]
    errors, rest = chart.bars
    assert (errors.series, rest.series) == ("errors", "requests")
    assert float(errors.height) == pytest.approx(30)
    assert float(rest.height) == pytest.approx(70)
    assert float(rest.y) + float(rest.height) == pytest.approx(float(errors.y))
    assert chart.ticks == ("10", "5", "0")
    assert chart.columns[0].words == ("10 requests", "3 errors")


def test_one_error_among_many_is_seen():
    chart = charts((Figures(requests=100_000, errors=1), NONE))["requests"]
    assert float(chart.bars[0].height) >= 1


def test_a_line_is_broken_where_nothing_is_known():
    known = Percentiles(p50=1.0, p95=2.0, p99=4.0)
    spans = [(Figures(requests=1), known)] * 2 + [(Figures(), NONE)]
    chart = charts(*spans, (Figures(requests=1), known))["latency"]
    p50 = [line for line in chart.lines if line.series == "p50"]
    assert [len(line.points.split()) for line in p50] == [2, 2]
    assert p50[0].points == "0.5,75 1.5,75"
    assert p50[1].points == "3.2,75 3.8,75"  # a lone one is a short stroke
    assert chart.columns[2].words == tuple(
        f"{name} {NOTHING}" for name in ("p50", "p95", "p99")
    )


def test_nothing_at_all_can_be_drawn():
    for spans in ([], [(Figures(), NONE)] * 3):
        for chart in charts(*spans).values():
            assert chart.bars == chart.lines == ()
            assert len(chart.ticks) == 3


def test_no_bar_leaves_the_drawing_whatever_was_stored():
    odd = [
        (Figures(requests=2, errors=5, cost=-3.0, tokens=-7, prompt_tokens=9), NONE),
        (Figures(requests=1, cost=math.inf, tokens=10**18), Percentiles(p99=math.inf)),
    ]
    for chart in charts(*odd).values():
        for bar in chart.bars:
            assert 0 <= float(bar.y) <= 100
            assert float(bar.height) > 0
        for line in chart.lines:
            assert all(0 <= float(p.split(",")[1]) <= 100 for p in line.points.split())
