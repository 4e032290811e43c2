from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from keywordsai.server.pages.details import details_of, link_to
from keywordsai.server.rows import derived


def details(**sent):
    full = derived(sent, log_id="0" * 32, timestamp=0)
    return details_of(full, sent)


def facts(**sent):
    return {fact.name: fact for group in details(**sent).groups for fact in group.facts}


def test_every_field_that_was_sent_is_somewhere():
    sent = {f"field_{index}": index for index in range(50)} | {"temperature": 0.5}
    assert sent.keys() <= facts(**sent).keys()
    assert facts(unknown={"a": [1]})["unknown"].block


def test_what_the_server_derived_says_so():
    found = facts(prompt_tokens=1, completion_tokens=2, latency=2.0)
    assert found["total_request_tokens"].remark == "derived by this server"
    assert found["tokens_per_second"].remark == "derived by this server"
    assert found["prompt_tokens"].remark == ""


def test_older_names_are_not_shown_twice():
    assert "generation_time" not in facts(generation_time=1.5)
    assert facts(generation_time=1.5)["latency"].text == "1.50 s"


@pytest.mark.parametrize(
    ("times", "first", "width"),
    [
        ({"latency": 2.0, "ttft": 0.5}, "500 ms", 250),
        ({"latency": 2.0}, "", 0),
        ({"latency": 2.0, "ttft": 3.0}, "", 0),
        ({"latency": 2.0, "ttft": -1}, "", 0),
        ({"latency": 2.0, "ttft": 0.000001}, "<1 ms", 4),
    ],
)
def test_timing(times, first, width):
    timing = details(**times).timing
    assert (timing.first, timing.width) == (first, width)


@pytest.mark.parametrize("times", [{}, {"ttft": 1}, {"latency": 0}, {"latency": 1e999}])
def test_without_a_time_there_is_no_bar(times):
    assert details(**times).timing is None


def test_metadata_is_linked_by_the_names_of_filters():
    found = facts(
        metadata={"env": "prod", "cart": {"items": 2, "empty": {}}, "n": None}
    )
    assert found["env"].href == "/logs?metadata__env=prod"
    assert found["cart.items"].href == "/logs?metadata__cart__items=2"
    assert found["cart.empty"].href == ""
    assert found["n"].href == ""


def test_links_lead_nowhere_else():
    for value in (
        "javascript:alert(1)",
        '"><script>',
        "//x",
        "a&b=c#d",
        "\ud800",
        "x\n",
    ):
        parts = urlsplit(link_to("metadata__//evil?x", value))
        assert (parts.scheme, parts.netloc, parts.path) == ("", "", "/logs")
        assert len(parse_qsl(parts.query)) == 1
        assert parts.fragment == ""


def test_large_logs_have_bounded_details():
    found = details(
        metadata={f"k{index}": "v" * 10_000 for index in range(5_000)},
        **{f"f{index}": ["x" * 100_000] for index in range(500)},
    )
    shown = [fact for group in found.groups for fact in group.facts]
    assert len(shown) <= 500
    assert sum(len(fact.text) for fact in shown) < 2_000_000
