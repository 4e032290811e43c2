"""Versions of the tables: made once, compared at each start, brought up to date."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from server_tools import KEY, clean_environment, create, get, listed

from keywordsai.errors import ConfigurationError
from keywordsai.server import schema
from keywordsai.server.app import serve_in_thread
from keywordsai.server.engines import connect, parse_url
from keywordsai.server.handler import Handler
from keywordsai.server.ids import IdSource
from keywordsai.server.migrations import NEWEST, VERSION_TABLE
from keywordsai.server.store import Store
from keywordsai.server.tables import metadata
from keywordsai.transport.base import HTTPRequest

EVER = {"start_time": "1970-01-01"}
NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9001"
down_revision = "{newest}"


def upgrade():
    op.add_column("logs", sa.Column("made_up", sa.Text))
    op.execute("UPDATE logs SET made_up = 'upgraded'")
"""


@pytest.fixture
def engines(database):
    engines = connect(parse_url(database))
    yield engines
    engines.dispose()


def run(engines, *statements):
    with engines.writer.begin() as connection:
        return [connection.exec_driver_sql(statement) for statement in statements]


def versions(engines):
    with engines.reader.connect() as connection:
        query = sa.text(f"SELECT version_num FROM {VERSION_TABLE}")
        return connection.execute(query).scalars().all()


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """A version of the program whose tables are a made-up version further."""
    folder = tmp_path / "migrations"
    shutil.copytree(schema._FOLDER, folder)
    (folder / "versions" / "v9001_made_up.py").write_text(NEXT.format(newest=NEWEST))

    def upgrade_the_program():
        monkeypatch.setattr(schema, "_FOLDER", folder)
        monkeypatch.setattr(schema, "NEWEST", "9001")

    return upgrade_the_program


# As keywordsai 2.0.0 made them, in what both databases understand.
TEXTS = [
    "model",
    "log_type",
    "customer_identifier",
    "custom_identifier",
    "group_identifier",
    "thread_identifier",
    "trace_unique_id",
    "status",
    "environment",
    "prompt_id",
]
INTEGERS = ["status_code", "prompt_tokens", "completion_tokens", "total_request_tokens"]
NUMBERS = ["cost", "latency", "time_to_first_token", "tokens_per_second"]
OF_2_0_0 = [
    "CREATE TABLE logs (id VARCHAR(32) NOT NULL PRIMARY KEY, created BIGINT NOT NULL, timestamp BIGINT NOT NULL, idempotency VARCHAR(64) UNIQUE, "
    + "".join(f"{name} TEXT, " for name in TEXTS)
    + "".join(f"{name} BIGINT, " for name in INTEGERS)
    + "".join(f"{name} DOUBLE PRECISION, " for name in NUMBERS)
    + "body TEXT NOT NULL)",
    "CREATE INDEX ix_logs_created ON logs (created)",
    "CREATE INDEX ix_logs_timestamp ON logs (timestamp)",
    *(f"CREATE INDEX ix_logs_{name}_timestamp ON logs ({name}, timestamp)" for name in [*TEXTS[:7], "status_code"]),
    "CREATE TABLE log_attributes (log_id VARCHAR(32) NOT NULL REFERENCES logs (id), name TEXT NOT NULL, text TEXT NOT NULL, number DOUBLE PRECISION, PRIMARY KEY (log_id, name))",
    "CREATE INDEX ix_log_attributes_name_text ON log_attributes (name, text)",
    "CREATE INDEX ix_log_attributes_name_number ON log_attributes (name, number)",
]  # fmt: skip


