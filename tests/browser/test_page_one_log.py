"""One log, the overview, signing in, and what all pages have in common."""

from __future__ import annotations

import json
import time

import pytest
from made_up import conversation, create, fill, usual
from playwright.sync_api import expect

from keywordsai.server.app import serve_in_thread


def test_a_click_anywhere_in_a_row_opens_its_conversation(page, url):
    create(url, conversation(at=time.time()))
    page.goto(url)
    box = page.locator("td.c-latency").bounding_box()
    page.mouse.click(box["x"] + 5, box["y"] + 5)
    expect(page.get_by_role("heading", level=1)).to_contain_text("gpt-4o")
    roles = page.locator(".message .role").all_text_contents()
    assert roles == ["system", "user", "assistant", "tool", "assistant", "assistant"]
    call = page.locator(".call")
    expect(call).to_contain_text("find_order")
    expect(call.locator("dt")).to_have_text(["order_id", "include", "language"])
    image = page.get_by_alt_text("Image in the log, PNG")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.naturalWidth") == 120
    expect(page.get_by_role("img", name="688 ms to the first token")).to_be_visible()
    expect(page.locator("dt", has_text="cart.currency")).to_be_visible()


def test_previous_next_thread_and_trace(page, url):
    first, second, third = (
        create(url, input=words, thread_identifier="t", trace_unique_id=trace)
        for words, trace in (("one", "x"), ("two", "y"), ("three", "x"))
    )
    page.goto(f"{url}/logs/{second}")
    page.get_by_role("link", name="Newer").click()
    page.wait_for_url(f"**/logs/{third}")
    expect(page.locator(".button.off")).to_have_text("← Newer")
    trace = page.locator("section", has=page.get_by_role("heading", name="Trace"))
    expect(trace.locator("li")).to_have_count(2)
    trace.get_by_role("link", name="one").click()
    page.wait_for_url(f"**/logs/{first}")
    page.get_by_role("link", name="All logs of this thread").click()
    expect(page.locator("[data-rows] tr")).to_have_count(3)


def test_previous_and_next_keep_to_the_filters(page, url):
    first = create(url, model="kept", input="one")
    create(url, model="other", input="two")
    third = create(url, model="kept", input="three")
    page.goto(f"{url}/logs?model=kept")
    page.get_by_role("link", name="three").click()
    assert page.url == f"{url}/logs/{third}?model=kept"
    page.get_by_role("link", name="Older").click()
    page.wait_for_url(f"**/logs/{first}?model=kept")
    page.get_by_role("link", name="All logs").click()
    expect(page.locator("[data-rows] tr")).to_have_count(2)


def test_a_failed_call_says_why(page, url):
    found = create(url, model="m", status_code=429, error_message="Too many requests.")
    page.goto(f"{url}/logs/{found}")
    expect(page.get_by_role("heading", name="The call failed with status 429")).to_be_visible()  # fmt: skip
    expect(page.locator(".notice")).to_contain_text("Too many requests.")


def test_a_cost_that_was_derived_says_so(page, url):
    found = create(url, prompt_tokens=100, completion_tokens=10, prompt_unit_price=0.001, completion_unit_price=0.002)  # fmt: skip
    page.goto(f"{url}/logs/{found}")
    tile = page.locator(".tiles div", has_text="Cost")
    expect(tile).to_contain_text("$0.12")
    expect(tile).to_contain_text("derived")


def test_the_raw_json_is_copied_as_it_was_sent(context, url):
    sent = {"model": "m", "input": "ü\u202e\n<b>", "nested": {"a": [1.5, None]}}
    found = create(url, sent)
    made = context(permissions=["clipboard-read", "clipboard-write"])
    page = made.new_page()
    page.goto(f"{url}/logs/{found}")
    page.get_by_role("button", name="Copy the raw JSON").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert json.loads(page.evaluate("navigator.clipboard.readText()")) == sent
    answer = page.request.get(f"{url}/logs/{found}/raw")
    assert json.loads(answer.body()) == sent
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"].startswith("application/json")
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "log",
    [
        {"input": "x" * 19_000_000},
        {"prompt_messages": [{"role": "user", "content": "y" * 2000}] * 5000},
        {"metadata": {f"key {index}": "v" * 100 for index in range(20_000)}},
        {f"field {index}": {"a": [1, 2]} for index in range(20_000)},
        {"tools": [{"function": {"name": "f", "parameters": {"p": ["z"] * 10}}}] * 20_000},
    ],
    ids=["text", "messages", "metadata", "fields", "tools"],
)  # fmt: skip
def test_a_huge_log_is_shown_in_part(page, url, log):
    found = create(url, log)
    answer = page.goto(f"{url}/logs/{found}")
    assert answer.ok
    assert len(answer.body()) < 4_000_000
    expect(page.get_by_role("heading", name="Raw JSON")).to_be_visible()
    assert page.locator("a", has_text="show the rest in raw JSON").count() > 0


