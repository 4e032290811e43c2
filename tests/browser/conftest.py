"""A real browser on a real server, watched for anything that should not happen."""

from __future__ import annotations

import os
import shutil
from urllib.parse import urlsplit

import attrs
import pytest

from keywordsai.server.app import serve_in_thread

WAIT = 20_000  # milliseconds that anything may take before a test gives up


def missing(what):
    """Without a browser there is nothing to see; where CI runs, that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def browser():
    """Debian's chromium, one for every process of the tests."""
    try:
        from playwright.sync_api import expect, sync_playwright
    except ImportError:
        missing("Playwright for Python is not installed")
    expect.set_options(timeout=WAIT)
    path = shutil.which("chromium")
    if path is None:
        missing("there is no chromium on this machine")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"] if root else []
        )
        yield started
        started.close()


@pytest.fixture
def url():
    """A server without logs."""
    with serve_in_thread() as url:
        yield url


@attrs.define(slots=False)  # Playwright puts attributes of its own beside ours
class Watch:
    """What happened in the pages of a test that must not happen in any.

    Attributes:
        dialogs: Texts of alerts and the like.
        errors: What scripts raised.
        foreign: Requests that left this machine's loopback.
        violations: What the Content-Security-Policy kept out.
        canaries: What a script from a log would leave behind.
    """

    dialogs: list = attrs.field(factory=list)
    errors: list = attrs.field(factory=list)
    foreign: list = attrs.field(factory=list)
    violations: list = attrs.field(factory=list)
    canaries: list = attrs.field(factory=list)

    def over(self, context):
        context.expose_binding("__sung", lambda _, text: self.canaries.append(text))
        context.expose_binding(
            "__violated", lambda _, text: self.violations.append(text)
        )
        context.add_init_script(
            """
            addEventListener("securitypolicyviolation", (event) =>
              __violated(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
            Object.defineProperty(window, "__canary", {
              get: () => (value) => __sung(String(value)),
              set: (value) => __sung(String(value)),
            });
            """
        )
        context.on("page", self._of)
        context.on("request", self._request)

    def _of(self, page):
        page.on("dialog", self._dialog)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _dialog(self, dialog):
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _request(self, request):
        parts = urlsplit(request.url)
        if parts.scheme != "data" and parts.hostname not in {"127.0.0.1", "localhost"}:
            self.foreign.append(request.url)

    @property
    def nothing(self):
        return not any(attrs.astuple(self))


@pytest.fixture
def watch():
    """What must stay empty, and is looked at when the test has ended."""
    watched = Watch()
    yield watched
    assert watched.nothing, watched


@pytest.fixture
def context(browser, watch):
    """Makes browser contexts, all of them watched."""
    opened = []

    def new(width=1280, height=800, **options):
        made = browser.new_context(
            viewport={"width": width, "height": height},
            timezone_id=options.pop("timezone_id", "UTC"),
            **options,
        )
        made.set_default_timeout(WAIT)
        watch.over(made)
        opened.append(made)
        return made

    yield new
    for made in opened:
        made.close()


@pytest.fixture
def page(context):
    """A page at the width of a desk."""
    return context().new_page()
