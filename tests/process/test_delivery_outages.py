"""Twenty seconds of a sick server, of every kind: patience, and nothing lost.

All kinds at the same time, each with a server and two programs of its own; then a
test for each looks at what happened.
"""

import contextlib
import itertools
import time

import attrs
import pytest
from faults import HANG_UP, NO_ANSWER, REFUSE, Answer, FaultServer
from programs import LOGS, Programs, agrees

OUTAGE = 20.0  # seconds
MOST_PROBES = 10
CONCURRENCY = 16
WELL = Answer(delay=0.1)  # long enough for others to come in meanwhile

KINDS = {
    "503": Answer(503),
    "500": Answer(500),
    "429": Answer(429),
    "429 Retry-After": Answer(429, ("Retry-After: 1",)),
    "refused": REFUSE,
    "hang-up": HANG_UP,
    "black hole": NO_ANSWER,
}
PLACES = ["memory", "folder"]

# The waits are as chance would have it, and the next one may begin right before the
# server recovers. Here chance is such that it begins soon after.
JITTER = {"black hole": 0.0}
OPTIONS = {"black hole": "timeout=Timeout(connect=1, read=1, total=2)"}

PROGRAM = f"""
from keywordsai.delivery import outbox

outbox.random_fraction = lambda: JITTER
began = []

class Watched(outbox.Outbox):
    def request(self, job):
        began.append(time.monotonic())
        return super().request(job)

import keywordsai.delivery.lifecycle
keywordsai.delivery.lifecycle.Outbox = Watched
client = connect(OPTIONS)
for number in range({LOGS}):
    client.create(log(number))
say(**sums(client.stats()))
say(**sums(client.flush(60)), began=began)
say(**sums(client.stats()))
"""


@attrs.define
class Course:
    """What happened between a program and its server."""

    server: FaultServer
    program: object
    first: dict
    well: float = 0.0
    flushed: dict = attrs.field(factory=dict)
    last: dict = attrs.field(factory=dict)


@pytest.fixture(scope="module")
def courses(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        made = {}
        for kind, mode in KINDS.items():
            for where in PLACES:
                server = stack.enter_context(FaultServer(mode))
                folder = tmp_path_factory.mktemp("spool") if where == "folder" else ""
                programs = stack.enter_context(Programs(server.url, folder))
                text = PROGRAM.replace("JITTER", str(JITTER.get(kind, 0.3)))
                text = text.replace("OPTIONS", OPTIONS.get(kind, ""))
                made[kind, where] = Course(server, programs.start(text), {})
        for course in made.values():
            course.first = course.program.hear()
            course.well = time.monotonic() + OUTAGE
            course.server.be(WELL, at=course.well)
        for course in made.values():
            course.flushed, course.last = course.program.end()
        yield made


@pytest.fixture(params=PLACES)
def where(request):
    return request.param


@pytest.fixture(params=KINDS)
def course(request, where, courses):
    return courses[request.param, where]


def test_nothing_is_lost_or_doubled(course):
    course.server.check(range(LOGS))
    assert course.program.complaints == []


def test_the_sums_hold(course):
    assert agrees(course.first)
    assert course.first["accepted"] == course.first["pending"] == LOGS
    assert course.flushed["delivered"] == course.flushed["accepted"] == LOGS
    assert course.last["delivered"] == course.last["accepted"] == LOGS


def test_patience(course):
    probes = [at for at in course.flushed["began"] if at < course.well]
    assert 4 <= len(probes) <= MOST_PROBES


def test_one_probe_at_a_time(course):
    sick = [one for one in course.server.requests if not one.successes]
    assert {one.in_flight for one in sick} == {1}


def test_recovery_does_not_stampede(course):
    """With each success twice as many, up to the concurrency."""
    requests = course.server.requests
    for one in requests:
        assert one.in_flight <= min(CONCURRENCY, 2**one.successes)
    assert max(one.in_flight for one in requests) > CONCURRENCY / 2
    delivered = [one.at for one in requests if one.status == WELL.status]
    assert delivered[-1] - delivered[0] < 5.0


def test_what_the_server_asked_for_is_obeyed(courses, where):
    requests = courses["429 Retry-After", where].server.requests
    refused = [one for one in requests if one.status == 429]
    times = [one.at for one in requests[: len(refused) + 1]]
    assert all(later - sooner >= 0.99 for sooner, later in itertools.pairwise(times))
