"""Files of the spool that cannot be read, or opened, or are not there any more."""

import contextlib
import os
import shutil
import signal
import sqlite3

import pytest
from faults import HEALTHY, REFUSE, FaultServer
from programs import FLUSH, LARGE, LOGS, WARN, Programs, agrees, left_in


@pytest.fixture
def server():
    with FaultServer() as made:
        yield made


@pytest.fixture
def programs(server, tmp_path):
    with Programs(server.url, tmp_path / "spool") as made:
        yield made


@pytest.fixture
def left_behind(server, programs):
    """The file of a process that was killed, with logs that were never sent."""
    server.be(REFUSE)
    program = programs.start(LARGE, "time.sleep(60)")
    program.hear()
    program.kill()
    program.end(code=-signal.SIGKILL)
    server.be(HEALTHY)
    (path,) = programs.folder.glob("*.db")
    return path


def garbage(path):
    path.write_bytes(b"no database " * 1000)
    path.with_name(path.name + "-wal").write_bytes(b"nor its log " * 1000)


def cut_short(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = path.stat().st_size
    assert size > 500_000
    os.truncate(path, size // 2 + 100)


@pytest.mark.parametrize("damage", [garbage, cut_short])
def test_a_corrupt_file_is_set_aside(server, programs, left_behind, damage):
    damage(left_behind)
    program = programs.start(WARN, LARGE.replace(f"range({LOGS})", "range(1000, 1200)"))
    _, flushed = program.end()
    (warning,) = program.complaints
    assert "could not be read and was set aside" in warning
    server.check(range(1000, 1200))
    assert flushed["accepted"] == flushed["delivered"] + sum(
        flushed["dropped"].values()
    )
    assert flushed["pending"] == 0
    names = left_in(programs.folder)
    assert "salt" in names
    assert left_behind.name + ".corrupt" in names
    assert all(name == "salt" or ".corrupt" in name for name in names)
    programs.run(FLUSH)  # of which nobody hears again


FEW_FILES = """
import keywordsai.delivery.client, keywordsai.transport.aiohttp, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
for spare in range(3, 12):
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        taken = []
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            for one in taken[:spare]:
                os.close(one)
        client = connect(exit_timeout=0)
        client.flush(0.1)
        client.create(log(1000 + spare))
        client.flush(0.1)
        for one in taken[spare:]:
            os.close(one)
        client.flush(10)
        os._exit(0 if client.stats().pending == 0 else 1)
    assert os.waitpid(child, 0)[1] == 0, spare
"""


def test_too_many_open_files(server, programs, left_behind):
    """What cannot be opened now is not corrupt for that."""
    programs.run(FEW_FILES)
    programs.run(FLUSH)
    server.check([*range(LOGS), *range(1003, 1012)])
    assert [name for name in left_in(programs.folder) if "corrupt" in name] == []


def test_an_empty_file_is_no_trouble(server, programs, left_behind):
    for path in programs.folder.glob("*.db-*"):
        path.unlink()
    os.truncate(left_behind, 0)
    programs.run(LARGE)
    server.check(range(LOGS))
    assert left_in(programs.folder) == ["salt"]


CHANGED_UNDER_ITS_FEET = (
    LARGE.rpartition("say")[0]
    + """
def create_and_flush(numbers):
    sys.stdin.readline()
    for number in numbers:
        assert client.create(log(number)) == {"message": "log queued"}
    say(**sums(client.flush(10)))

create_and_flush(range(1000, 1200))
create_and_flush(range(2000, 2200))
"""
)


def test_a_file_that_becomes_corrupt_while_it_is_used(server, programs):
    """What was only in it is counted as lost; logging goes on."""
    server.be(REFUSE)
    program = programs.start(WARN, CHANGED_UNDER_ITS_FEET)
    program.hear()
    (path,) = programs.folder.glob("*.db")
    garbage(path)
    server.be(HEALTHY)
    program.tell()
    first = program.hear()
    program.tell()
    (last,) = program.end()
    assert agrees(first)
    assert agrees(last)
    assert last["accepted"] == LOGS + 400
    assert last["pending"] == 0
    assert last["delivered"] == len(server.taken)
    assert set(last["dropped"]) <= {"corrupt"}
    server.check(range(2000, 2200))
    assert len(program.complaints) <= 2, program.stderr


def test_a_folder_that_is_removed_while_it_is_used(server, programs):
    server.be(REFUSE)
    program = programs.start(WARN, CHANGED_UNDER_ITS_FEET)
    program.hear()
    shutil.rmtree(programs.folder)
    server.be(HEALTHY)
    program.tell()
    first = program.hear()
    program.tell()
    (last,) = program.end()
    assert agrees(first)
    assert agrees(last)
    assert last["pending"] == 0
    server.check([*range(LOGS), *range(1000, 1200), *range(2000, 2200)])
    assert len(program.complaints) <= 1, program.stderr


def test_what_a_kill_leaves_beside_a_file_is_cleared_away(
    server, programs, left_behind
):
    """Killed between two removals: a lock, or a write-ahead log, without its file."""
    for n, ending in enumerate((".lock", ".db-wal", ".db-shm")):
        name = left_behind.name.removesuffix(".db")[:-1] + str(n) + ending
        (programs.folder / name).touch(mode=0o600)
    programs.run(FLUSH)
    server.check(range(LOGS))
    assert left_in(programs.folder) == ["salt"]
