"""A full disk: an answer that says so, nothing stored by half, and on when it can."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from server_tools import call, children, create, get, listed, serving, stopped, until

from keywordsai.server.commits import GroupCommit
from keywordsai.server.engines import StoreFull

FULL = {"detail": "The server's disk is full; nothing was stored"}
SIZE = 32 * 1024**2
# PostgreSQL would compress anything plainer.
LOG = {"prompt": "private words " + random.Random(1).randbytes(25_000).hex()}

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="full disks are made with what Linux has"
)


def post(url, path, body):
    return call(f"{url}/api/request-logs/{path}/", "POST", body)


def fill_up(url):
    """Create logs until there is no room: their ids."""
    made = []
    while (answer := post(url, "create", LOG)).status == 201:
        made.append(answer.json["id"])
        assert len(made) < 10_000
    assert (answer.status, answer.json) == (503, FULL)
    assert answer.headers["Retry-After"] == "30"
    return made


def shows_that_it_is_full(url, make_room):
    """Fill the disk that a server writes to, look at it, make room, and go on."""
    made = fill_up(url)
    bulk = {"logs": [{**LOG, "n": n} for n in range(200)]}
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: post(url, "bulk", bulk), range(20)))
    assert {(answer.status, answer.json["detail"]) for answer in answers} == {
        (503, FULL["detail"])
    }
    assert listed(url, start_time="1970-01-01")["count"] == len(made)
    assert call(f"{url}/healthz").status == 200
    make_room()
    made.append(create(url, LOG))
    assert post(url, "bulk", bulk).json["success_count"] == 200
    assert listed(url, start_time="1970-01-01")["count"] == len(made) + 200
    return made


@contextlib.contextmanager
def small_disk():
    """A folder on a disk of its own, half of which a file takes up."""
    folder = Path(tempfile.mkdtemp(prefix="keywordsai-disk-", dir="/tmp"))
    try:
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder]
        done = subprocess.run(mounting, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
        try:
            (folder / "ballast").write_bytes(bytes(SIZE // 2))
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
    finally:
        folder.rmdir()


def test_sqlite_on_a_full_disk():
    with small_disk() as disk:
        database = f"sqlite:///{disk / 'logs.db'}"
        with serving(database) as (process, url):
            made = shows_that_it_is_full(url, (disk / "ballast").unlink)
            code, _, said = stopped(process)
            assert code == 0
            assert "disk is full" in said
            assert "private words" not in said
        with serving(database) as (_, url):
            assert [get(url, log_id)["id"] for log_id in made] == made


def test_sqlite_at_the_limit_of_a_file(sqlite_file):
    """Where a quota ends, or the longest file, SQLite speaks of an I/O error."""
    with serving(sqlite_file) as (process, url):
        limits = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        both = [process.pid, until(lambda: children(process.pid))[0]]

        def set_limit(size):
            for pid in both:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, limits[1]))

        set_limit(2 * 1024**2)
        shows_that_it_is_full(url, lambda: set_limit(limits[0]))


def test_postgresql_on_a_full_disk(postgresql):
    with small_disk() as disk:
        place = disk / "space"
        place.mkdir()
        if os.getuid() == 0:
            shutil.chown(place, "postgres", "postgres")
            disk.chmod(0o755)
        postgresql.run(f"CREATE TABLESPACE small LOCATION '{place}'")
        try:
            with (
                postgresql.database(tablespace="small") as database,
                serving(database) as (process, url),
            ):
                shows_that_it_is_full(url, (disk / "ballast").unlink)
                code, _, said = stopped(process)
                assert code == 0
                assert "disk is full" in said
                assert "private words" not in said
        finally:
            postgresql.run("DROP TABLESPACE small")


def test_where_there_is_no_room_no_log_is_tried_twice():
    tried = []

    def add(new):
        tried.append(list(new))
        raise StoreFull

    async def main():
        commits = GroupCommit(add)
        answers = await asyncio.gather(
            *(commits.add(n) for n in range(50)), return_exceptions=True
        )
        await commits.close()
        return answers

    answers = asyncio.run(main())
    assert [type(answer) for answer in answers] == [StoreFull] * 50
    assert [n for batch in tried for n in batch] == list(range(50))
