"""The page behind its sign-in, over real sockets: who sees it, and how browsers must treat it."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from urllib.parse import urlencode, urlsplit

import pytest
from server_tools import call, create, listed

from keywordsai.server.app import serve_in_thread

PAGES = ["/", "/logs", "/overview", "/logs/00000000000000000000000000000000"]


@pytest.fixture(scope="module")
def open_url():
    with serve_in_thread() as url:
        create(url, {"model": "m"})
        yield url


@pytest.fixture(scope="module")
def url():
    """A server with keys, and a log of which nobody without one may see anything."""
    with serve_in_thread(api_keys=["first-key", "right-key"]) as url:
        create(url, {"model": "private-model"}, key="right-key")
        yield url


def sign_in(url, key, path="/", **headers):
    headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    body = urlencode({"key": key, "next": path}).encode()
    return call(f"{url}/sign-in", "POST", body, key=None, headers=headers)


def with_cookie(answer):
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


@pytest.mark.parametrize("path", PAGES[:3])
def test_without_keys_the_page_is_open(open_url, path):
    answer = call(open_url + path, key=None)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert b"sign-out" not in answer.body
    assert call(f"{open_url}/sign-in", key=None).headers["Location"] == "/"
    assert call(f"{open_url}/request-logs/list", key=None).status == 401


@pytest.mark.parametrize("path", PAGES)
def test_with_keys_it_leads_to_the_form(url, path):
    asked = f"{path}?model=private"
    answer = call(url + asked, key=None)
    assert (answer.status, answer.body) == (303, b"")
    assert (
        answer.headers["Location"] == f"/sign-in?{urlencode({'next': asked}, safe='/')}"
    )
    assert answer.headers["Cache-Control"] == "no-store"
    form = call(url + answer.headers["Location"], key=None)
    assert form.status == 200
    assert b"private-model" not in form.body
    assert (
        re.search(rb'name="next" value="([^"]*)"', form.body)[1]
        .decode()
        .replace("&amp;", "&")
        == asked
    )


def test_a_browser_that_is_lost_is_shown_where_the_pages_are(open_url, url):
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    page = call(f"{open_url}/settings", key=None, headers=browser)
    assert page.status == 404
    assert b"There is no such page" in page.body
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert call(f"{open_url}/settings", key=None).json == {"detail": "Not found"}
    listed = call(f"{open_url}/request-logs/list", headers=browser)
    assert listed.json["count"] == 1
    assert call(f"{url}/settings", key=None, headers=browser).status == 303


def test_a_page_that_fails_is_a_page(sqlite_file):
    with serve_in_thread(database=sqlite_file) as url:
        create(url, {"n": 1})
        path = sqlite_file.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TABLE log_bodies")
        for where in ("/", "/logs"):
            page = call(url + where, key=None)
            assert (page.status, page.headers["Retry-After"]) == (500, None)
            assert page.headers["Content-Type"].startswith("text/html")
            assert b"its own log says why" in page.body
            assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert call(f"{url}/request-logs/list").json["error_code"] == "INTERNAL_ERROR"


def test_a_key_opens_it_and_signing_out_closes_it(url):
    for key in ("first-key", "right-key"):
        entered = sign_in(url, key, "/logs")
        assert (entered.status, entered.headers["Location"]) == (303, "/logs")
        assert key not in str(entered.headers)
        held = with_cookie(entered)
        page = call(f"{url}/logs", key=None, headers=held)
        assert page.status == 200
        assert b"private-model" in page.body
        left = call(f"{url}/sign-out", "POST", b"", key=None, headers=held)
        assert left.headers["Location"] == "/sign-in"
        assert with_cookie(left)["Cookie"] == held["Cookie"].partition("=")[0] + "="
        assert "Max-Age=0" in left.headers["Set-Cookie"]
        assert call(f"{url}/logs", key=None, headers=with_cookie(left)).status == 303


@pytest.mark.parametrize(
    "query", ["start_time=0001-01-01", "start_time=0001-01-01&end_time=9999-12-31"]
)
def test_an_overview_may_reach_to_the_calendars_ends(open_url, query):
    for first in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"):
        create(open_url, {"timestamp": first})
    assert call(f"{open_url}/overview?{query}", key=None).status == 200


def test_all_time_begins_with_the_earliest_log_whenever_it_came():
    with serve_in_thread() as url:
        assert call(f"{url}/overview?time=all", key=None).status == 200
        create(url, {"model": "of-now"})
        create(url, {"model": "of-then", "timestamp": "2020-02-02"})
        page = call(f"{url}/overview?time=all", key=None).body
    assert b"of-now" in page
    assert b"of-then" in page


@pytest.mark.parametrize("origin", ["http://[", "http://[bad]", "http://other", "null"])
def test_an_origin_that_is_none_of_ours_is_refused(url, origin):
    assert sign_in(url, "right-key", Origin=origin).status == 403
    assert call(f"{url}/_events", headers={"Origin": origin}).status == 403


def test_a_span_of_the_overview_leads_to_all_its_logs():
    with serve_in_thread() as url:
        create(url, {"model": "at-the-end", "timestamp": "2026-01-01T00:00:59.9999Z"})
        query = "start_time=2026-01-01T00:00:00Z&end_time=2026-01-01T00:59:59Z"
        page = call(f"{url}/overview?{query}", key=None).body.decode()
        (link,) = re.findall(r'href="([^"]*)">(?:(?!<tr>).)*?number">1<', page)[:1]
        found = call(url + link.replace("&amp;", "&"), key=None).body
    assert b"at-the-end" in found
    assert b'class="open"' in found


def test_the_cookie_does_not_open_the_api(url):
    held = with_cookie(sign_in(url, "right-key"))
    assert call(f"{url}/request-logs/list", key=None, headers=held).status == 401
    assert (
        call(f"{url}/request-logs/create", "POST", {}, key=None, headers=held).status
        == 401
    )
    assert call(f"{url}/_faults", key=None, headers=held).status == 401


def test_a_cookie_holds_on_every_server_with_that_key(url):
    held = with_cookie(sign_in(url, "right-key"))
    for keys, status in ((["right-key"], 200), (["another"], 303)):
        with serve_in_thread(api_keys=keys) as other:
            assert call(f"{other}/", key=None, headers=held).status == status


def test_a_wrong_key_shows_the_form_again(url):
    answer = sign_in(url, "a-wrong-key", "/overview")
    assert answer.status == 403
    assert b"That is not a key of this server." in answer.body
    assert b'value="/overview"' in answer.body
    assert b"a-wrong-key" not in answer.body
    assert answer.headers["Set-Cookie"] is None


def test_wrong_keys_are_slowed_down():
    with serve_in_thread(api_key="right-key") as url:
        assert [sign_in(url, "wrong").status for _ in range(7)] == [403] * 5 + [429] * 2
        assert sign_in(url, "right-key").status == 429
        assert call(f"{url}/request-logs/list", key="right-key").status == 200


def test_no_other_site_signs_anybody_in(url):
    host = urlsplit(url).netloc
    assert sign_in(url, "right-key", Origin="http://evil.example").status == 403
    assert sign_in(url, "right-key", Origin=f"http://{host}").status == 303
    assert sign_in(url, "right-key", **{"Sec-Fetch-Site": "cross-site"}).status == 403


def test_a_form_that_is_too_long(url):
    answer = call(f"{url}/sign-in", "POST", b"key=" + b"a" * 20_000, key=None)
    assert answer.status == 413


def test_the_form_may_have_what_makes_it_look_well(url):
    form = call(f"{url}/sign-in", key=None)
    found = re.findall(rb'(?:href|src)="(/_static/[^"]+)"', form.body)
    assert found
    for path in found:
        assert call(url + path.decode(), key=None).status == 200


def test_the_stream_is_for_who_signed_in(url):
    refused = call(f"{url}/_events", key=None)
    assert (refused.status, refused.json) == (
        401,
        {"detail": "Sign in first, at /sign-in"},
    )
    assert call(f"{url}/_events", key="right-key").status == 401


@pytest.mark.parametrize("path", ["/", "/sign-in", "/logs/nothing", "/overview"])
def test_how_browsers_must_treat_a_page(url, path):
    held = {} if path == "/sign-in" else with_cookie(sign_in(url, "right-key"))
    headers = call(url + path, key=None, headers=held).headers
    policy = dict(
        part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; ")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/", "/request-logs/list", "/_faults", "/healthz", "/_events"]
)
def test_no_other_site_may_read_anything(open_url, path):
    headers = {
        "Origin": "http://evil.example",
        "Access-Control-Request-Method": "PUT",
        "Sec-Fetch-Site": "cross-site",
    }
    for method in ("GET", "OPTIONS"):
        answer = call(open_url + path, method, headers=headers)
        assert not [
            name for name in answer.headers if name.lower().startswith("access-control")
        ]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_pages_are_read_only(open_url, method):
    answer = call(f"{open_url}/logs", method, b"", key=None)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_faults_leave_the_page_alone(open_url):
    call(f"{open_url}/_faults", "PUT", {"faults": ["503"]}, key=None)
    try:
        assert call(f"{open_url}/logs", key=None).status == 200
        assert call(f"{open_url}/request-logs/list").status == 503
    finally:
        call(f"{open_url}/_faults", "DELETE", key=None)


def test_under_another_name_there_is_no_page(open_url):
    answer = call(f"{open_url}/", key=None, headers={"Host": "evil.example"})
    assert answer.status == 403
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert b"--allow-host evil.example" in answer.body


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "/logs/..%2f..%2f",
        "/_static/..%2f..%2fetc%2fpasswd",
        "/_static/../views.py",
        "/logs/%00",
        "/?%ff=%fe",
        "/?a[=1",
    ],
)
def test_strange_paths(open_url, path):
    assert call(open_url + path, key=None).status in (200, 303, 400, 404)


@pytest.mark.parametrize("path", ["//evil.example/logs", "/\\evil.example"])
def test_a_strange_path_leads_nowhere_else(url, path):
    answer = call(url + path, key=None)
    assert answer.headers.get("Location", "/sign-in").startswith(("/sign-in", "/logs"))
    assert not answer.headers.get("Location", "").startswith("//")


def test_of_a_long_name_the_pages_show_the_start():
    name = "model-" + "x" * 300
    with serve_in_thread() as url:
        create(url, {"model": name, "customer_identifier": name})
        for path in ("/logs", "/overview"):
            shown = call(url + path, key=None).body.decode()
            assert shown.count("x…<") == 2
            assert "\uffff" not in shown
            assert name[:200] not in shown
        assert (
            name in call(f"{url}/logs/{listed(url)['results'][0]['id']}").body.decode()
        )


@pytest.mark.parametrize("name", ["[", "a]b", "a/b"])
def test_its_health_is_told_under_any_name(open_url, name):
    assert call(f"{open_url}/healthz", headers={"Host": name}).status == 200
    page = call(f"{open_url}/logs", headers={"Host": name}, key=None)
    assert page.status == 403
