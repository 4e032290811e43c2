"""Many logs in one request: what is taken, what is refused, what is stored twice."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from aiohttp import ClientSession, TCPConnector, web
from databases import refuse_poison
from hypothesis import given, settings
from hypothesis import strategies as st
from server_tools import (
    DEADLINE,
    KEY,
    call,
    create,
    get,
    listed,
    serving,
    stopped,
    until,
)

from keywordsai.server.app import LogServer, serve_in_thread
from keywordsai.server.bulk import read_bulk
from keywordsai.server.commits import GroupCommit
from keywordsai.server.handler import Handler
from keywordsai.server.store import Store
from keywordsai.server.validation import problems_of
from keywordsai.transport.base import HTTPRequest

LIMIT = 100 * 1024**2
LOG_LIMIT = 20 * 1024**2
EXPECTED = {
    "detail": "Invalid request format: expected a JSON object with an array of 1 to 500 "
    'logs under "logs", once'
}
INTEGER = "expected an integer, got a string"
TOO_DEEP = "Nested more than 400 levels deep."
NO_NUMBER = "A number that is no JSON."
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def bulk(url, body, **options):
    return call(f"{url}/api/request-logs/bulk/", "POST", body, **options)


def bulk_of(*texts):
    return b'{"logs": [' + b", ".join(texts) + b"]}"


def stored(url, **query):
    rows = listed(url, sort_by="id", page_size=1000, **query)["results"]
    return [get(url, row["id"])["as_sent"] for row in rows]


def accepted(count):
    return {"success_count": count, "error_count": 0, "errors": []}


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_the_path_with_and_without_prefix_and_slash(shared_url, prefix, slash):
    path = f"{shared_url}{prefix}/request-logs/bulk{slash}"
    answer = call(path, "POST", {"logs": [{"model": "m"}, {}]})
    assert (answer.status, answer.json) == (201, accepted(2))
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_other_methods(shared_url, method):
    answer = call(f"{shared_url}/api/request-logs/bulk/", method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "POST"


def test_only_with_the_key():
    with serve_in_thread(api_key="right") as url:
        body = {"logs": [{"n": 1}]}
        for key in (None, "wrong"):
            answer = bulk(url, body, key=key)
            assert answer.status == 401
            assert list(answer.json) == ["detail"]
        assert bulk(url, body, key="right").status == 201
        page = call(f"{url}/request-logs/list", key="right").json
        assert page["count"] == 1


def test_the_logs_are_stored_in_their_order(url):
    logs = [{"n": n, "model": f"m{n % 7}"} for n in range(500)]
    assert bulk(url, {"logs": logs}).json == accepted(500)
    page = listed(url, sort_by="id", page_size=1000)
    assert page["count"] == 500
    assert [row["n"] for row in page["results"]] == list(range(500))


@pytest.mark.parametrize("count", [1, 34, 35, 36, 71, 249, 251, 500])
def test_every_log_can_be_found_by_what_it_holds(url, count):
    logs = [
        {"model": f"m{n}", "cost": n / 4, "metadata": {"run": n, "even": n % 2 == 0}}
        for n in range(count)
    ]
    bulk(url, {"logs": logs})
    for n in {0, count // 2, count - 1}:
        for query in ({"model": f"m{n}"}, {"cost": n / 4}, {"metadata__run": n}):
            assert stored(url, **query) == [logs[n]]
    assert listed(url, even="true")["count"] == (count + 1) // 2


TEXTS = [
    b"{}",
    b'{"n": 123456789012345678901234567890, "m": -0.0, "e": 1E5, "f": 1.10, "g": 1e999}',
    b'{"half": "\\ud800", "zero": "\\u0000", "slash": "\\/", "a\\u0062": "]}, {"}',
    '{"text": "é 🎉 \\u00e9"}'.encode(),
    b'{ "a" :\t[ 1 ,2,\r\n{ } ] }',
    b'{"a": 1, "a": 2}',
    b'{"cost": ' + b"8" * 400 + b', "metadata": {"n": ' + b"7" * 30 + b"}}",
    b'{"a": ' + b"[" * 399 + b"]" * 399 + b"}",
    b'{"logs": [{"logs": []}]}',
]


def test_every_log_is_stored_as_it_was_sent(url):
    body = b' \n{"logs"\t: [ ' + b" ,\r\n".join(TEXTS) + b'\n ] , "more": [1, "]"] } '
    assert bulk(url, body).json == accepted(len(TEXTS))
    rows = listed(url, sort_by="id")["results"]
    for row, text in zip(rows, TEXTS, strict=True):
        found = call(f"{url}/api/request-logs/{row['id']}/").body
        assert b'"as_sent": ' + text + b"}" in found


def test_a_log_is_the_same_alone_and_in_a_bulk(url):
    for text in TEXTS:
        alone = create(url, text)
        bulk(url, bulk_of(text))
        found = listed(url, page_size=1)["results"][0]["id"]
        times = {"id", "unique_id"} | (set() if b"timestamp" in text else {"timestamp"})
        one, other = (
            {
                name: value
                for name, value in get(url, log_id).items()
                if name not in times
            }
            for log_id in (alone, found)
        )
        assert json.dumps(one) == json.dumps(other)


@settings(deadline=None)
@given(
    st.lists(JSON, min_size=1, max_size=6),
    st.dictionaries(st.text().filter(lambda name: name != "logs"), JSON, max_size=2),
    st.sampled_from([None, 0, 3, "\t"]),
    st.booleans(),
)
def test_any_bulk_is_read_as_json_reads_it(values, more, indent, ascii_only):
    body = {**more, "logs": values}
    text = json.dumps(body, indent=indent, ensure_ascii=ascii_only)
    entries = list(read_bulk(text.encode(errors="replace"), most=500))
    sent = json.loads(text.encode(errors="replace"))["logs"]
    assert len(entries) == len(sent)
    for entry, value in zip(entries, sent, strict=True):
        if not isinstance(value, dict):
            assert entry.problem == "Expected an object."
        elif problems := problems_of(value):
            assert entry.problem.startswith(": ".join(problems[0]))
        else:
            assert entry.problem == ""
            assert json.loads(entry.text) == value


@settings(deadline=None)
@given(JSON, JSON, st.sampled_from([None, 2]))
def test_what_json_stumbles_over_is_passed_as_a_whole(before, after, indent):
    wrong = {"before": before, "number": float("nan"), "after": after}
    body = json.dumps({"logs": [{"n": 1}, wrong, {"n": 2}]}, indent=indent)
    one, two, three = read_bulk(body.encode(), most=500)
    assert [json.loads(entry.text) for entry in (one, three)] == [{"n": 1}, {"n": 2}]
    assert two.problem == NO_NUMBER


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}",
        b"[]",
        b"null",
        b'"logs"',
        b'[{"n": 1}]',
        b'{"n": 1}',
        b'{"logs"}',
        b'{"logs": }',
        b'{"logs": null}',
        b'{"logs": {}}',
        b'{"logs": {"n": 1}}',
        b'{"logs": "[{}]"}',
        b'{"logs": []}',
        b'{"logs": [ ]}',
        b'{"LOGS": [{}]}',
        b'{"logs": [{}]',
        b'{"logs": [{}',
        b'{"logs": [{},]}',
        b'{"logs": [,{}]}',
        b'{"logs": [{} {}]}',
        b'{"logs": [{}}}',
        b'{"logs": [{}],}',
        b'{"logs": [{}]} {}',
        b'{"logs": [{}]}]',
        b'{"logs": [{"n": 1}, {"n": }]}',
        b'{"logs": [{"n": 1}, {"n" 1}]}',
        b'{"logs": [{"n": 1}, {"n": "1\n"}]}',
        b'{"logs": [{"n": 1}, {"n": 01}]}',
        b'{"logs": [{"n": 1}, {"n": NaN]}',
        b'{"logs": [{"n": 1}, NaN',
        b'{"logs": [{"n": 1}, {"n": [NaN, "unended}]}',
        b'{"logs": [{"n": 1}], "logs": [{"n": 2}]}',
        b'{"logs": [{"n": 1}], "more": nonsense}',
        b'{"logs": [{"n": 1}], 1: 2}',
        b'{"logs": [{"n": 1}], NaN: 2}',
        b'{"logs": [{"n": "\xff"}]}',
        b'\xef\xbb\xbf{"logs": [{}]}',
        b'{"logs": [{"n": 1}, ' + b"[" * 100_000,
        '{"logs": [{}]}'.encode("utf-16"),
        bulk_of(*[b"{}"] * 501),
        bulk_of(*[b"1"] * 501),
    ],
    ids=lambda body: repr(body[-30:]),
)
def test_no_bulk(url, body):
    answer = bulk(url, body)
    assert (answer.status, answer.json) == (400, EXPECTED)
    assert listed(url)["count"] == 0


def test_a_key_is_a_key_however_it_is_written(url):
    assert bulk(url, b'{"l\\u006fgs": [{"n": 1}]}').json == accepted(1)
    assert stored(url) == [{"n": 1}]


WRONG = {
    b"1": "Expected an object.",
    b"null": "Expected an object.",
    b'"private words"': "Expected an object.",
    b'["private words", {"n": 1}]': "Expected an object.",
    b'{"prompt_tokens": "private words"}': f"prompt_tokens: {INTEGER}",
    b'{"stream": "private words", "cost": "x", "metadata": 1}': (
        "stream: expected true or false, got a string; cost: expected a number, got "
        "a string; metadata: expected an object, got an integer"
    ),
    b"NaN": NO_NUMBER,
    b"-Infinity": NO_NUMBER,
    b'{"a": NaN}': NO_NUMBER,
    b'{"a": "]}, \\"{[", "b": [NaN, {"c": "private words"}], "d": "}"}': NO_NUMBER,
    b"9" * 5000: "Expected an object.",
    b'{"a": ' + b"9" * 5000 + b', "b": NaN}': NO_NUMBER,
    b'{"a": ' + b"[" * 400 + b"]" * 400 + b"}": TOO_DEEP,
    b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}": TOO_DEEP,
    b'[{"a":' * 100_000 + b'"private words"' + b"}]" * 100_000: TOO_DEEP,
}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda text: repr(text[:20]))
@pytest.mark.parametrize("blank", [b"", b" "])
def test_one_that_is_wrong_does_not_keep_the_others_out(url, wrong, blank):
    texts = [b'{"n": 1}', wrong, b'{"n": 2}', wrong]
    parts = (blank + b"," + blank).join(texts)
    answer = bulk(url, b'{"logs": [' + parts + blank + b"]" + blank + b"}")
    assert answer.status == 201
    assert answer.json == {
        "success_count": 2,
        "error_count": 2,
        "errors": [{"index": index, "error": WRONG[wrong]} for index in (1, 3)],
    }
    assert b"private words" not in answer.body
    assert stored(url) == [{"n": 1}, {"n": 2}]


def test_when_all_are_wrong(url):
    answer = bulk(url, bulk_of(*WRONG))
    assert answer.status == 400
    assert answer.json == {
        "detail": "None of the logs was accepted",
        "success_count": 0,
        "error_count": len(WRONG),
        "errors": [
            {"index": index, "error": error}
            for index, error in enumerate(WRONG.values())
        ],
    }
    assert listed(url)["count"] == 0


@pytest.mark.parametrize("letter", [b"a", "é".encode(), "🎉".encode()])
def test_the_largest_log_of_a_bulk(url, letter):
    def padded(size):
        count, rest = divmod(size - 9, len(letter))
        return b'{"x": "' + letter * count + b"a" * rest + b'"}'

    answer = bulk(url, bulk_of(padded(LOG_LIMIT), padded(LOG_LIMIT + 1), b'{"n": 1}'))
    error = "Too large: a log is at most 20 MiB."
    assert answer.status == 201
    assert answer.json["errors"] == [{"index": 1, "error": error}]
    assert listed(url, include_fields="id")["count"] == 2


def large(size):
    start, end = b'{"logs": [{"n": 1}', b"]}"
    return start + b" " * (size - len(start) - len(end)) + end


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 201), (LIMIT + 1, 413)])
@pytest.mark.parametrize("chunked", [False, True])
def test_the_largest_bulk(url, size, status, chunked):
    body, parts = large(size), urlsplit(url)
    chunks = (body[start : start + 2**20] for start in range(0, size, 2**20))
    connection = http.client.HTTPConnection(
        parts.hostname, parts.port, timeout=DEADLINE
    )
    try:
        connection.request(
            "POST",
            "/request-logs/bulk",
            chunks if chunked else body,
            {
                "Authorization": f"Bearer {KEY}",
                **({"Transfer-Encoding": "chunked"} if chunked else {}),
            },
            encode_chunked=chunked,
        )
        response = connection.getresponse()
        assert response.status == status
        said = json.loads(response.read())
    finally:
        connection.close()
    if status == 413:
        assert said == {
            "detail": "Request body too large: a bulk of logs is at most 100 MiB"
        }
    assert listed(url)["count"] == (1 if status == 201 else 0)


def test_a_bulk_sent_again_is_stored_once(url):
    body, again = bulk_of(b'{"n": 1}', b"1", b'{"n": 2}'), {"Idempotency-Key": "one"}
    first = bulk(url, body, headers=again)
    second = bulk(url, body, headers=again)
    assert (first.status, first.json["success_count"]) == (201, 2)
    assert (second.status, second.body) == (201, first.body)
    assert stored(url) == [{"n": 1}, {"n": 2}]
    bulk(url, body, headers=again, key="another account")
    bulk(url, body, headers={"Idempotency-Key": "two"})
    assert listed(url)["count"] == 6


def test_without_a_key_it_is_stored_again(url):
    for headers in ({}, {"Idempotency-Key": ""}, {"Idempotency-Key": " "}):
        assert bulk(url, {"logs": [{}, {}]}, headers=headers).json == accepted(2)
    assert listed(url)["count"] == 6


def test_a_single_log_with_the_key_of_a_bulk_is_another(url):
    again = {"Idempotency-Key": "one"}
    single = create(url, {"n": 0}, headers=again)
    assert bulk(url, {"logs": [{"n": 1}]}, headers=again).json == accepted(1)
    assert create(url, {"n": 2}, headers=again) == single
    assert stored(url) == [{"n": 0}, {"n": 1}]


def test_the_place_in_the_bulk_is_part_of_the_key(url):
    again = {"Idempotency-Key": "one"}
    bulk(url, bulk_of(b"1", b'{"n": 2}'), headers=again)
    put_right = bulk(url, bulk_of(b'{"n": 1}', b'{"n": 2}'), headers=again)
    assert put_right.json == accepted(2)
    assert sorted(log["n"] for log in stored(url)) == [1, 2]


def test_a_bulk_that_arrives_many_times_at_once_is_stored_once(any_database):
    logs, again = [{"n": n} for n in range(100)], {"Idempotency-Key": "k"}
    with (
        serve_in_thread(database=any_database) as url,
        ThreadPoolExecutor(20) as pool,
    ):
        sent = pool.map(lambda _: bulk(url, {"logs": logs}, headers=again), range(20))
        assert [(answer.status, answer.json) for answer in sent] == [
            (201, accepted(100))
        ] * 20
        assert stored(url) == logs


def test_a_bulk_that_arrives_at_two_servers_of_one_file_is_stored_once(database):
    with (
        serving(database) as (_, one),
        serving(database) as (_, two),
        ThreadPoolExecutor(8) as pool,
    ):

        def send(n):
            return bulk(
                (one, two)[n % 2],
                {"logs": [{"n": n // 2}] * 50},
                headers={"Idempotency-Key": str(n // 2)},
            ).json

        assert list(pool.map(send, range(20))) == [accepted(50)] * 20
        assert listed(one)["count"] == listed(two)["count"] == 500


@pytest.mark.parametrize("killed", [False, True])
def test_a_bulk_is_stored_once_over_a_restart(database, tmp_path, killed):
    body = bulk_of(b'{"n": 1}', b"1", b'{"n": 2}')
    options = {
        "headers": {"Idempotency-Key": "a-key-never-stored"},
        "key": "account-key",
    }
    with serving(database) as (process, url):
        first = bulk(url, body, **options)
        if killed:
            process.kill()
            process.wait()
        else:
            assert stopped(process) == (0, "", "")
    with serving(database) as (process, url):
        second = bulk(url, body, **options)
        assert (second.status, second.body) == (201, first.body)
        assert stored(url) == [{"n": 1}, {"n": 2}]
        stopped(process)
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"a-key-never-stored" not in kept
    assert b"account-key" not in kept


async def serve(store, handler=None):
    runner = web.AppRunner(
        LogServer(store=store, handler=handler or Handler()).app, access_log=None
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


def client():
    return ClientSession(
        connector=TCPConnector(limit=0), headers={"Authorization": f"Bearer {KEY}"}
    )


async def post(session, url, path, body):
    async with session.post(f"{url}/request-logs/{path}/", json=body) as response:
        return response.status, await response.json()


def test_bulks_and_creates_that_arrive_together_commit_together(database):
    store = Store.open(database)
    commits, first = [], threading.Event()

    @sa.event.listens_for(store._writer, "commit")
    def hold_the_first(_connection):
        commits.append(1)
        assert first.wait(DEADLINE)

    async def main():
        runner, url = await serve(store)
        async with client() as session:
            posts = [
                asyncio.create_task(
                    post(session, url, "bulk", {"logs": [{"n": n}] * 10})
                    if n % 2
                    else post(session, url, "create", {"n": n})
                )
                for n in range(60)
            ]
            await asyncio.to_thread(until, lambda: len(runner.server.connections) == 60)
            first.set()
            answers = await asyncio.gather(*posts)
            async with session.get(f"{url}/request-logs/list") as response:
                page = await response.json()
        await runner.cleanup()
        return answers, page["count"]

    try:
        answers, count = asyncio.run(asyncio.wait_for(main(), DEADLINE))
    finally:
        first.set()
        store.close()
    assert answers[1::2] == [(201, accepted(10))] * 30
    assert {status for status, _ in answers[::2]} == {201}
    assert count == 330
    assert len(commits) <= 20


def test_a_bulk_is_stored_all_or_nothing(database, caplog):
    store = Store.open(database)
    refuse_poison(store._writer)

    async def main():
        runner, url = await serve(store)
        logs = [{"text": "private words"} for _ in range(100)]
        poison = {"model": "poison", "text": "private words"}
        async with client() as session:
            answers = await asyncio.gather(
                post(session, url, "create", {"n": 1}),
                post(session, url, "bulk", {"logs": [*logs, poison]}),
                post(session, url, "bulk", {"logs": [{"n": 2}]}),
            )
            async with session.get(f"{url}/request-logs/list") as response:
                page = await response.json()
        await runner.cleanup()
        return answers, page["results"]

    try:
        answers, rows = asyncio.run(asyncio.wait_for(main(), DEADLINE))
    finally:
        store.close()
    failure = {"detail": "Internal server error", "error_code": "INTERNAL_ERROR"}
    assert [status for status, _ in answers] == [201, 500, 201]
    assert answers[1][1] == failure
    assert sorted(row["n"] for row in rows) == [1, 2]
    assert "cannot be stored" in caplog.text
    assert "private words" not in caplog.text


def test_no_request_is_divided_among_transactions():
    batches = []

    def add(new):
        batches.append(list(new))
        if "poison" in new:
            raise ValueError("cannot be stored")
        return [f"id of {log}" for log in new]

    async def main():
        commits = GroupCommit(add)
        answers = await asyncio.gather(
            commits.add_all(["a", "poison"]),
            commits.add("b"),
            commits.add_all(["c", "d"]),
            commits.add_all([f"e{n}" for n in range(996)]),
            commits.add_all([f"f{n}" for n in range(2000)]),
            commits.add("g"),
            return_exceptions=True,
        )
        await commits.close()
        return answers

    poison, b, two, many, more, last = asyncio.run(main())
    assert isinstance(poison, ValueError)
    assert (b, two, last) == ("id of b", ["id of c", "id of d"], "id of g")
    assert many == [f"id of e{n}" for n in range(996)]
    assert more == [f"id of f{n}" for n in range(2000)]
    assert [len(batch) for batch in batches] == [5, 2, 1, 2, 996, 2000, 1]


def test_nobody_waits_while_a_large_bulk_is_read(database):
    store = Store.open(database)
    reading, go_on = threading.Event(), threading.Event()

    class Slow(Handler):
        def begin(self, request, admission=None):
            if len(request.body or b"") > 2 * 1024**2:
                reading.set()
                assert go_on.wait(DEADLINE)
            return super().begin(request, admission)

    async def main():
        runner, url = await serve(store, Slow())
        async with client() as session:
            logs = [{"n": n, "x": "x" * 10_000} for n in range(500)]
            slow = asyncio.create_task(asyncio.to_thread(bulk, url, {"logs": logs}))
            await asyncio.to_thread(until, reading.is_set)
            single = await post(session, url, "create", {"n": 1})
            assert not slow.done()
            go_on.set()
            answers = await slow, single
        await runner.cleanup()
        return answers

    try:
        slow, single = asyncio.run(asyncio.wait_for(main(), DEADLINE))
    finally:
        go_on.set()
        store.close()
    assert (slow.status, slow.json) == (201, accepted(500))
    assert single[0] == 201


def test_the_handler_needs_no_network():
    store, handler = Store.open("sqlite://"), Handler()
    try:

        def send(method, path, body=None):
            return handler.handle(
                HTTPRequest(
                    method=method,
                    url=f"http://anywhere/api/request-logs/{path}",
                    headers={"Authorization": "Bearer k"},
                    body=body,
                ),
                store,
            )

        made = send("POST", "bulk/", bulk_of(b'{"n": 1}', b"1"))
        assert (made.status, json.loads(made.body)["success_count"]) == (201, 1)
        assert send("POST", "bulk/").status == 400
        assert send("POST", "bulk/", large(LIMIT + 1)).status == 413
        assert b'"count": 1' in send("GET", "list/").body
    finally:
        store.close()
