"""Ten minutes of 500 logs a second against a server that fails in every way, at random.

    python tests/soak/soak.py --minutes 10

One program logs all the time; another, with the same folder, is killed now and then
and started again. In the end nothing may be lost or doubled, the memory of the first
must be flat, and no thread, socket or file may be left of it.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import random
import statistics
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "process"))

from faults import HANG_UP, HEALTHY, NO_ANSWER, REFUSE, Answer, FaultServer
from programs import Programs

STEADY, MORTAL = 400, 100  # logs a second
PHASE = (1.0, 20.0)  # seconds
LIFE = (3.0, 30.0)
GROWTH = 8.0  # MB that memory may differ between warm-up and end
MODES = {
    "healthy": HEALTHY,
    "slow": Answer(delay=0.3),
    "503": Answer(503),
    "429": Answer(429, ("Retry-After: 2",)),
    "hang-up": HANG_UP,
    "refused": REFUSE,
    "black hole": NO_ANSWER,
}
SICK = [name for name in MODES if name != "healthy"]

COMMON = """
def connected(**options):
    return connect(timeout=Timeout(connect=2, read=2, total=4), **options)

def stream(client, first, rate):
    \"\"\"Log at a rate, in groups of random size; gives each number that was taken in.\"\"\"
    import random
    number, begin = first, time.monotonic()
    while True:
        for _ in range(random.choice([1, 2, 5, 10, 20])):
            answer = client.create({**log(number), "output": "x" * 600})
            assert answer == {"message": "log queued"}, answer
            yield number
            number += 1
        ahead = (number - first) / rate - (time.monotonic() - begin)
        time.sleep(max(0.0, ahead))
"""

STEADY_PROGRAM = f"""
import logging

def open_files():
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink("/proc/self/fd/" + name))
        except OSError:
            pass  # that of the list itself
    return found

def megabytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6

logging.basicConfig(format="%(message)s", filename=sys.argv[3])
before = open_files()
client = connected()
stop = threading.Event()
waiter = threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()))
waiter.start()
told = time.monotonic()
for number in stream(client, 0, {STEADY}):
    if stop.is_set():
        break
    if time.monotonic() - told > 1.0:
        told = time.monotonic()
        say(created=number + 1, memory=megabytes(), **sums(client.stats()))
waiter.join()
say(created=number + 1, **sums(client.flush(300)))
client.close()
counted = sums(client.stats())
del client
gc.collect()
after = open_files()
say(
    **counted,
    memory=megabytes(),
    threads=[one.name for one in threading.enumerate()][1:],
    files=sorted(one for one in after if after.count(one) > before.count(one)),
)
"""

MORTAL_PROGRAM = f"""
client = connected(bulk=random.random() < 0.5)
for number in stream(client, int(sys.argv[3]), {MORTAL}):
    os.write(1, b"%d\\n" % number)
