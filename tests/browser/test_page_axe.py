"""Every page as axe sees it: no serious and no critical problem."""

from __future__ import annotations

import time

import pytest
from made_up import conversation, create, fill, usual

from keywordsai.server.app import serve_in_thread


@pytest.fixture(scope="module")
def servers():
    """Addresses of all kinds of pages."""
    with (
        serve_in_thread() as url,
        serve_in_thread() as empty,
        serve_in_thread(api_key="the-key-of-this-server") as locked,
    ):
        fill(url, usual(150, until=time.time() - 5, over=7200))
        failed = create(
            url, status_code=500, error_message="It broke.", warnings="Odd."
        )
        found = create(url, conversation(at=time.time()))
        yield {
            "logs": url,
            "logs filtered": f"{url}/logs?model=gpt-4o&metadata__feature=chat&start_time=2026-01-01",
            "one log": f"{url}/logs/{found}",
            "a failed log": f"{url}/logs/{failed}",
            "overview": f"{url}/overview?time=24h",
            "first page": empty,
            "nothing fits": f"{url}/logs?model=none",
            "unknown log": f"{url}/logs/{'0' * 32}",
            "sign in": locked,
        }


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "name",
    ["logs", "logs filtered", "one log", "a failed log", "overview", "first page", "nothing fits", "unknown log", "sign in"],
)  # fmt: skip
def test_axe_finds_nothing_serious(context, servers, name, scheme, width):
    from axe_playwright_python.sync_playwright import Axe

    page = context(width=width, color_scheme=scheme, reduced_motion="reduce").new_page()
    page.goto(servers[name])
    for details in page.locator("details").all():
        details.evaluate("details => { details.open = true }")
    found = Axe().run(page).response["violations"]
    serious = [
        (rule["id"], rule["help"], [node["html"][:200] for node in rule["nodes"]][:3])
        for rule in found
        if rule["impact"] in {"serious", "critical"}
    ]
    assert serious == []
