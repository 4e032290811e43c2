"""Children of fork: all theirs is delivered, and nobody hangs."""

import pytest
from faults import Answer, FaultServer
from programs import CHILD, CHILDREN, EACH, LOGS, Programs, numbers_of_children, place

SLOW = Answer(delay=0.05)
PLACES = ["memory", "folder"]


@pytest.fixture
def server():
    with FaultServer() as made:
        yield made


@pytest.fixture
def programs(server, tmp_path):
    with Programs(server.url, tmp_path / "spool", dev=True) as made:
        yield made


START = CHILD + "client = connect()"

FORKED = f"""
%(before)s
children = []
for number in range(1, {CHILDREN} + 1):
    child = os.fork()
    if child == 0:
        watch()
        create(client, number)
        %(end)s
    children.append(child)
create(client, 0)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
%(after)s
"""

ENDS = {
    "flush": "client.flush(10); os._exit(0)",
    "close": "client.close(); os._exit(0)",
    "exit": "sys.exit()",
}


@pytest.mark.parametrize(
    ("end", "where"),
    [("flush", "memory"), ("close", "folder"), ("exit", "memory"), ("exit", "folder")],
)
def test_forked_children(server, programs, where, end):
    text = FORKED % {"before": "create(client, 9)", "end": ENDS[end], "after": ""}
    programs.run(START, text, **place(where))
    server.check([*numbers_of_children(), *range(9000, 9000 + EACH)])


def test_forked_children_that_leave_at_once(server, programs):
    """By os._exit, without a word: their parent finds what they left in the folder."""
    wait = "sys.stdin.readline(); say(**sums(client.flush(10)))"
    text = FORKED % {"before": "", "end": "os._exit(0)", "after": wait}
    program = programs.start(START, text)
    server.wait_for(lambda: not server.lost(numbers_of_children()), 10)
    program.tell()
    (flushed,) = program.end()
    assert program.complaints == []
    server.check(numbers_of_children())
    assert flushed["delivered"] == flushed["accepted"] == len(numbers_of_children())


def test_a_client_made_after_the_fork_or_in_a_grandchild(server, programs):
    text = """
    def have_a_child(number):
        mine = connect()
        child = os.fork()
        if child == 0:
            watch()
            mine.create(log(number * 1000 + 500))
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
        mine.create(log(number * 1000 + 501))
    """
    forked = FORKED % {
        "before": "client.flush()",
        "end": "have_a_child(number); sys.exit()",
        "after": "",
    }
    programs.run(START, text, forked)
    more = [child * 1000 + n for child in range(1, CHILDREN + 1) for n in (500, 501)]
    server.check([*numbers_of_children(), *more])


@pytest.mark.parametrize("where", PLACES)
def test_requests_in_flight_at_the_fork_are_the_parents(server, programs, where):
    server.be(SLOW)
    text = f"""
    for number in range({LOGS}):
        client.create(log(number))
    sys.stdin.readline()
    for number in range(4):
        child = os.fork()
        if child == 0:
            watch()
            if number % 2:
                client.create(log(1000 + number))
                client.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    say(**sums(client.flush(20)))
    """
    program = programs.start(START, text, **place(where))
    server.wait_for(lambda: server.in_flight > 3)
    program.tell()
    (flushed,) = program.end()
    assert program.complaints == []
    server.check([*range(LOGS), 1001, 1003])
    assert flushed["delivered"] == flushed["accepted"] == LOGS
    # Each was answered on its first connection: nobody closed or used another's.
    assert server.arrived == LOGS + 2


THREADS = """
stop = threading.Event()
made = [0] * 4

def keep_creating(which):
    while not stop.is_set():
        %(create)s
        made[which] += 1
        time.sleep(0.001)

threads = [
    threading.Thread(target=keep_creating, args=(one,), daemon=True)
    for one in range(4)
]
for thread in threads:
    thread.start()
%(wait)s
children = []
for number in range(1, %(forks)d + 1):
    child = os.fork()
    if child == 0:
        watch()
        client.create(log(-number))
        client.flush(30)  # twenty that import all at once take their time
        os._exit(0)
    children.append(child)
    time.sleep(0.01)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
stop.set()
for thread in threads:
    thread.join()
client.flush(20)
say(made=made)
"""


def of_threads(made):
    """The numbers that the threads have given, who counted how many."""
    return [
        which * 10_000_000 + number
        for which, count in enumerate(made)
        for number in range(count)
    ]


LOG = "client.create(log(which * 10_000_000 + made[which]))"


WARM = "client.create(log(-100)); client.flush()"


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize(
    ("forks", "wait"), [(5, ""), (20, WARM)], ids=["at once", "at work"]
)
def test_a_lock_held_by_another_thread_at_the_fork(
    server, programs, where, forks, wait
):
    """At once: while the others import what sending needs."""
    text = THREADS % {"create": LOG, "wait": wait, "forks": forks}
    (said,) = programs.run(START, text, **place(where))
    server.check([*of_threads(said["made"]), *range(-forks, 0)])


COME_AND_GO = """
stop = threading.Event()
made = [0] * 4

def come_and_go(which):
    while not stop.is_set():
        mine = connect()
        mine.itself = mine  # for the garbage collector to find, wherever a thread is
        mine.create(log(which * 10_000_000 + made[which]))
        made[which] += 1

client.create(log(-1))
client.flush()
gc.set_threshold(3)
threads = [
    threading.Thread(target=come_and_go, args=(one,), daemon=True) for one in range(4)
]
for thread in threads:
    thread.start()
watch()
for number in range(100):
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
for thread in threads:
    thread.join()
signal.alarm(0)
gc.set_threshold(700)
client.flush(20)
say(made=made)
"""


@pytest.mark.parametrize("where", PLACES)
def test_clients_that_come_and_go_beside_forks(server, programs, where):
    (said,) = programs.run(START, COME_AND_GO, dev=False, **place(where))
    server.check([*of_threads(said["made"]), -1])
