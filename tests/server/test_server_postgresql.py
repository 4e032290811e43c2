"""What only a database that is another program can do: go away, and be shared."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from databases import refuse_poison
from server_tools import NOT_NOW, call, create, listed, serving, until

from keywordsai.errors import ConfigurationError
from keywordsai.server.engines import (
    connect,
    copy_rows,
    is_of_database,
    parse_url,
    shown,
)
from keywordsai.server.ids import IdSource
from keywordsai.server.indexing import index_of
from keywordsai.server.newlogs import NewLog
from keywordsai.server.store import Store
from keywordsai.server.tables import counts

new_id = IdSource()


@pytest.fixture
def on_postgresql(postgresql):
    with postgresql.database() as url:
        yield url


def new_log(digest=None, **body):
    return NewLog(
        id=new_id(),
        timestamp=10**15,
        body=json.dumps(body),
        index=index_of(body),
        idempotency=digest,
    )


def test_it_goes_on_after_the_database_was_restarted(postgresql, on_postgresql):
    with serving(on_postgresql) as (_, url):
        create(url, {"n": 1})
        postgresql.stop()
        answer = call(f"{url}/request-logs/create", "POST", {"n": 2})
        assert (answer.status, answer.json) == (503, NOT_NOW)
        assert answer.headers["Retry-After"] == "2"
        assert call(f"{url}/request-logs/list").status == 503
        page = call(f"{url}/logs", key=None)
        assert (page.status, page.headers["Retry-After"]) == (503, "2")
        assert b"Reload this page in a moment." in page.body
        assert call(f"{url}/healthz").status == 200
        postgresql.start()
        create(url, {"n": 3})
        until(lambda: listed(url)["count"] == 2)


def test_a_connection_that_is_cut_is_no_fault_of_the_logs(on_postgresql):
    store = Store.open(on_postgresql)
    cut = sa.text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    def written(connection):
        connection.execute(sa.text("INSERT INTO log_counts VALUES (1, 1, 1, 1, 1)"))

    def copied(connection):
        copy_rows(connection, counts, [(hour, 1, 1, 1, 1) for hour in range(30)])

    def cut_before(write):
        with store.writing() as connection:
            connection.execute(sa.text("SELECT 1"))
            with store.reading() as other:
                other.execute(cut)
            write(connection)

    for write in (written, copied):
        with pytest.raises(sa.exc.DBAPIError) as raised:
            cut_before(write)
        assert is_of_database(raised.value)
    store.close()


def test_many_stores_agree_on_one_log_for_each_digest(on_postgresql):
    """Though each has them in another order, and all at once."""
    digests = [f"digest {n}" for n in range(50)]
    stores = [Store.open(on_postgresql) for _ in range(4)]
    orders = [digests, digests[::-1], digests[25:] + digests[:25], sorted(digests)]

    def add(store, order):
        added = {}
        for _ in range(5):
            ids = store.add([new_log(digest, model="m") for digest in order])
            added.update(zip(order, ids, strict=True))
        return added

    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(add, stores, orders))
        assert found == [found[0]] * 4
        with stores[0].reading() as connection:
            for table in ("logs", "log_bodies"):
                count = connection.exec_driver_sql(f"SELECT count(*) FROM {table}")
                assert count.scalar_one() == 50
            counted = connection.exec_driver_sql("SELECT sum(count) FROM log_counts")
            assert counted.scalar_one() == 50
    finally:
        for store in stores:
            store.close()


def test_an_error_quotes_no_value(database):
    store = Store.open(database)
    try:
        refuse_poison(store._writer)
        with pytest.raises(sa.exc.DBAPIError, match="cannot be stored") as caught:
            store.add([new_log(model="poison", customer_identifier="private words")])
        assert "private" not in str(caught.value)
        assert "private" not in repr(caught.value.orig)
    finally:
        store.close()


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql", "postgres"])
def test_no_secret_of_the_url_is_shown(scheme, tmp_path):
    pytest.importorskip("psycopg")
    url = f"{scheme}://user:pa55word@/name?host={tmp_path}&password=hidden"
    with pytest.raises(ConfigurationError) as refused:
        Store.open(url)
    said = str(refused.value)
    assert said.startswith("database: cannot use postgresql+psycopg://user:***@/name: ")
    assert "pa55word" not in said
    assert "hidden" not in said


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://user:secret@host/name", "postgresql+asyncpg://x"]
)
def test_an_url_of_another_database_is_refused_with_what_is_allowed(url):
    with pytest.raises(ConfigurationError) as refused:
        parse_url(url)
    assert "sqlite:///keywordsai.db" in str(refused.value)
    assert "postgresql+psycopg://user@host/name" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_without_the_driver_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    url = parse_url("postgres://user@localhost/name")
    assert shown(url) == "postgresql+psycopg://user@localhost/name"
    with pytest.raises(ConfigurationError, match=r"keywordsai\[postgres\]"):
        connect(url)
