"""Databases of keywordsai 2.0.0: their logs are moved into the tables of now."""

from __future__ import annotations

import importlib
import json

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from keywordsai.server.engines import connect, parse_url
from keywordsai.server.query import Selection, read_list_query
from keywordsai.server.store import Store

MILLISECOND = f"{1_760_000_000_000:012x}"
# Of one millisecond, as that version made them: they differ behind the counter.
IDS = [f"{MILLISECOND}7abc8{n:015x}" for n in range(1200)]


def make_old_tables(database):
    engines = connect(parse_url(database))
    first = importlib.import_module("keywordsai.server.migrations.versions.v0001_first")
    with engines.writer.begin() as connection:
        with Operations.context(MigrationContext.configure(connection)):
            first.upgrade()
        old = sa.Table("logs", sa.MetaData(), autoload_with=connection)
        rows = [
            {
                "id": log_id,
                "created": n,
                "timestamp": n * 60_000_000,
                "idempotency": f"key {n}" if n % 2 else None,
                "body": json.dumps(
                    {"model": f"m{n % 3}", "timestamp": n * 60, "metadata": {"a": n}}
                ),
            }
            for n, log_id in enumerate(IDS)
        ]
        connection.execute(sa.insert(old), rows)
    engines.dispose()


def test_every_log_is_found_as_before(database):
    make_old_tables(database)
    Store.open(database).close()
    store = Store.open(database)

    def ids(query):
        found = store.find(read_list_query(f"http://x/?{query}", {}, now=2**50))
        return found.count, [log.id for log in found.logs]

    try:
        assert ids("sort_by=id&page_size=1000") == (1200, IDS[:1000])
        assert ids("a=700") == (1, [IDS[700]])
        assert ids("model=m1&a[operator]=lt&a[value]=5") == (2, [IDS[4], IDS[1]])
        assert ids(f"id={IDS[5]}") == (1, [IDS[5]])
        assert ids("end_time=1970-01-01T00:01:00Z") == (2, [IDS[1], IDS[0]])
        assert all(store.find_one(log_id).id == log_id for log_id in IDS[::100])
        older = store.brief(Selection(), before=IDS[700], after=None, limit=2)
        assert [log.id for log in older] == [IDS[699], IDS[698]]
        with store._reader.connect() as connection:
            assert "logs_of_2_0_0" not in sa.inspect(connection).get_table_names()
    finally:
        store.close()