"""


class Heard:
    """What a program says, read in a thread."""

    def __init__(self, program):
        self.program, self.lines = program, []
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self):
        for line in self.program.process.stdout:
            if line.endswith(b"\n"):  # the last may be cut by a kill
                self.lines.append(json.loads(line))

    def end(self, seconds):
        self.program.process.wait(seconds)
        self.thread.join()
        return self.lines[-1]


class Soak:
    """The server, the programs, and what is known of them."""

    def __init__(self, server, programs, notes):
        self.server, self.programs, self.notes = server, programs, notes
        self.created = set()
        self.kills = self.phases = 0
        self.mode = "healthy"
        self._began = time.monotonic()
        self._next_phase = self._began + 5
        self._mortal = None
        self._next_kill = 0.0
        self.steady = Heard(
            programs.start(COMMON, STEADY_PROGRAM, arguments=[str(notes)])
        )

    def step(self):
        """Change the phase, or kill, if it is time."""
        now = time.monotonic()
        assert self.steady.program.process.poll() is None, "the steady one ended"
        if now >= self._next_phase:
            self.phases += 1
            self.mode = "healthy" if self.mode in SICK else random.choice(SICK)
            self.server.be(MODES[self.mode])
            self._next_phase = now + random.uniform(*PHASE)
        if now >= self._next_kill:
            self.kill()
            first = (self.kills + 1) * 1_000_000
            program = self.programs.start(
                "import random",
                COMMON,
                MORTAL_PROGRAM,
                arguments=[str(first)],
            )
            self._mortal = Heard(program)
            self._next_kill = now + random.uniform(*LIFE)

    def kill(self):
        if self._mortal is not None:
            self.kills += 1
            self._mortal.program.kill()
            self._mortal.program.process.wait()
            self._mortal.thread.join()
            complaints = self._mortal.program.process.stderr.read().decode()
            assert not complaints, complaints
            self.created.update(self._mortal.lines)
            self._mortal = None

    def end(self):
        """All well: the last logs are delivered, and nobody is left."""
        self.kill()
        self.server.be(HEALTHY)
        self.steady.program.tell()
        last = self.steady.end(330)
        self.created.update(range(self.steady.lines[-2]["created"]))
        complaints = self.steady.program.process.stderr.read().decode()
        assert not complaints, complaints
        # What the last killed one left may have come too late for the steady one.
        self.programs.run("connect().flush(30)")
        return last

    def warm(self):
        """Memory in the second tenth of the time, in MB."""
        known = [
            one["memory"]
            for one in self.steady.lines
            if {"memory", "created"} <= set(one)
        ]
        tenth = max(1, len(known) // 10)
        return statistics.median(known[tenth : 2 * tenth] or known)


def progress(soak, seconds, passed):
    lines = soak.steady.lines
    known = lines[-1] if lines else {"pending": 0, "memory": 0.0}
    share = min(1.0, passed / seconds)
    bar = "#" * int(30 * share)
    sys.stdout.write(
        f"\r[{bar:30}] {share:4.0%} {soak.mode:10} delivered {len(soak.server.taken):7,}"
        f" pending {known['pending']:6,} memory {known['memory']:5.1f} MB"
        f" kills {soak.kills:3}"
    )
    sys.stdout.flush()


def run(minutes):
    seconds = minutes * 60
    with (
        tempfile.TemporaryDirectory() as folder,
        FaultServer(remember=False) as server,
        Programs(server.url, pathlib.Path(folder, "spool")) as programs,
    ):
        notes = pathlib.Path(folder, "notes")
        soak = Soak(server, programs, notes)
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            soak.step()
            progress(soak, seconds, passed)
            time.sleep(0.2)
        last = soak.end()
        warm = soak.warm()
        lost, doubled = server.lost(soak.created), server.doubled()
        left = sorted(path.name for path in programs.folder.iterdir())
        parts = last["delivered"] + last["pending"] + last["dead"]
        checks = {
            "logs created": (f"{len(soak.created):,}", True),
            "lost": (len(lost), not lost),
            "doubled": (len(doubled), not doubled),
            "requests": (f"{server.arrived:,}", True),
            "phases, kills": (f"{soak.phases}, {soak.kills}", True),
            "accepted by the steady one": (f"{last['accepted']:,}", True),
            "its sums hold": (
                parts + sum(last["dropped"].values()),
                parts + sum(last["dropped"].values()) == last["accepted"],
            ),
            "its pending at the end": (last["pending"], last["pending"] == 0),
            "memory when warm, MB": (f"{warm:.1f}", True),
            "memory at the end, MB": (
                f"{last['memory']:.1f}",
                last["memory"] < warm + GROWTH,
            ),
            "threads left": (last["threads"], not last["threads"]),
            "files and sockets left open": (last["files"], not last["files"]),
            "files left in the folder": (left, left == ["salt"]),
        }
        sys.stdout.write("\n\n")
        for name, (value, well) in checks.items():
            sys.stdout.write(f"{'ok ' if well else 'BAD'} {name:30} {value}\n")
        warnings = notes.read_text().splitlines()
        sys.stdout.write(f"\n{len(warnings)} warnings\n")
        for line in sorted(set(warnings))[:10]:
            sys.stdout.write(f"    {line}\n")
        return all(well for _, well in checks.values())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="of the faults, not of the clock")
    options = parser.parse_args()
    random.seed(options.seed)
    sys.exit(not run(options.minutes))
