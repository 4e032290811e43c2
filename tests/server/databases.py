"""The databases that the server's tests run over: SQLite, and a real PostgreSQL.

By default only what a database may well do differently is tested over both;
``TEST_DATABASES=sqlite,postgresql`` tests all over both, ``TEST_DATABASES=sqlite``
leaves PostgreSQL out, and ``TEST_DATABASES=postgresql`` leaves out what the other
environments of tox do with SQLite, as its environment ``server`` does.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

_ASKED = os.environ.get("TEST_DATABASES")
DATABASES = (_ASKED or "sqlite,postgresql").split(",")
OF_ANY_TEST = (_ASKED or "sqlite").split(",")
_DEADLINE = 60.0
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/*/bin")
# Runs a program until standard input ends: so does it if the tests are killed.
_WHILE_WANTED = '"$@" <&- & read -r _; kill -INT $!; wait $!'
# Nothing of it need outlive the tests.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "autovacuum": "off",
}


def missing(what):
    """Skip for want of a program; where CI is to have it, fail."""
    if os.environ.get("CI") == "true" and "postgresql" in DATABASES:
        pytest.fail(what)
    pytest.skip(what)


def programs():
    """The folder with PostgreSQL's programs, the newest there is, or None."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    folders = [folder for place in _PLACES for folder in Path("/").glob(place[1:])]
    folders = [folder for folder in folders if (folder / "initdb").exists()]
    return max(folders, key=lambda folder: _version(folder.parent.name), default=None)


def _version(name):
    digits = "".join(c if c.isdigit() or c == "." else " " for c in name).split()
    return [int(part) for part in digits[0].split(".") if part] if digits else [0]


class Cluster:
    """A PostgreSQL of its own, reached by a socket in a private folder."""

    def __init__(self, bindir, folder):
        self.bindir = bindir
        self.folder = folder
        self.process = None
        self._numbers = itertools.count()
        # PostgreSQL refuses to run as root.
        self._as = {"cwd": folder, "env": {**os.environ, "LC_ALL": "C.UTF-8"}}
        if os.getuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
            self._as |= {"user": "postgres", "group": "postgres", "extra_groups": []}

    def make(self):
        """Lay out the data folder."""
        subprocess.run(
            [
                *(self.bindir / "initdb", "--pgdata", self.folder / "data"),
                *("--username", "postgres", "--auth", "trust", "--no-sync"),
                *("--encoding", "UTF8", "--locale", "C.UTF-8", "--no-instructions"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            **self._as,
        )

    def start(self):
        """Start, and wait until it takes connections."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *("sh", "-c", _WHILE_WANTED, "sh"),
                    *(self.bindir / "postgres", "-D", self.folder / "data"),
                    *("-k", self.folder),
                    *(f"--{name}={value}" for name, value in _SETTINGS.items()),
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C ends the tests first
                **self._as,
            )
        end = time.monotonic() + _DEADLINE
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError((self.folder / "log").read_text())
            time.sleep(0.02)

    def _ready(self):
        asked = [self.bindir / "pg_isready", "-q", "-h", self.folder]
        return subprocess.run(asked, check=False).returncode == 0

    def stop(self):
        """Stop, which cuts every connection."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(_DEADLINE)
            self.process = None

    def run(self, statement, name="postgres"):
        """Run a statement in a database, by default in none of a test."""
        import psycopg

        with psycopg.connect(
            host=str(self.folder), user="postgres", dbname=name, autocommit=True
        ) as connection:
            connection.execute(statement)

    @contextlib.contextmanager
    def database(self, tablespace="pg_default"):
        """An empty database: gives its URL, and removes it at the end."""
        name = f"test_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TABLESPACE {tablespace}")
        try:
            yield f"postgresql+psycopg://postgres@/{name}?host={self.folder}"
        finally:
            if self.process is not None:
                self.run(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def cluster():
    """A cluster that runs for as long as the context lasts."""
    bindir = programs()
    if bindir is None:
        missing("PostgreSQL is not installed (Debian's package: postgresql)")
    if importlib.util.find_spec("psycopg") is None:
        missing("psycopg is not installed (the extra postgres)")
    # Not below pytest's folder, which no other user may enter; nor below a long
    # name, for that of a socket is short.
    folder = Path(tempfile.mkdtemp(prefix="keywordsai-postgresql-", dir="/tmp"))
    made = Cluster(bindir, folder)
    try:
        made.make()
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgresql():
    """A cluster that tests share; each takes a database of its own."""
    with cluster() as running:
        yield running


@contextlib.contextmanager
def fresh(request, kind, folder):
    """A database of that kind that nobody used before: gives its URL."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'logs.db'}"
    else:
        with request.getfixturevalue("postgresql").database() as url:
            yield url


def contents(database, folder):
    """All that is stored, as bytes to look for words in."""
    if database.startswith("sqlite"):
        return b"".join(path.read_bytes() for path in folder.iterdir())
    url = database.replace("postgresql+psycopg", "postgresql")
    dump = [programs() / "pg_dump", "--dbname", url]
    return subprocess.run(dump, check=True, capture_output=True).stdout


def refuse_poison(engine):
    """Have the database itself refuse logs of the model "poison"."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql(
                "CREATE TRIGGER refuse BEFORE INSERT ON logs WHEN NEW.model = 'poison' "
                "BEGIN SELECT RAISE(ABORT, 'cannot be stored'); END"
            )
            return
        connection.exec_driver_sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE 'cannot be stored' USING DETAIL = to_jsonb(NEW)::text; END $$"
        )
        connection.exec_driver_sql(
            "CREATE TRIGGER refuse BEFORE INSERT ON logs FOR EACH ROW "
            "WHEN (NEW.model = 'poison') EXECUTE FUNCTION refuse()"
        )


def in_memory(database):
    """For a server that is not restarted, SQLite need not write a file."""
    return "sqlite://" if database.startswith("sqlite") else database
