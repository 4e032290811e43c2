"""What the page of one log shows beside its conversation: facts in groups.

Every field that was sent is in one of the groups, under its own name; what is
known to no group comes last. All of it is bounded, however large the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import attrs

from keywordsai.server.indexing import storable, text_of
from keywordsai.server.pages.filters import FIELDS
from keywordsai.server.pages.formats import NOTHING, count, duration, money
from keywordsai.server.pages.shown import Cut, cut, cut_json
from keywordsai.server.shapes import as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Details", "Fact", "Group", "Timing", "details_of", "link_to"]

_LONGEST = 4_000  # characters of one value
_MOST = 200  # facts of one group
_MOST_KEYS = 1_000  # of the metadata, looked at
_LONGEST_LINK = 500  # characters of a value that is linked to its filter

_CONVERSATION = """
    prompt_messages messages input completion_message completion_messages output
    tool_calls reasoning
"""
_HEAD = """
    model status status_code error_message warnings timestamp id unique_id
"""
_IDENTITY = """
    log_type environment start_time customer_identifier customer_name
    customer_email customer_params thread_identifier session_identifier
    group_identifier custom_identifier prompt_id prompt_name is_custom_prompt
    trace_unique_id trace_name trace_group_identifier span_unique_id span_name
    span_parent_id span_path span_workflow_name span_handoffs span_tools
    provider_id positive_feedback note category log_method
"""
_USAGE = """
    prompt_tokens completion_tokens total_tokens total_request_tokens
    prompt_cache_hit_tokens prompt_cache_creation_tokens cost prompt_unit_price
    completion_unit_price usage
"""
_TIMING = """
    latency generation_time time_to_first_token ttft tokens_per_second
"""
_PARAMETERS = """
    temperature top_p frequency_penalty presence_penalty max_tokens
    max_completion_tokens stop stream stream_options n seed reasoning_effort
    thinking tool_choice parallel_tool_calls tools response_format logprobs
    top_logprobs logit_bias echo dimensions encoding_format timeout variables
    prompt user
