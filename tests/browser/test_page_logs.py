"""The list of logs, used as a person would."""

from __future__ import annotations

import re
import time

import pytest
from made_up import create, fill, usual
from playwright.sync_api import expect

ROWS = "[data-rows] tr"


def rows(page):
    return page.locator(ROWS)


def live(page):
    return page.locator("button[data-live]")


def opened_live(page, url):
    page.goto(url)
    expect(live(page)).to_have_text("Live")


def test_the_lines_of_the_first_page_log_a_first_call_that_appears(page, url):
    page.goto(url)
    code = page.locator("#first-call").text_content()
    assert f'base_url="{url}/api"' in code
    expect(live(page)).to_have_text("Live")
    exec(compile(code, "first call", "exec"), {})
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("Hi there!")


def test_a_log_appears_without_a_reload(page, url):
    create(url, model="first", input="before")
    opened_live(page, url)
    page.evaluate("window.still = true")
    create(url, model="second", input="Is it live?", output="It is.")
    expect(rows(page)).to_have_count(2)
    expect(rows(page).first).to_contain_text("Is it live?")
    expect(page.locator("[data-live-said]")).to_have_text("1 new log")
    assert page.evaluate("window.still")


def test_many_logs_at_once_appear_in_order_and_no_more_than_a_page(page, url):
    create(url, input="before")
    opened_live(page, url)
    fill(url, ({"input": f"log {index}"} for index in range(250)))
    expect(rows(page)).to_have_count(100)
    expect(rows(page).first).to_contain_text("log 249")
    expect(rows(page).last).to_contain_text("log 150")
    assert page.locator(ROWS).evaluate_all("all => new Set(all.map(r => r.dataset.id)).size") == 100  # fmt: skip


def test_only_what_fits_the_filters_appears(page, url):
    create(url, model="kept", input="one")
    opened_live(page, f"{url}/logs?model=kept")
    create(url, model="other", input="two")
    create(url, model="kept", input="three")
    expect(rows(page)).to_have_count(2)
    expect(rows(page).first).to_contain_text("three")


def test_it_is_paused_while_the_pointer_rests_on_the_table(page, url):
    create(url, input="before")
    opened_live(page, url)
    rows(page).first.hover()
    expect(live(page)).to_have_text("Paused")
    create(url, input="meanwhile")
    expect(live(page)).to_have_text("Paused, 1 new")
    expect(rows(page)).to_have_count(1)
    assert page.title().startswith("(1)")
    page.mouse.move(5, 5)
    expect(rows(page)).to_have_count(2)
    expect(live(page)).to_have_text("Live")


def test_it_is_paused_while_focus_is_in_the_table(page, url):
    create(url, input="before")
    opened_live(page, url)
    page.locator("a.open").first.focus()
    create(url, input="meanwhile")
    expect(live(page)).to_have_text("Paused, 1 new")
    live(page).focus()
    expect(rows(page)).to_have_count(2)


def test_it_is_paused_while_one_reads_further_down(page, url):
    fill(url, ({"input": f"log {index}"} for index in range(100)))
    opened_live(page, url)
    page.evaluate("scrollTo(0, 900)")
    expect(live(page)).to_have_text("Paused")
    create(url, input="meanwhile")
    expect(live(page)).to_have_text("Paused, 1 new")
    page.evaluate("scrollTo(0, 0)")
    expect(rows(page).first).to_contain_text("meanwhile")


def test_it_is_paused_and_goes_on_by_keyboard(page, url):
    create(url, input="before")
    opened_live(page, url)
    live(page).focus()
    page.keyboard.press("Enter")
    expect(live(page)).to_have_text("Paused")
    create(url, input="meanwhile")
    expect(live(page)).to_have_text("Paused, 1 new")
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("Space")
    expect(rows(page)).to_have_count(2)
    expect(live(page)).to_have_text("Live")


def test_filters_are_in_the_url_which_can_be_shared(page, context, url):
    create(url, model="gpt-4", input="a", metadata={"env": "prod", "team": "search"})
    create(url, model="gpt-4", input="b", metadata={"env": "prod", "team": "chat"})
    create(url, model="other", input="c", metadata={"env": "prod", "team": "search"})
    page.goto(url)
    page.get_by_role("combobox", name="Model").fill("gpt-4")
    page.get_by_role("button", name="Filter").click()
    expect(rows(page)).to_have_count(2)
    assert page.url == f"{url}/logs?time=all&model=gpt-4"
    for key, value in (("env", "prod"), ("team", "search")):
        page.get_by_text("More filters").click()
        page.get_by_label("Metadata key").fill(key)
        page.get_by_label("Metadata value").fill(value)
        page.keyboard.press("Enter")
        expect(page.locator(".chip", has_text=value)).to_be_visible()
    expect(rows(page)).to_have_count(1)

    other = context().new_page()
    other.goto(page.url)
    expect(rows(other)).to_have_count(1)
    expect(other.get_by_role("combobox", name="Model")).to_have_value("gpt-4")

    page.get_by_label("Remove filter Model gpt-4").click()
    expect(rows(page)).to_have_count(2)
    page.get_by_role("link", name="Clear all").click()
    expect(rows(page)).to_have_count(3)
    assert page.url == f"{url}/logs"


