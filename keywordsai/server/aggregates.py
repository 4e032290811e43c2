"""Figures over many logs: of a summary, and of the overview of the web page.

Values only; `keywordsai.server.store.Store` makes them.
"""

from __future__ import annotations

import attrs

__all__ = ["Figures", "Group", "Overview", "Percentiles", "Span"]


@attrs.frozen(kw_only=True)
class Percentiles:
    """Of latencies, in seconds; None where no log has one."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@attrs.frozen(kw_only=True)
class Figures:
    """Sums and means over some logs.

    Attributes:
        requests: How many logs.
        errors: How many of them failed.
        cost: The sum, in USD.
        tokens: The sum of ``total_request_tokens``.
        prompt_tokens: The sum.
        completion_tokens: The sum.
        latency: The mean in seconds, None where no log has one.
        tokens_per_second: The mean, None where no log has one.
        time_to_first_token: The mean in seconds, None where no log has one.
    """

    requests: int = 0
    errors: int = 0
    cost: float = 0.0
    tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency: float | None = None
    tokens_per_second: float | None = None
    time_to_first_token: float | None = None


@attrs.frozen(kw_only=True)
class Span:
    """The logs of one step of time.

    Attributes:
        start: Its first instant, microseconds since 1970.
        figures: Over its logs.
        latency: Percentiles over its logs.
    """

    start: int
    figures: Figures
    latency: Percentiles


@attrs.frozen(kw_only=True)
class Group:
    """The logs that share one value of a field; None are those without it."""

    value: str | None
    figures: Figures
    latency: Percentiles


@attrs.frozen(kw_only=True)
class Overview:
    """What the overview shows.

    Attributes:
        total: Over all the logs.
        latency: Percentiles over all the logs.
        step: How long each span is, microseconds.
        spans: In the order of time, empty ones too.
        groups: By the field's name (``model``, ``customer_identifier``,
            ``prompt_id``): the groups with the most requests first.
    """

    total: Figures
    latency: Percentiles
    step: int
    spans: tuple[Span, ...]
    groups: dict[str, tuple[Group, ...]]
