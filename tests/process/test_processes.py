"""Whole programs, in Python's development mode with every warning an error.

Nothing may be on stderr at their end: no unclosed session, no closed loop.
"""

import os
import re
import subprocess
import sys
import textwrap

import pytest
from contract.wire import OK, Wire, replies

START = """
import asyncio, gc, os, sys, threading
from keywordsai import LogAPI
client = LogAPI(api_key="key-of-tests", base_url=sys.argv[1])
LOG = {"model": "gpt-4"}
"""


@pytest.fixture
def wire():
    with Wire(replies(OK)) as made:
        yield made


# asyncio finds this machine slow; Python dislikes a fork beside any other thread.
NOT_OURS = re.compile(r"^Executing <|use of fork\(\) may lead|^  (pid|child) = os.fork")


def heard(stderr):
    """The lines of ours."""
    lines = stderr.splitlines()
    return [line for line in lines if not NOT_OURS.search(line)]


@pytest.fixture
def run(wire):
    """Run a program against the server; it has to end well and say nothing."""

    def program(text, *, logs, dev=True, silent=True):
        flags = ["-X", "dev", "-W", "error"] if dev else []
        done = subprocess.run(
            [
                *(sys.executable, *flags, "-c", START + textwrap.dedent(text)),
                wire.origin.replace("127.0.0.1", "localhost"),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        if silent:
            assert heard(done.stderr) == []
        assert len(wire.requests) == logs
        return done

    return program


def test_two_runs_with_one_client_never_closed(run):
    run(
        """
        for _ in range(2):
            asyncio.run(client.acreate(LOG))
        """,
        logs=2,
    )


def test_a_loop_of_ones_own_closed_well(run):
    run(
        """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(client.acreate(LOG))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        """,
        logs=1,
    )


LEFT_OPEN = """
    loop = asyncio.new_event_loop()
    loop.run_until_complete(client.acreate(LOG))
    loop.close()
"""


def test_a_loop_closed_without_a_word(run):
    run(LEFT_OPEN, logs=1, dev=False)


def test_the_same_in_development_mode(run):
    """asyncio itself cannot close a transport once its loop is closed."""
    done = run(LEFT_OPEN, logs=1, silent=False)
    assert "client session" not in done.stderr
    assert "never awaited" not in done.stderr
    assert "Connector" not in done.stderr
    warned = [line for line in heard(done.stderr) if line.startswith("ResourceWarning")]
    assert all("unclosed transport" in line or "socket" in line for line in warned)


def test_a_loop_closed_then_another(run):
    run(
        """
        for _ in range(3):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(client.acreate(LOG))
            loop.close()
        client.close()
        """,
        logs=3,
        dev=False,
    )


def test_a_loop_never_closed(run):
    run(
        """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(client.acreate(LOG))
        """,
        logs=1,
        dev=False,
    )


def test_collected_unclosed(run):
    run(
        """
        client.create(LOG)
        asyncio.run(client.acreate(LOG))
        del client
        gc.collect()
        """,
        logs=2,
    )


def test_collected_unclosed_inside_a_loop(run):
    run(
        """
        async def main():
            global client
            await client.acreate(LOG)
            del client
            gc.collect()
            await asyncio.sleep(0)

        asyncio.run(main())
        """,
        logs=1,
    )


def test_in_a_running_loop_and_beside_it(run):
    run(
        """
        async def main():
            client.create(LOG)
            await client.acreate(LOG)
            client.create(LOG)

        asyncio.run(main())
        """,
        logs=3,
    )


@pytest.mark.parametrize("before", ["", "client.create(LOG)"])
def test_at_exit(run, before):
    run(
        f"""
        import atexit
        atexit.register(lambda: client.create(LOG))
        {before}
        """,
        logs=2 if before else 1,
    )


def test_threads_left_behind(run):
    run(
        """
        threads = [threading.Thread(target=client.create, args=(LOG,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        """,
        logs=8,
    )


def test_an_error_that_nobody_catches(wire):
    text = START + "client = LogAPI('key-of-tests', 'http://127.0.0.1:1', retry=1)\n"
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-c",
                text + "client.create({'input': 'payload-of-tests'})",
            ),
            wire.origin,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == (
        "keywordsai.errors.ConnectError: "
        "cannot connect to http://127.0.0.1:1: Connection refused"
    )


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


@needs_fork
def test_a_forked_child_beside_its_parent(run):
    run(
        """
        client.create(LOG)
        asyncio.run(client.acreate(LOG))
        child = os.fork()
        for _ in range(3):
            client.create(LOG)
            asyncio.run(client.acreate(LOG))
        if child == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        client.create(LOG)
        """,
        logs=15,
    )


@needs_fork
@pytest.mark.parametrize("end", ["os._exit(0)", "sys.exit(0)"])
def test_forked_while_a_session_is_open(run, end):
    """The child makes connections of its own; the parent's still serve."""
    run(
        f"""
        loop = asyncio.new_event_loop()
        client.create(LOG)
        loop.run_until_complete(client.acreate(LOG))
        child = os.fork()
        if child == 0:
            client.create(LOG)
            asyncio.run(client.acreate(LOG))
            {end}
        assert os.waitpid(child, 0)[1] == 0
        client.create(LOG)
        loop.run_until_complete(client.acreate(LOG))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        """,
        logs=6,
        dev="_exit" in end,
    )


@needs_fork
def test_multiprocessing(run):
    run(
        """
        import multiprocessing

        def work():
            client.create(LOG)
            asyncio.run(client.acreate(LOG))

        client.create(LOG)
        child = multiprocessing.get_context("fork").Process(target=work)
        child.start()
        child.join()
        assert child.exitcode == 0
        client.create(LOG)
        """,
        logs=4,
    )


def test_what_an_import_loads():
    heavy = ("requests", "aiohttp", "urllib3", "sqlalchemy", "sqlite3", "asyncio")
    text = f"""
import sys
import keywordsai
from keywordsai import LogAPI, LogParams, MockTransport
LogAPI(api_key="k", transport=MockTransport()).create({{"model": "m"}})
print([name for name in {heavy!r} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_one_colour_does_not_load_the_other(run):
    run("client.create(LOG); assert 'aiohttp' not in sys.modules", logs=1)


def test_nor_the_other_way_round(run):
    run(
        "asyncio.run(client.acreate(LOG)); assert 'requests' not in sys.modules", logs=1
    )
