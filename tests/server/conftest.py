from __future__ import annotations

import os
import subprocess
import sys

import pytest
from databases import DATABASES, OF_ANY_TEST, fresh, in_memory, postgresql

from keywordsai.server.app import serve_in_thread

__all__ = ["postgresql"]  # a fixture

PUBLISHED = "1.0.4"
UNREACHABLE = (
    "connection broken by",
    "Temporary failure in name resolution",
    "Could not fetch URL",
)


@pytest.fixture(scope="session", params=OF_ANY_TEST)
def shared_url(request, tmp_path_factory):
    """A server for tests that do not mind each other's logs."""
    folder = tmp_path_factory.mktemp("shared")
    with (
        fresh(request, request.param, folder) as database,
        serve_in_thread(database=in_memory(database)) as url,
    ):
        yield url


@pytest.fixture(params=OF_ANY_TEST)
def url(request, tmp_path):
    """A server without logs."""
    with (
        fresh(request, request.param, tmp_path) as database,
        serve_in_thread(database=in_memory(database)) as url,
    ):
        yield url


@pytest.fixture(params=DATABASES)
def database(request, tmp_path):
    """The URL of an empty database: of SQLite in a file, then of PostgreSQL."""
    with fresh(request, request.param, tmp_path) as url:
        yield url


@pytest.fixture(params=["memory", *DATABASES])
def any_database(request, tmp_path):
    """As `database`, and before them one of SQLite in memory."""
    if request.param == "memory":
        yield "sqlite://"
    else:
        with fresh(request, request.param, tmp_path) as url:
            yield url


@pytest.fixture
def sqlite_file(tmp_path):
    """The URL of an empty database of SQLite, for what only that has."""
    return f"sqlite:///{tmp_path / 'logs.db'}"


@pytest.fixture(scope="session")
def published_python(pytestconfig, tmp_path_factory):
    """The interpreter of an environment with the published SDK, made once and kept."""
    name = f"keywordsai-{PUBLISHED}-py{sys.version_info[0]}{sys.version_info[1]}"
    cache = getattr(pytestconfig, "cache", None)
    folder = (cache.mkdir(name) if cache else tmp_path_factory.mktemp(name)).absolute()
    python, done = folder / "bin" / "python", folder / "installed"
    if (
        done.exists()
        and subprocess.run(
            [python, "-c", "import keywordsai"], cwd=folder, check=False
        ).returncode
        == 0
    ):
        return python
    done.unlink(missing_ok=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    install = subprocess.run(
        [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--retries",
            "2",
            f"keywordsai=={PUBLISHED}",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if install.returncode != 0:
        said = install.stdout + install.stderr
        if (
            any(words in said for words in UNREACHABLE)
            and os.environ.get("CI") != "true"
        ):
            pytest.skip(
                f"the package index cannot be reached, and keywordsai {PUBLISHED} is not installed yet"
            )
        pytest.fail(f"keywordsai {PUBLISHED} could not be installed:\n{said}")
    done.touch()
    return python
