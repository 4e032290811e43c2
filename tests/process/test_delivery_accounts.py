"""Keys: whose logs are sent with which, and what becomes of them while one is refused."""

import pytest
from faults import HEALTHY, REFUSE, Answer, FaultServer
from programs import EXIT_TIMEOUT, LOGS, WARN, Programs


@pytest.fixture
def server():
    with FaultServer() as made:
        yield made


@pytest.fixture
def programs(server, tmp_path):
    with Programs(server.url, tmp_path / "spool") as made:
        yield made


def creates(key, first):
    return f"""
    client = connect(api_key={key!r})
    for number in range({first}, {first} + {LOGS}):
        client.create(log(number))
    say()
    """


def keys_of(server, numbers):
    """The API keys that these logs were ever sent with."""
    wanted = set(numbers)
    return {
        request.api_key
        for request in server.requests
        if not wanted.isdisjoint(request.numbers)
    }


def test_logs_are_never_sent_with_anothers_key(server, programs):
    """Neither beside each other, nor after their process has died."""
    server.be(REFUSE)
    dead = [
        programs.start(creates(key, first), "time.sleep(60)")
        for key, first in (("one", 0), ("other", 1000))
    ]
    for program in dead:
        program.hear()
        program.kill()
    server.be(HEALTHY)
    one = programs.start(
        WARN, creates("one", 2000), "say(**sums(client.flush(10))); time.sleep(0.1)"
    )
    _, flushed = one.end()
    # 200 of its own, and 200 adopted.
    assert flushed["accepted"] == flushed["delivered"] == 2 * LOGS
    (warning,) = one.complaints
    assert warning.startswith(f"WARNING {LOGS} logs in {programs.folder} were given")
    assert "keywordsai spool resend --all-accounts" in warning
    server.check([*range(LOGS), *range(2000, 2000 + LOGS)])
    assert server.lost(range(1000, 1000 + LOGS)) == set(range(1000, 1000 + LOGS))
    programs.run("say(**sums(connect(api_key='other').flush(10)))")
    server.check([*range(LOGS), *range(1000, 1000 + LOGS)])
    assert keys_of(server, range(LOGS)) == {"one"}
    assert keys_of(server, range(1000, 1000 + LOGS)) == {"other"}
    assert keys_of(server, range(2000, 2000 + LOGS)) == {"one"}


def test_two_accounts_in_one_process(server, programs):
    text = f"""
    clients = [connect(api_key="one"), connect(api_key="other")]
    for number in range({LOGS}):
        clients[number % 2].create(log(number))
    """
    programs.run(text)
    server.check(range(LOGS))
    assert keys_of(server, range(0, LOGS, 2)) == {"one"}
    assert keys_of(server, range(1, LOGS, 2)) == {"other"}


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_for_a_while(server, programs, status):
    """One log is tried, all are kept, and the end does not wait for the minute."""
    server.be(Answer(status))
    program = programs.start(
        WARN, creates("key", 0), "sys.stdin.readline(); say(**sums(client.stats()))"
    )
    program.hear()
    server.wait_for(lambda: server.requests and server.requests[0].status == status)
    program.tell()
    (counted,) = program.end()
    assert program.ended - counted["now"] < EXIT_TIMEOUT / 2
    assert counted["pending"] == LOGS
    assert server.arrived == 1
    (warning,) = program.complaints
    assert f"refused the API key (status {status})" in warning
    server.be(HEALTHY)
    programs.run("say(**sums(connect(api_key='key').flush(10)))")
    server.check(range(LOGS))


def test_logs_that_are_refused_for_good(server, programs):
    """They are counted as dead and kept; the others are delivered, each once."""
    refused = set(range(0, LOGS, 10))
    server.be(
        lambda request: Answer(422) if set(request.numbers) & refused else HEALTHY
    )
    program = programs.start(WARN, creates("key", 0), "say(**sums(client.flush(10)))")
    _, flushed = program.end()
    assert (flushed["delivered"], flushed["dead"]) == (LOGS - 20, 20)
    assert server.arrived == LOGS
    (warning,) = program.complaints
    assert "refused logs (status 422)" in warning
    server.check(set(range(LOGS)) - refused)
    # A later start leaves them alone.
    programs.run("connect(api_key='key').flush(10)")
    assert server.arrived == LOGS
    assert len(list(programs.folder.glob("*.dead"))) == 1