"""
_DERIVED = ("status", "total_request_tokens", "tokens_per_second", "cost")
_ONLY_SENT = ("log_method",)
_CUSTOMER = frozenset({"customer_identifier", "name", "email"})
_SAME = {  # another name of the same, of which one is shown
    "generation_time": "latency",
    "ttft": "time_to_first_token",
    "total_tokens": "total_request_tokens",
}


@attrs.frozen(kw_only=True)
class Fact:
    """A name and a value.

    Attributes:
        name: The field's name.
        text: The value, as much of it as is shown.
        left_out: How many characters of it are not shown.
        block: Whether it is set as code on lines of its own.
        href: The page of the logs with the same value, or "".
        remark: What is to be known about it, or "".
    """

    name: str
    text: str = attrs.field(repr=False)
    left_out: int = 0
    block: bool = False
    href: str = ""
    remark: str = ""


@attrs.frozen(kw_only=True)
class Group:
    """Facts under a heading."""

    title: str
    facts: tuple[Fact, ...]


@attrs.frozen(kw_only=True)
class Timing:
    """How the time of the answer went, as a bar of 1,000 units.

    Attributes:
        total: How long it took, in words.
        first: The time to the first token, in words; "" if it is not known.
        rest: The time from then on, in words.
        width: Of the part before the first token; 0 if it is not known.
    """

    total: str
    first: str = ""
    rest: str = ""
    width: int = 0


@attrs.frozen(kw_only=True)
class Details:
    """All the groups of one log; ``timing`` is None where no time is known."""

    timing: Timing | None
    groups: tuple[Group, ...]


def link_to(field: str, value: Any) -> str:
    """The page of the logs whose field has that value, "" if it is none to find."""
    text = storable(text_of(value) or "")
    if not text or len(text) > _LONGEST_LINK:
        return ""
    name, said = (quote(part, safe="", errors="replace") for part in (field, text))
    return f"/logs?{name}={said}"


def _money(value: Any) -> str:
    said = money(value)
    return as_text(value) if said == NOTHING else said


_WORDS: dict[str, Callable[[Any], str]] = {
    **dict.fromkeys(
        (name for name in _USAGE.split() if name.endswith("_tokens")), count
    ),
    **dict.fromkeys(("latency", "time_to_first_token"), duration),
    "cost": _money,
    "tokens_per_second": count,
}


def _shown(name: str, value: Any, **more: Any) -> Fact:
    words = _WORDS.get(name)
    if words is not None and (said := words(value)) != NOTHING:
        taken, block = Cut(said), False
    elif isinstance(value, str):
        taken, block = cut(value, _LONGEST), "\n" in value or len(value) > 200
    else:
        block = isinstance(value, dict | list) and bool(value)
        taken = cut_json(value, _LONGEST)
    return Fact(
        name=name, text=taken.text, left_out=taken.left_out, block=block, **more
    )


def _is_told(customer: Any) -> bool:
    """Whether the fields made of it say all that it does."""
    return isinstance(customer, dict) and customer.keys() <= _CUSTOMER


def _facts(
    names: Iterable[str], full: dict[str, Any], sent: dict[str, Any]
) -> Iterator[Fact]:
    for name in names:
        value = full.get(name)
        if value is None or value == "" or _SAME.get(name) in full:
            continue
        if name in _ONLY_SENT and name not in sent:
            continue
        if name == "customer_params" and _is_told(value):
            continue
        href = link_to(name, value) if name in FIELDS else ""
        derived = name in _DERIVED and sent.get(name) is None
        remark = "derived by this server" if derived else ""
        yield _shown(name, value, href=href, remark=remark)


def _flat(value: Any, path: str, room: list[int]) -> Iterator[tuple[str, Any]]:
    """The metadata's plain values by the names that filters know them by."""
    if not isinstance(value, dict) or not value:
        room[0] -= 1
        yield path, value
        return
    for key, inner in value.items():
        if room[0] <= 0:
            return
        if len(path) > _LONGEST_LINK:
            yield path, value
            return
        yield from _flat(inner, f"{path}__{key}" if path else str(key), room)


def _metadata(value: Any) -> Iterator[Fact]:
    if value is None or value == {}:
        return
    if not isinstance(value, dict):
        yield _shown("metadata", value)
        return
    for name, inner in _flat(value, "", [_MOST_KEYS]):
        href = link_to(f"metadata__{name}", inner) if len(name) < _LONGEST_LINK else ""
        label = cut(name.replace("__", "."), _LONGEST_LINK).text
        yield _shown(label, inner, href=href)


def _timing(full: dict[str, Any]) -> Timing | None:
    total, first = full.get("latency"), full.get("time_to_first_token")
    words = duration(total)
    if words == NOTHING or not total:
        return None
    if duration(first) == NOTHING or first is None or not 0 < first <= total:
        return Timing(total=words)
    return Timing(
        total=words,
        first=duration(first),
        rest=duration(total - first),
        width=max(4, min(1000, round(1000 * first / total))),
    )


def details_of(full: dict[str, Any], sent: dict[str, Any]) -> Details:
    """Sort a log's fields into groups.

    Args:
        full: The log with what follows from it, as `rows.derived` gives it.
        sent: What was sent.
    """
    grouped = {
        "Usage and cost": _USAGE,
        "Timing": _TIMING,
        "Parameters": _PARAMETERS,
        "Identity": _IDENTITY,
    }
    groups = [
        (title, _facts(names.split(), full, sent)) for title, names in grouped.items()
    ]
    groups.insert(2, ("Metadata", _metadata(full.get("metadata"))))
    shown = set(" ".join([_CONVERSATION, _HEAD, *grouped.values()]).split())
    others = [name for name in sent if name not in shown and name != "metadata"]
    groups.append(("Other fields", _facts(others, full, sent)))
    made = []
    for title, facts in groups:
        found = tuple(fact for fact, _ in zip(facts, range(_MOST), strict=False))
        if found:
            made.append(Group(title=title, facts=found))
    return Details(timing=_timing(full), groups=tuple(made))
