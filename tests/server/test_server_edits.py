"""Logs changed and removed, with all that there is of them in every table."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest
import sqlalchemy as sa

from keywordsai.server.ids import IdSource
from keywordsai.server.indexing import index_of
from keywordsai.server.newlogs import NewLog
from keywordsai.server.query import Condition, ListQuery, Selection
from keywordsai.server.store import Store
from keywordsai.server.tables import metadata

HOUR = 3_600_000_000
NOW = 1_764_000_000_000_000
LONG = "Ä long text: " * 50  # has a row of its own in every table
new_id = IdSource()


@pytest.fixture
def store(any_database):
    store = Store.open(any_database)
    yield store
    store.close()


def new_log(*, at=NOW, **body):
    full = {"note": LONG, "metadata": {"text": LONG}, **body}
    return NewLog(
        id=new_id(), timestamp=at, body=json.dumps(body), index=index_of(full)
    )


def rows(store):
    """How many rows there are in each table, but of the counts."""
    with store._reader.connect() as connection:
        return {
            name: connection.execute(
                sa.select(sa.func.count()).select_from(table)
            ).scalar_one()
            for name, table in metadata.tables.items()
            if name != "log_counts"
        }


def count(store, selection=None):
    """How many logs there are, as the store says, which counts them by the hour."""
    query = ListQuery(
        selection=selection or Selection(),
        page=1,
        page_size=1,
        sort_by="id",
        descending=True,
        include_fields=None,
        url="http://localhost/",
    )
    return store.find(query).count


def found(store, field, value):
    condition = Condition(field=field, values=(value,))
    return count(store, Selection(conditions=(condition,)))


def test_a_changed_log_is_found_by_what_it_has_become(store):
    log = new_log(model="m", custom_identifier="before")
    others = [new_log(model="m") for _ in range(3)]
    store.add([*others, log])
    seen = []

    def edit(stored):
        seen.append(stored)
        full = {"model": "m", "custom_identifier": "after", "note": "short"}
        changes = {"custom_identifier": "after"}
        return attrs.evolve(log, index=index_of(full), changes=json.dumps(changes))

    before = rows(store)
    assert store.change(log.id, edit)
    assert [(stored.id, stored.changes) for stored in seen] == [(log.id, None)]
    stored = store.find_one(log.id)
    assert (stored.body, stored.timestamp) == (log.body, log.timestamp)
    assert json.loads(stored.changes) == {"custom_identifier": "after"}
    assert found(store, "custom_identifier", "after") == 1
    assert found(store, "custom_identifier", "before") == 0
    assert found(store, "note", "short") == 1
    assert found(store, "note", LONG) == 3
    assert count(store) == 4
    after = rows(store)
    assert after["logs"] == after["log_bodies"] == 4
    assert after["log_texts"] < before["log_texts"]


def test_no_change_is_lost_among_many_at_once(store):
    log = new_log()
    store.add([log])

    def add_key(n):
        def edit(stored):
            changes = {**json.loads(stored.changes or "{}"), f"k{n}": n}
            full = {"metadata": changes}
            return attrs.evolve(log, index=index_of(full), changes=json.dumps(changes))

        assert store.change(log.id, edit)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_key, range(24)))
    assert len(json.loads(store.find_one(log.id).changes)) == 24
    assert found(store, "metadata__k7", 7) == 1


def test_a_change_that_fails_changes_nothing(store):
    log = new_log(model="m")
    store.add([log])
    before = rows(store)

    def fail(_):
        raise ValueError("a made-up reason")

    with pytest.raises(ValueError, match="made-up"):
        store.change(log.id, fail)
    assert rows(store) == before
    assert store.find_one(log.id).changes is None


def test_a_removed_log_is_gone_from_every_table(store):
    logs = [new_log(model="m", metadata={"n": n, "text": LONG}) for n in range(3)]
    store.add(logs)
    third = {name: number / 3 for name, number in rows(store).items()}
    assert all(third.values())
    assert store.remove(logs[1].id)
    assert not store.remove(logs[1].id)
    assert store.find_one(logs[1].id) is None
    assert rows(store) == {name: number * 2 for name, number in third.items()}
    assert count(store) == 2


@pytest.mark.parametrize("log_id", ["", "x", "0" * 32, "f" * 32])
def test_an_unknown_log(store, log_id):
    store.add([new_log()])
    assert not store.remove(log_id)
    assert not store.change(log_id, lambda stored: pytest.fail("there is none"))
    assert count(store) == 1


def test_old_logs_are_removed_little_by_little(store):
    old = [new_log(at=NOW - n * HOUR // 100) for n in range(1, 1201)]
    store.add([*old, new_log(at=NOW), new_log(at=NOW + 1)])
    removed = []
    while removed[-1:] != [0]:
        removed.append(store.prune(NOW))
        assert sum(removed) + count(store) == 1202
    assert sum(removed) == 1200
    assert max(removed) <= 500
    assert count(store) == 2
    assert rows(store)["log_attributes"] == 4
    assert rows(store)["log_bodies"] == 2


def test_several_processes_remove_old_logs_at_once(database):
    stores = [Store.open(database) for _ in range(4)]
    try:
        stores[0].add([new_log(at=NOW - 1 - n) for n in range(3000)])
        stores[0].add([new_log(at=NOW)])

        def prune(store):
            removed = 0
            while some := store.prune(NOW):
                removed += some
            return removed

        with ThreadPoolExecutor(4) as pool:
            removed = list(pool.map(prune, stores))
        while some := stores[0].prune(NOW):  # what the others still had in hand
            removed.append(some)
        assert sum(removed) == 3000
        assert count(stores[0]) == 1
        assert rows(stores[0])["log_bodies"] == 1
    finally:
        for store in stores:
            store.close()
