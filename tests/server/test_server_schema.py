"""Versions of the tables: made once, compared at each start, brought up to date."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from server_tools import clean_environment, create, get, listed

from keywordsai.errors import ConfigurationError
from keywordsai.server import schema
from keywordsai.server.app import serve_in_thread
from keywordsai.server.engines import connect, parse_url
from keywordsai.server.migrations import NEWEST, VERSION_TABLE
from keywordsai.server.store import Store

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