def test_filters_by_status_customer_thread_and_words(page, url):
    create(
        url, input="all is well", customer_identifier="user_1", thread_identifier="t"
    )
    create(url, input="it broke", status_code=500, customer_identifier="user_2")
    for query, words in (
        ("status=success", "all is well"),
        ("status=failed", "it broke"),
        ("customer_identifier=user_2", "it broke"),
        ("thread_identifier=t", "all is well"),
        ("q=broke", "it broke"),
        ("time=15m&status_code=500", "it broke"),
    ):
        page.goto(f"{url}/logs?{query}")
        expect(rows(page)).to_have_count(1)
        expect(rows(page)).to_contain_text(words)


def test_a_window_of_ones_own_is_taken_in_local_time(context, url):
    create(url, input="early", timestamp="2026-03-01T10:00:00Z")
    create(url, input="late", timestamp="2026-03-01T14:00:00Z")
    page = context(timezone_id="Asia/Tokyo").new_page()  # nine hours ahead
    page.goto(url)
    expect(rows(page).last.locator(".clock")).to_have_text("19:00:00")
    assert rows(page).last.locator("time").get_attribute("title") == "2026-03-01 10:00:00 UTC"  # fmt: skip
    page.get_by_text("More filters").click()
    page.get_by_label("From").fill("2026-03-01T20:00:00")
    page.get_by_role("button", name="Filter").click()
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("late")
    assert "start_time=2026-03-01T11%3A00%3A00.000Z" in page.url
    kept = page.get_by_role("textbox", name="From")
    expect(kept).to_have_value(re.compile(r"2026-03-01T20:00(:00)?"))


def test_next_and_previous(page, url):
    fill(url, ({"input": f"log {index}"} for index in range(250)))
    page.goto(url)
    seen = []
    for _ in range(3):
        seen += rows(page).locator(".asked").all_text_contents()
        older = page.get_by_role("link", name="Older")
        if older.count():
            older.click()
            page.wait_for_url(re.compile("before="))
    assert seen == [f"log {index}" for index in reversed(range(250))]
    page.get_by_role("link", name="Newer").click()
    expect(rows(page).first).to_contain_text("log 149")
    page.get_by_role("link", name="Newer").click()
    expect(rows(page).first).to_contain_text("log 249")
    expect(live(page)).to_be_visible()


def test_nothing_fits(page, url):
    create(url, input="there")
    page.goto(f"{url}/logs?model=none")
    expect(page.get_by_role("heading", name="No log fits")).to_be_visible()
    page.get_by_role("link", name="Show all logs").click()
    expect(rows(page)).to_have_count(1)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/logs/0123456789abcdef0123456789abcdef", 404, "There is no log with this id"),
        ("/logs/a/b/c", 404, "There is no such page"),
        ("/logs?time=never", 400, "time: expected one of"),
        ("/overview?start_time=x", 400, "start_time: expected a time such as"),
    ],
)
def test_errors_say_what_to_do(page, url, path, status, words):
    answer = page.goto(url + path)
    assert answer.status == status
    expect(page.get_by_role("main")).to_contain_text(words)
    page.get_by_role("link", name="Show all logs").click()
    expect(page.get_by_role("heading", name="No logs yet")).to_be_visible()


def test_it_works_without_javascript(context, url):
    fill(url, usual(200, until=time.time()))
    create(url, model="last", input="the last one", output="yes", metadata={"k": "v"})
    page = context(java_script_enabled=False).new_page()
    page.goto(url)
    expect(rows(page)).to_have_count(100)
    expect(live(page)).to_be_hidden()
    expect(page.get_by_role("link", name="Reload")).to_be_visible()
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("link", name="Newer")).to_be_visible()
    page.get_by_text("More filters").click()
    page.get_by_label("Metadata key").fill("k")
    page.get_by_label("Metadata value").fill("v")
    page.get_by_role("button", name="Filter").click()
    assert page.url == f"{url}/logs?time=all&metadata__k=v"
    page.get_by_role("link", name="the last one").click()
    expect(page.get_by_role("heading", name="last")).to_be_visible()
    page.get_by_text("Show what was sent").click()
    expect(page.locator("pre[aria-label='Raw JSON']")).to_contain_text('"k": "v"')
    page.get_by_role("link", name="Overview").click()
    expect(page.locator("svg[role=img]")).to_have_count(4)


def test_open_streams_of_many_pages_do_not_starve_the_rest(context, url):
    create(url, input="before")
    made = context()
    for _ in range(4):
        opened_live(made.new_page(), url)
    page = made.new_page()
    opened_live(page, url)
    rows(page).first.locator("a.open").click()
    expect(page.get_by_role("heading", name="Conversation")).to_be_visible()
