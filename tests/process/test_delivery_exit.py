"""How programs end, and what becomes of their logs: none is lost, none is sent twice."""

import pytest
from faults import HEALTHY, NO_ANSWER, REFUSE, FaultServer
from programs import EXIT_TIMEOUT, FLUSH, LOGS, WARN, Programs, agrees, place

NUMBERS = range(LOGS)
PLACES = ["memory", "folder"]


@pytest.fixture
def server():
    with FaultServer() as made:
        yield made


@pytest.fixture
def programs(server, tmp_path):
    with Programs(server.url, tmp_path / "spool", dev=True) as made:
        yield made


CREATE = f"""
client = connect()
for number in range({LOGS}):
    assert client.create(log(number)) == {{"message": "log queued"}}
"""


@pytest.mark.parametrize(
    ("end", "where"),
    [
        ("", "memory"),
        ("", "folder"),
        ("client.close()", "memory"),
        ("client.close()", "folder"),
        ("sys.exit(0)", "memory"),
        ("del client; gc.collect()", "folder"),
    ],
)
def test_an_end_without_a_flush(server, programs, end, where):
    programs.run(CREATE, end, **place(where))
    server.check(NUMBERS)
    assert server.arrived == LOGS


def test_an_end_by_an_exception(server, programs):
    program = programs.start(CREATE, "raise RuntimeError('of the test')")
    program.end(code=1)
    assert program.complaints[-1] == "RuntimeError: of the test"
    server.check(NUMBERS)


@pytest.mark.parametrize("where", PLACES)
def test_logs_of_atexit_functions_that_run_after_ours(server, programs, where):
    """Registered before keywordsai was imported: they run when it has ended."""
    first = "import atexit; atexit.register(lambda: client.create(log(200)))"
    program = programs.start(CREATE, first=first, **place(where))
    program.end()
    assert program.complaints == []
    server.check(range(LOGS + 1))


@pytest.mark.parametrize("where", PLACES)
def test_the_sums_of_a_flush(server, programs, where):
    flushed, counted = programs.run(
        CREATE,
        "say(**sums(client.flush(20))); say(**sums(client.stats()))",
        **place(where),
    )
    server.check(NUMBERS)
    assert flushed["delivered"] == counted["delivered"] == LOGS
    assert agrees(counted)


def test_the_same_over_an_event_loop(server, programs):
    text = f"""
    async def main():
        client = connect()
        await asyncio.gather(*(client.acreate(log(number)) for number in range({LOGS})))
        say(**sums(await client.aflush(20)))
        await client.aclose()

    asyncio.run(main())
    """
    (flushed,) = programs.run(text)
    server.check(NUMBERS)
    assert flushed["delivered"] == flushed["accepted"] == LOGS


def ending(text="", options=""):
    """Log, do something, and tell the time."""
    return (
        f"{WARN}\n"
        + CREATE.replace("connect()", f"connect({options})")
        + f"{text}\nsay(pending=client.stats().pending)"
    )


def seconds_to_end(program):
    (ready,) = program.end()
    return program.ended - ready["now"]


def test_a_server_that_is_down_at_the_end_and_up_at_the_next_start(server, programs):
    server.be(REFUSE)
    program = programs.start(ending())
    assert seconds_to_end(program) < EXIT_TIMEOUT + 0.5
    assert program.complaints == []
    server.be(HEALTHY)
    (flushed,) = programs.run(FLUSH)
    server.check(NUMBERS)
    assert flushed["delivered"] == flushed["accepted"] == LOGS


@pytest.mark.parametrize("first", ["at once", "in flight"])
def test_a_server_that_never_answers(server, programs, first):
    """The end takes no longer than it may, whatever the worker is in the middle of."""
    server.be(NO_ANSWER)
    text = ending("sys.stdin.readline()" if first == "in flight" else "")
    memory, folder = (programs.start(text, **place(where)) for where in PLACES)
    if first == "in flight":
        server.wait_for(lambda: server.arrived == 2)
        memory.tell()
        folder.tell()
    for program in (memory, folder):
        assert seconds_to_end(program) < EXIT_TIMEOUT + 0.5
    (warning,) = memory.complaints
    assert warning.startswith(f"WARNING {LOGS} logs waited in memory")
    assert folder.complaints == []
    server.be(HEALTHY)
    (flushed,) = programs.run(FLUSH)
    assert flushed["accepted"] == flushed["delivered"] == LOGS
    assert server.lost(NUMBERS) == set()


@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_an_exit_timeout_of_ones_own(server, programs, seconds):
    server.be(NO_ANSWER)
    program = programs.start(ending(options=f"exit_timeout={seconds}"))
    assert seconds_to_end(program) < seconds + 0.5
    server.be(HEALTHY)
    programs.run(FLUSH)
    server.check(NUMBERS)


def test_two_clients_share_one_time_for_their_end(server, programs):
    server.be(NO_ANSWER)
    text = "other = connect(api_key='other', exit_timeout=0.5); other.create(log(200))"
    program = programs.start(ending(text, options="exit_timeout=1.0"))
    assert 0.9 < seconds_to_end(program) < 1.0 + 0.5