def test_the_overview_and_the_way_from_a_group_to_its_logs(page, url):
    fill(url, usual(300, until=time.time() - 60, over=5 * 3600))
    page.goto(f"{url}/overview")
    tiles = dict(zip(*(page.locator(f".tiles {tag}").all_text_contents() for tag in ("dt", "dd")), strict=True))  # fmt: skip
    requests = int(tiles["Requests"])
    assert 50 < requests < 300
    for name in ("Requests", "Latency", "Cost", "Tokens"):
        expect(page.get_by_role("img", name=f"{name} over time")).to_be_visible()
    page.get_by_text("The charts as a table").click()
    column = page.locator(".figures tbody td:nth-child(2)").all_text_contents()
    assert sum(map(int, column)) == requests
    groups = page.locator("section", has=page.get_by_role("heading", name="By model"))
    row = groups.locator("tbody tr").first
    model, count = (
        row.locator(tag).first.text_content().strip() for tag in ("th", "td")
    )
    row.get_by_role("link", name=model).click()
    page.wait_for_url("**/logs?*")
    expect(page.locator("[data-rows] tr")).to_have_count(min(100, int(count)))
    models = set(page.locator("td.c-model").all_text_contents())
    assert models == {model}


def test_the_overview_keeps_the_filters(page, url):
    create(url, model="kept", input="one", cost=0.5)
    create(url, model="other", input="two", cost=0.25)
    page.goto(f"{url}/logs?model=kept")
    page.get_by_role("link", name="Overview").click()
    expect(page.locator(".tiles div", has_text="Cost")).to_contain_text("$0.50")
    page.get_by_label("Time", exact=True).select_option("1h")
    page.get_by_role("button", name="Filter").click()
    assert page.url == f"{url}/overview?time=1h&model=kept"
    expect(page.locator(".tiles div", has_text="Requests")).to_contain_text("1")


@pytest.mark.parametrize("window", ["15m", "1h", "24h", "7d", "30d", "all"])
def test_every_window_has_charts(page, url, window):
    create(url, input="now")
    page.goto(f"{url}/overview?time={window}")
    columns = page.locator("svg[aria-labelledby=chart-requests] .hit").count()
    assert 1 <= columns <= 62
    expect(page.locator("svg[aria-labelledby=chart-requests] .bar")).to_have_count(1)


def test_signing_in_and_out(page):
    with serve_in_thread(api_key="the-key-of-this-server") as url:
        page.goto(f"{url}/logs?model=m")
        page.get_by_label("API key").fill("another")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_be_visible()
        page.get_by_label("API key").fill("the-key-of-this-server")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{url}/logs?model=m")
        expect(page.get_by_role("heading", name="No log fits")).to_be_visible()
        page.goto(url)
        expect(page.locator("#first-call")).to_contain_text("a key of this server")
        expect(page.locator("button[data-live]")).to_have_text("Live")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(f"{url}/sign-in")
        page.goto(f"{url}/overview")
        expect(page.get_by_label("API key")).to_be_visible()


def test_by_keyboard_from_the_top_to_a_log(page, url):
    found = create(url, input="by keyboard")
    page.goto(url)
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "open":
            break
    outline = "getComputedStyle(document.activeElement, '::after').outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/logs/{found}")


@pytest.mark.parametrize("path", ["/", "/overview", "/logs/{}"])
def test_nothing_is_cut_off_on_a_phone(context, url, path):
    found = create(url, conversation(at=time.time()))
    fill(url, usual(60, until=time.time(), over=3600))
    create(url, model="m" * 300, input="w" * 400, customer_identifier="c" * 300)
    page = context(width=390, height=844, has_touch=True, is_mobile=True).new_page()
    page.goto(url + path.format(found))
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    if path == "/":
        card = page.locator("[data-rows] tr").nth(1)
        assert card.bounding_box()["height"] > 70
        card.click()
        expect(page.get_by_role("heading", name="Conversation")).to_be_visible()


def test_the_files_of_the_page_are_kept_by_browsers(page, url):
    page.goto(url)
    style = page.locator("link[rel=stylesheet]").get_attribute("href")
    answer = page.request.get(url + style)
    assert "immutable" in answer.headers["cache-control"]
    older = page.request.get(f"{url}/_static/0000000000000000/page.css")
    assert older.headers["cache-control"] == "no-cache"
    assert page.request.get(f"{url}/_static/{'0' * 16}/..%2fviews.py").status == 404
