"""Take the pictures of the documentation: python tests/browser/pictures.py [folder].

The pages are real, with made-up logs; the pictures go to docs/images by default.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

from made_up import conversation, create, fill, usual
from playwright.sync_api import Page, sync_playwright

from keywordsai.server.app import serve_in_thread

_SIZE = {"width": 1280, "height": 800}
_PHONE = {"width": 390, "height": 760}


def _take(page: Page, url: str, file: Path) -> None:
    page.goto(url)
    live = page.locator("button[data-live]")
    if live.count():
        page.wait_for_selector("button[data-state=live]")
    page.screenshot(path=file, animations="disabled")


def main(folder: Path) -> None:
    """Take all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    root = os.geteuid() == 0
    with serve_in_thread() as url, sync_playwright() as playwright:
        now = time.time()
        fill(url, usual(900, until=now - 60))
        found = create(url, conversation(at=now - 20))
        pages = {
            "logs": url,
            "log": f"{url}/logs/{found}",
            "overview": f"{url}/overview",
        }
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox"] if root else [],
        )
        for scheme in ("light", "dark"):
            page = browser.new_page(color_scheme=scheme, viewport=_SIZE)
            for name, address in pages.items():
                _take(page, address, folder / f"page-{name}-{scheme}.png")
        page = browser.new_page(color_scheme="light", viewport=_PHONE)
        _take(page, f"{url}/logs?time=24h", folder / "page-logs-phone.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))
