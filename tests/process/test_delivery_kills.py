"""Programs that are killed: what `create` has taken in is delivered after a restart."""

import signal
import time

import pytest
from faults import HEALTHY, Answer, FaultServer
from programs import FLUSH, LOGS, Programs, left_in

MOMENTS = 200
SLOW = Answer(delay=0.1)  # so that not all is delivered before the end comes


@pytest.fixture
def server():
    with FaultServer() as made:
        yield made


@pytest.fixture
def programs(server, tmp_path):
    with Programs(server.url, tmp_path / "spool") as made:
        yield made


CREATE = f"""
client = connect()
for number in range({LOGS}):
    client.create(log(number))
say()
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("number", "after"), [(signal.SIGTERM, 0.0), (signal.SIGKILL, 0.05)]
)
def test_killed_after_the_creates(server, programs, number, after):
    server.be(SLOW)
    program = programs.start(CREATE)
    program.hear()
    time.sleep(after)
    program.process.send_signal(number)
    program.end(code=-number)
    assert server.lost(range(LOGS))
    server.be(HEALTHY)
    (flushed,) = programs.run(FLUSH)
    server.check(range(LOGS))
    assert flushed["accepted"] == flushed["delivered"]
    assert left_in(programs.folder) == ["salt"]


def test_stopped_by_a_handler_of_the_programs_own(server, programs):
    """Then it ends as any other, and memory will do."""
    text = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))" + CREATE
    program = programs.start(text, folder="")
    program.hear()
    program.process.terminate()
    program.end()
    assert program.complaints == []
    server.check(range(LOGS))


# Forked from one that has imported everything: a hundred a second can be had.
MORTALS = f"""
import random
import keywordsai.delivery.lifecycle
import keywordsai.transport.aiohttp

def live(moment):
    client = connect(bulk=moment % 2 == 1)
    number = moment * 100_000
    while True:
        for _ in range(random.choice([1, 5, 20])):
            client.create(log(number))
            os.write(1, b"%d\\n" % number)
            number += 1
        # Some go on before the worker takes a burst for ended, some do not.
        time.sleep(random.choice([0.001, 0.01, 0.03]))

doomed = []
for moment in range({MOMENTS}):
    child = os.fork()
    if child == 0:
        live(moment)
    doomed.append((time.monotonic() + random.uniform(0.0, 0.25), child))
    while len(doomed) == 4 or (doomed and moment == {MOMENTS} - 1):
        doomed.sort()
        at, child = doomed.pop(0)
        time.sleep(max(0, at - time.monotonic()))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
"""


def test_killed_at_random_moments_of_a_stream(server, programs):
    mortals = programs.start(MORTALS)
    created = mortals.end()
    assert mortals.complaints == []
    assert len({number // 100_000 for number in created}) > MOMENTS / 2
    assert server.lost(created)
    (flushed,) = programs.run(FLUSH.replace("20", "60"))
    server.check(created)
    assert flushed["accepted"] == flushed["delivered"]
    assert left_in(programs.folder) == ["salt"]
