"""Disks that are full, and folders that cannot be written: memory from then on."""

import contextlib
import os
import pathlib
import signal
import subprocess

import pytest
from faults import HEALTHY, REFUSE, FaultServer
from programs import FLUSH, LARGE, LOGS, WARN, Programs, agrees, left_in

MEMORY = "logs wait in memory from now on"


@pytest.fixture
def server():
    with FaultServer() as made:
        yield made


@pytest.fixture
def programs(server, tmp_path):
    with Programs(server.url, tmp_path / "spool") as made:
        yield made


def goes_on_in_memory(programs, *texts, **options):
    """All 200 are taken and delivered, with one warning."""
    program = programs.start(WARN, *texts, LARGE, **options)
    created, flushed = program.end()
    assert len(program.complaints) == 1, program.stderr
    (warning,) = program.complaints
    assert MEMORY in warning
    assert agrees(created)
    assert created["accepted"] == flushed["delivered"] == LOGS
    assert flushed["pending"] == 0


@pytest.mark.parametrize("size", [40_000, 200_000])
def test_a_limit_to_the_size_of_files(server, programs, size):
    """At 40 kB the file is not even begun: what SQLite shares has 32 kB."""
    limit = f"""
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
    """
    goes_on_in_memory(programs, limit)
    server.check(range(LOGS))
    # What could not be taken out is sent again, under the same key.
    programs.run(FLUSH)
    server.check(range(LOGS))
    assert left_in(programs.folder) == ["salt"]


@pytest.fixture
def tiny(tmp_path):
    """A disk of 256 kB."""
    path = tmp_path / "tiny"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk(server, programs, tiny):
    goes_on_in_memory(programs, folder=tiny / "spool")
    server.check(range(LOGS))
    programs.run(FLUSH, folder=tiny / "spool")
    server.check(range(LOGS))


def test_a_disk_that_is_full_from_the_beginning(server, programs, tiny):
    (tiny / "filler").write_bytes(b"x" * 256 * 1024)
    goes_on_in_memory(programs, folder=tiny / "spool")
    server.check(range(LOGS))


def test_a_full_disk_with_what_a_dead_process_left(server, programs, tiny):
    """It is delivered once there is room; until then it is warned of once."""
    text = (
        "client = connect(); [client.create(log(n)) for n in range(1000, 1010)]; say()"
    )
    server.be(REFUSE)
    dead = programs.start(text + "; time.sleep(60)", folder=tiny)
    dead.hear()
    dead.kill()
    dead.end(code=-signal.SIGKILL)
    for path in tiny.glob("*-shm"):  # as after a start of the computer
        path.unlink()
    filler = tiny / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:  # until it is full
            file.write(b"x" * 512)
    server.be(HEALTHY)
    program = programs.start(
        WARN,
        "from keywordsai.delivery import spools; spools._LOOK_EVERY = 0.1",
        LARGE,
        f"""
        sys.stdin.readline()
        while client.stats().accepted < {LOGS + 10}:
            time.sleep(0.01)
        say(**sums(client.flush(10)))
        """,
        folder=tiny,
    )
    program.hear()
    program.hear()
    filler.unlink()
    program.tell()
    (flushed,) = program.end()
    assert flushed["delivered"] == flushed["accepted"] == LOGS + 10
    server.check([*range(LOGS), *range(1000, 1010)])
    assert len([line for line in program.complaints if MEMORY in line]) == 1
    assert len(program.complaints) <= 2, program.stderr


def below_a_file(tmp_path):
    (tmp_path / "file").write_text("no folder")
    return tmp_path / "file" / "spool"


def on_a_disk_of_the_system(_tmp_path):
    return pathlib.Path("/proc/keywordsai")


@pytest.mark.parametrize("path", [below_a_file, on_a_disk_of_the_system])
def test_a_folder_that_cannot_be_made(server, programs, tmp_path, path):
    goes_on_in_memory(programs, folder=path(tmp_path))
    server.check(range(LOGS))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_of_somebody_else(server, programs, tmp_path):
    folder = tmp_path / "spool"
    folder.mkdir(mode=0o700)
    become = """
    with connect(spool="") as first:  # imports all there is, as long as it can be read
        first.create(log(1000))
    os.setuid(65534)
    """
    goes_on_in_memory(programs, become)
    server.check(range(LOGS))
    assert left_in(folder) == []