def test_the_migrations_lead_to_the_tables(database, engines):
    """A new database is made at once; one that was brought up to date is like it."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with engines.writer.begin() as connection:
        schema._migrate(connection)
    assert versions(engines) == [NEWEST]
    with engines.reader.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": VERSION_TABLE,
                "compare_type": True,
                "compare_server_default": True,
            },
        )
        assert compare_metadata(context, metadata) == []


def definitions(engines):
    """Every table and index as the database itself says it."""
    asked = {
        "sqlite": "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL",
        "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' "
        "UNION ALL SELECT table_name || '.' || column_name, concat_ws(' ', data_type, collation_name, is_nullable) FROM information_schema.columns WHERE table_schema = 'public'",
    }
    with engines.reader.connect() as connection:
        found = connection.exec_driver_sql(asked[engines.reader.dialect.name]).all()
    # Of tables, SQLite keeps the words by which they were made.
    return {name: " ".join(str(sql).replace('"', "").split()) for name, sql in found}


def test_a_database_brought_up_to_date_is_as_a_new_one(database, engines):
    """Also where a comparison by Alembic does not look: collations, partial indexes."""
    with engines.writer.begin() as connection:
        schema._migrate(connection)
    upgraded = definitions(engines)
    with engines.writer.begin() as connection:
        metadata.drop_all(connection)
        connection.exec_driver_sql(f"DROP TABLE {VERSION_TABLE}")
    Store.open(database).close()
    assert definitions(engines) == upgraded


def test_the_logs_of_2_0_0_are_taken_over(database, engines):
    bodies = [{"model": "m", "n": n, "metadata": {"k": n % 3}} for n in range(1201)]
    new_id = IdSource()
    ids = [new_id() for _ in bodies]
    digest = (
        Handler()
        .begin(
            HTTPRequest(
                method="POST",
                url="http://localhost/request-logs/create/",
                headers={"Authorization": f"Bearer {KEY}", "Idempotency-Key": "once"},
                body=b"{}",
            )
        )
        .log.idempotency
    )
    with engines.writer.begin() as connection:
        for statement in OF_2_0_0:
            connection.exec_driver_sql(statement)
        connection.execute(
            sa.text("INSERT INTO logs (id, created, timestamp, idempotency, body) VALUES (:id, :at, :at, :digest, :body)"),
            [
                {"id": log_id, "at": 10**15 + n, "digest": None if n else digest, "body": json.dumps(body)}
                for n, (log_id, body) in enumerate(zip(ids, bodies, strict=True))
            ],
        )  # fmt: skip
        connection.execute(
            sa.text("INSERT INTO log_attributes (log_id, name, text) VALUES (:id, 'metadata__k', '0')"),
            {"id": ids[0]},
        )  # fmt: skip
    with serve_in_thread(database=database) as url:
        rows = listed(url, sort_by="id", page_size=1000, **EVER)
        assert rows["count"] == 1201
        assert [row["id"] for row in rows["results"]] == ids[:1000]
        assert listed(url, metadata__k=1, **EVER)["count"] == 400
        assert listed(url, model="m", **EVER)["count"] == 1201
        assert get(url, ids[-1])["as_sent"] == bodies[-1]
        assert create(url, {}, headers={"Idempotency-Key": "once"}) == ids[0]
    assert versions(engines) == [NEWEST]
    tables = sa.inspect(engines.reader).get_table_names()
    assert set(tables) == {*metadata.tables, VERSION_TABLE}


def test_a_new_database_is_of_the_newest_version(database, engines):
    Store.open(database).close()
    assert versions(engines) == [NEWEST]
    Store.open(database).close()
    assert versions(engines) == [NEWEST]


def test_an_upgrade_keeps_all_logs(database, engines, made_up):
    with serve_in_thread(database=database) as url:
        ids = [create(url, {"n": n, "model": "m"}) for n in range(20)]
    made_up()
    with serve_in_thread(database=database) as url:
        rows = listed(url, sort_by="id", model="m", **EVER)["results"]
        assert [row["id"] for row in rows] == ids
        assert [get(url, log_id)["as_sent"]["n"] for log_id in ids] == list(range(20))
    assert versions(engines) == ["9001"]
    with engines.reader.connect() as connection:
        found = connection.exec_driver_sql("SELECT DISTINCT made_up FROM logs")
        assert found.scalars().all() == ["upgraded"]


def test_an_upgrade_that_fails_changes_nothing(database, engines, made_up):
    with serve_in_thread(database=database) as url:
        create(url, {"n": 1})
    run(engines, "ALTER TABLE logs ADD COLUMN made_up TEXT")
    made_up()
    with pytest.raises(ConfigurationError, match="made_up"):
        Store.open(database)
    assert versions(engines) == [NEWEST]


def test_many_at_once_upgrade_once(database, engines, made_up):
    Store.open(database).close()
    made_up()
    with ThreadPoolExecutor(8) as pool:
        for store in pool.map(lambda _: Store.open(database), range(8)):
            store.close()
    assert versions(engines) == ["9001"]


def test_several_processes_start_at_once_on_a_new_database(database, engines):
    code = (
        "import sys\n"
        "from keywordsai.server.store import Store\n"
        "sys.stdin.readline()\n"
        f"Store.open({database!r}).close()\n"
        "print('alembic' in sys.modules)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
        for _ in range(5)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=60) for process in processes]
    assert ends == [("False\n", "")] * 5
    assert versions(engines) == [NEWEST]


@pytest.mark.parametrize("version", ["9999", "0000", "0", "nonsense"])
def test_other_versions_are_refused(database, engines, version, monkeypatch):
    Store.open(database).close()
    run(engines, f"UPDATE {VERSION_TABLE} SET version_num = '{version}'")
    with pytest.raises(ConfigurationError) as refused:
        Store.open(database)
    said = str(refused.value)
    assert said.startswith("database: cannot use ")
    if version == "9999":
        assert f"of version 9999, and this keywordsai knows them up to {NEWEST}" in said
        assert "upgrade keywordsai" in said
    assert versions(engines) == [version]


def test_tables_of_another_program_are_left_alone(database, engines):
    run(engines, "CREATE TABLE logs (something TEXT)")
    with pytest.raises(ConfigurationError, match="not this server's"):
        Store.open(database)
    assert sa.inspect(engines.reader).get_table_names() == ["logs"]
