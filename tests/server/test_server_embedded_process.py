"""Whole programs that log into a file: forks, exits, kills, many at once."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from server_tools import DEADLINE, clean_environment, listed, serving, until

from keywordsai import LogAPI

FORKS = """
import os, threading
from keywordsai import LogAPI

client = LogAPI(base_url=URL)
client.create({"model": "parent"})
stop = threading.Event()

def work():
    while not stop.is_set():
        client.create({"model": "thread"})

threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
pids = []
for child in range(6):
    pid = os.fork()
    if pid == 0:
        try:
            for i in range(10):
                client.create({"model": f"child-{child}"})
            assert client.list(model=f"child-{child}").count == 10
            client.close()
            os._exit(0)
        finally:
            os._exit(1)
    pids.append(pid)
    client.create({"model": "parent"})
codes = [os.waitpid(pid, 0)[1] for pid in pids]
stop.set()
for thread in threads:
    thread.join()
assert codes == [0] * 6, codes
assert client.list(model="parent").count == 7
print(client.list(page_size=1).count - client.list(model="thread").count)
"""

MEMORY = """
import os
from keywordsai import LogAPI

client = LogAPI(base_url="sqlite://")
client.create({"model": "before"})
pid = os.fork()
client.create({"model": "after"})
if pid == 0:
    os._exit(client.list().count)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
print(client.list().count)
"""

BACKGROUND_FORKS = """
import os
from keywordsai import LogAPI

client = LogAPI(base_url=URL, block=False, exit_timeout=20)
client.create({"model": "parent"})
pid = os.fork()
for i in range(50):
    client.create({"model": "child" if pid == 0 else "parent"})
client.close()
if pid:
    assert os.waitpid(pid, 0)[1] == 0
    print(client.stats().delivered)
"""

EXIT = """
import asyncio, atexit, threading
from keywordsai import LogAPI

client = LogAPI(base_url=URL, block=BLOCK, exit_timeout=20)
atexit.register(lambda: client.create({"model": "late"}))
for i in range(200):
    client.create({"model": "sync"})

async def main():
    await asyncio.gather(*(client.acreate({"model": "async"}) for _ in range(50)))

asyncio.run(main())
print("done")
"""

WRITER = """
import sys, threading
from keywordsai import LogAPI

with LogAPI(base_url=URL) as client:
    def work():
        for i in range(40):
            client.create({"model": sys.argv[1]})
    threads = [threading.Thread(target=work) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""

FOR_EVER = """
from keywordsai import LogAPI

client = LogAPI(base_url=URL)
while True:
    print(client.create({"model": "gpt-4"})["id"], flush=True)
"""


def program(code, database, *arguments, **names):
    head = "".join(f"{name} = {value!r}\n" for name, value in {"URL": database, **names}.items())  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", head + code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )


def finished(process):
    with process:
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert (process.returncode, err) == (0, ""), out + err
    return out.strip()


def count(database, **query):
    with LogAPI(base_url=database) as client:
        return client.list(page_size=1, **query).count


def test_children_of_a_program_whose_threads_are_logging(database):
    assert finished(program(FORKS, database)) == "67"
    assert count(database) == 67 + count(database, model="thread")


def test_a_child_has_a_copy_of_what_is_in_memory():
    assert finished(program(MEMORY, "sqlite://")) == "2"


def test_the_queue_in_a_forked_child(database):
    assert finished(program(BACKGROUND_FORKS, database)) == "51"
    assert (count(database, model="parent"), count(database, model="child")) == (51, 50)


@pytest.mark.parametrize("block", [True, False])
def test_a_program_that_just_ends_loses_nothing(sqlite_file, tmp_path, block):
    assert finished(program(EXIT, sqlite_file, BLOCK=block)) == "done"
    assert [path.name for path in tmp_path.iterdir()] == ["logs.db"]
    assert count(sqlite_file) == 251


def test_processes_that_begin_a_new_file_at_once(database):
    writers = [program(WRITER, database, f"w{i}") for i in range(4)]
    for writer in writers:
        finished(writer)
    for i in range(4):
        assert count(database, model=f"w{i}") == 80


def test_what_was_answered_outlives_a_kill(database):
    process = program(FOR_EVER, database)
    acknowledged = [process.stdout.readline().strip() for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate(timeout=DEADLINE)
    acknowledged += [line for line in rest.split("\n")[:-1] if line]
    with LogAPI(base_url=database) as client:
        for log_id in acknowledged:
            assert client.get(log_id).model == "gpt-4"


def test_serve_shows_the_file_while_it_is_written(database):
    with LogAPI(base_url=database) as client:
        client.create({"model": "before"})
        with serving(database) as (_process, url):
            assert [row["model"] for row in listed(url)["results"]] == ["before"]
            client.create({"model": "meanwhile"})
            rows = listed(url)["results"]
            assert [row["model"] for row in rows] == ["meanwhile", "before"]
            with LogAPI("any", url) as remote:
                remote.create({"model": "remote"})
            assert until(lambda: client.list().count == 3)


WITHOUT = """
import sys
sys.modules["sqlalchemy"] = None
from keywordsai import ConfigurationError, LogAPI
try:
    LogAPI(base_url=URL)
except ConfigurationError as error:
    print(error)
"""


def test_without_the_extra_it_says_what_to_install(sqlite_file, tmp_path):
    said = finished(program(WITHOUT, sqlite_file))
    assert said.startswith("base_url is a database, which needs sqlalchemy: install")
    assert "keywordsai[server]" in said
    assert list(tmp_path.iterdir()) == []
