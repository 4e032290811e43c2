"""``keywordsai spool``, typed as an operator would, beside programs that run or died."""

import json
import os
import pathlib
import pty
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from faults import HEALTHY, NO_ANSWER, REFUSE, Answer, FaultServer
from programs import Programs, agrees

from keywordsai import cli

KEY = "key-of-tests"
REFUSING = Answer(422)
HEAD = ["ID", "STATE", "AGE", "SIZE", "WHAT THE SERVICE SAID"]
REFERENCE = pathlib.Path(__file__).parents[2] / "docs/reference/command-line.md"

# Programs: what they leave, by the numbers of their logs.
LEAVE = """
client = connect(exit_timeout=0, {options})
for number in range({first}, {last}):
    client.create(log(number))
"""
BURY = """
client = connect({options})
for number in range({first}, {last}):
    client.create(log(number))
say(**sums(client.flush(20)))
"""
STAY = """
sys.stdin.readline()
client.create(log({number}))
say(**sums(client.flush(20)))
"""

# Sends all there is, and dies at a line of what changes files.
DIE = """
import os, signal, sys
from keywordsai.cli import main
from keywordsai.spool import cli, sending
line = int(sys.argv[1])

def count(frame, event, _):
    global line
    line -= event == "line"
    if not line:
        os.kill(os.getpid(), signal.SIGKILL)
    return count

def called(frame, _, __):
    names = ("spool/taking.py", "delivery/folder.py", "delivery/spool.py")
    return count if frame.f_code.co_filename.endswith(names) else None

sys.settrace(called)
sys.exit(main(["spool", "resend", "--all-accounts", "--timeout", "0.01"]))
"""


@pytest.fixture
def server():
    with FaultServer() as made:
        yield made


@pytest.fixture
def programs(server, tmp_path):
    with Programs(server.url, tmp_path / "spool") as made:
        yield made


SLOW = re.compile(r"Executing <.* took [0-9.]+ seconds$")


class Operator:
    """Types commands; each must end with the code that is expected."""

    def __init__(self, server, folder):
        self.folder = folder
        self.environ = {
            name: value
            for name, value in os.environ.items()
            if not name.lower().endswith("_proxy") and not name.startswith("KEYWORDS")
        }
        self.environ |= {
            "KEYWORDSAI_API_KEY": KEY,
            "KEYWORDSAI_BASE_URL": server.url,
            "KEYWORDSAI_SPOOL": str(folder),
            "COLUMNS": "120",
        }

    def command(self, *words):
        flags = ("-X", "dev", "-W", "error")
        return [sys.executable, *flags, "-m", "keywordsai", "spool", *words]

    def __call__(self, *words, code=0, error="", **environ):
        """What it prints; and on standard error, no more than is expected."""
        done = subprocess.run(
            self.command(*words),
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        # Development mode tells of callbacks that took long, as on a busy machine.
        said = [line for line in done.stderr.splitlines() if not SLOW.match(line)]
        assert len(said) == bool(error)
        assert error in "".join(said)
        return done.stdout

    def json(self, *words, **environ):
        return json.loads(self(*words, "--json", **environ))

    def ids(self, *words):
        return [log["id"] for log in self.json("list", *words)["logs"]]

    def at_a_terminal(self, *words, answer="", code=0):
        """The same with a terminal, where somebody answers, or None interrupts."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            self.command(*words),
            env=self.environ,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        heard = b""
        with os.fdopen(ours, "r+b", buffering=0) as terminal:
            while True:
                try:
                    data = terminal.read(65536)
                except OSError:  # Linux's way to say that the other end is closed
                    break
                if not data:
                    break
                heard += data
                if heard.endswith(b"[y/N] "):
                    if answer is None:
                        process.send_signal(signal.SIGINT)
                    else:
                        terminal.write(answer.encode())
                        answer = ""
        assert process.wait(60) == code, heard.decode()
        return heard.decode()


@pytest.fixture
def operator(server, programs):
    return Operator(server, programs.folder)


@pytest.fixture
def leave(server, programs):
    """Logs left behind by a process that died while the service was down."""

    def left(first, last, options=""):
        server.be(REFUSE)
        programs.run(LEAVE.format(first=first, last=last, options=options))
        server.be(HEALTHY)

    return left


@pytest.fixture
def bury(server, programs):
    """Logs refused by the service, of a process that ended."""

    def buried(first, last, options=""):
        server.be(REFUSING)
        (said,) = programs.run(BURY.format(first=first, last=last, options=options))
        assert said["dead"] == last - first
        server.be(HEALTHY)

    return buried


@pytest.fixture
def running(server, programs):
    """A process with dead logs that lives on, until it is told to log once more."""

    def started(first, last, options=""):
        server.be(REFUSING)
        text = BURY.format(first=first, last=last, options=options)
        program = programs.start(text + STAY.format(number=last))
        assert program.hear()["dead"] == last - first
        server.be(HEALTHY)
        return program

    return started


def names(folder):
    return sorted(path.suffix or path.name for path in pathlib.Path(folder).iterdir())


def keys(server):
    """Every key that each log was sent under."""
    found = {}
    for request in server.requests:
        for number in request.numbers:
            found.setdefault(number, set()).add(request.key)
    return found


def under_one_key_each(server):
    found = keys(server)
    assert all(len(each) == 1 for each in found.values())
    assert len(set.union(*found.values())) == len(found)


class TestWhere:
    def test_a_folder_is_needed(self, operator):
        operator("status", code=2, error="Give --spool", KEYWORDSAI_SPOOL="")
        operator("status", "--spool", "", code=2, error="Give", KEYWORDSAI_SPOOL="")

    @pytest.mark.parametrize(
        "words", [("status",), ("list",), ("show", "3f-1"), ("resend",), ("purge",)]
    )
    def test_it_has_to_be_there(self, operator, tmp_path, words):
        operator(*words, code=2, error=f"{operator.folder} does not exist")
        file = tmp_path / "file"
        file.touch()
        operator(*words, "--spool", str(file), code=2, error="is no folder")
        assert list(tmp_path.iterdir()) == [file]

    @pytest.mark.parametrize(
        "words",
        [
            (),
            ("look",),
            ("list", "--state", "gone"),
            ("list", "--limit", "-1"),
            ("list", "--limit", "many"),
            ("show",),
            ("resend", "--timeout", "0"),
            ("resend", "--timeout", "nan"),
            ("purge", "--all"),
        ],
    )
    def test_what_cannot_be_used_is_said_in_one_line(self, operator, words):
        assert operator(*words, code=2, error="keywordsai") == ""

    def test_the_option_wins_over_the_environment(self, operator, leave, tmp_path):
        leave(0, 2)
        (tmp_path / "other").mkdir()
        other = operator("status", "--spool", str(tmp_path / "other"))
        assert other == f"Spool folder {tmp_path / 'other'}: no logs\n"
        assert operator.json("status")["total"]["pending"] == 2

    def test_an_empty_folder_is_left_as_it_is(self, operator):
        operator.folder.mkdir()
        assert operator("status") == f"Spool folder {operator.folder}: no logs\n"
        assert operator("list") == "No logs.\n"
        assert operator("list", "--state", "dead") == "No dead logs.\n"
        assert operator("resend") == "Nothing to send.\n"
        assert operator("purge") == "Nothing to remove.\n"
        seen = operator.json("status")
        nothing = {"pending": 0, "dead": 0, "bytes": 0, "oldest_age": None}
        assert (seen["files"], seen["total"], seen["corrupt"]) == ([], nothing, [])
        assert list(operator.folder.iterdir()) == []

    def test_the_server_extra_is_not_needed(self, operator, leave):
        leave(0, 2)
        code = (
            "import sys; sys.modules['sqlalchemy'] = None; from keywordsai.cli import "
            "main; sys.exit(main(['spool', 'resend']))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=operator.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "Delivered 2" in done.stdout


class TestLooking:
    def test_status(self, operator, leave, bury, running):
        program = running(0, 2)
        bury(10, 13)
        leave(20, 25, "api_key='another-key'")
        lines = operator("status").splitlines()
        assert lines[0] == f"Spool folder {operator.folder}"
        assert lines[2].split()[:5] == ["FILE", "PROCESS", "ACCOUNT", "PENDING", "DEAD"]
        url = operator.environ["KEYWORDSAI_BASE_URL"] + "/api"
        seen = sorted(re.split(r"  +", line)[1:] for line in lines[3:-1])
        age = seen[0][5]
        assert re.fullmatch(r"\d+ s", age)
        assert [row[:4] + row[6:] for row in seen] == [
            ["left behind", "other", "5", "0", url],
            ["left behind", "this", "0", "3", url],
            ["running", "this", "0", "2", url],
        ]
        assert re.split(r"  +", lines[-1])[:3] == ["total", "5", "5"]
        assert len({len(line) for line in lines[3:-1]}) == 1
        for variable, whose in [
            ({"KEYWORDSAI_API_KEY": ""}, {"unknown"}),
            ({"RESPAN_API_KEY": "another-key", "KEYWORDSAI_API_KEY": ""}, {"this", "other"}),
            ({"KEYWORDSAI_BASE_URL": "http://elsewhere.test"}, {"other"}),
            ({"HTTPS_PROXY": "socks5://nonsense"}, {"this", "other"}),
        ]:  # fmt: skip
            files = operator.json("status", **variable)["files"]
            assert {one["account"] for one in files} == whose
        operator("status", code=2, error="KEYWORDSAI_API_KEY", KEYWORDSAI_API_KEY="a b")
        program.tell()
        program.end()

    def test_status_for_machines(self, operator, running, leave):
        program = running(0, 2)
        leave(10, 13)
        seen = operator.json("status")
        mine, left = sorted(seen["files"], key=lambda one: not one["in_use"])
        assert (mine["in_use"], mine["pending"], mine["dead"]) == (True, 0, 2)
        assert (left["in_use"], left["pending"], left["dead"]) == (False, 3, 0)
        assert pathlib.Path(mine["path"]).exists()
        assert mine["error"] is left["error"] is None
        sizes = [len(json.dumps({"model": "gpt-4", "metadata": {"number": n}}, separators=(",", ":"))) for n in (10, 11, 12)]  # fmt: skip
        assert left["bytes"] == sum(sizes)
        assert seen["total"]["bytes"] == mine["bytes"] + left["bytes"]
        assert seen["total"]["oldest_age"] >= left["oldest_age"] > 0
        program.tell()
        program.end()

    def test_files_that_cannot_be_read(self, operator, leave):
        leave(0, 2)
        (path,) = operator.folder.glob("*.db")
        aside = path.with_name(path.name + ".corrupt")
        aside.write_bytes(b"x" * 1234)
        path.write_bytes(b"no database" * 1000)
        text = operator("status")
        assert "cannot be read: file is not a database" in text
        assert text.endswith(f"could not be read:\n  {aside}  1.2 KB\n")
        seen = operator.json("status")
        assert seen["corrupt"] == [{"path": str(aside), "bytes": 1234}]
        assert seen["files"][0]["error"] == "file is not a database"
        assert "cannot be read" in operator("list")
        found = {path.name: path.read_bytes() for path in operator.folder.iterdir()}
        operator("purge", "--yes")
        assert found == {
            path.name: path.read_bytes() for path in operator.folder.iterdir()
        }

    def test_looking_leaves_nothing(self, operator, leave, bury):
        bury(0, 2)
        leave(10, 12)
        before = names(operator.folder)
        operator("status")
        operator("list")
        operator("show", operator.ids()[0])
        assert names(operator.folder) == before

    def test_list_and_show(self, server, operator, programs, leave):
        server.be(REFUSING)
        programs.run(BURY.format(first=0, last=2, options=""))
        server.be(HEALTHY)
        leave(10, 12, "api_key='another-key'")
        database = sqlite3.connect(next(operator.folder.glob("*.dead")))
        words = "422: model: no such\nmodel \x1b[31m" + "x" * 300
        database.execute("UPDATE logs SET words = ? WHERE id = 2", (words,))
        database.commit()
        database.close()
        lines = operator("list").splitlines()
        assert re.split(r"  +", lines[0]) == HEAD
        rows = [re.split(r"  +", line) for line in lines[1:]]
        assert [row[1] for row in rows] == ["dead", "dead", "pending", "pending"]
        assert rows[0][4] == "422: no"
        assert rows[1][4].startswith("422: model: no such model \\u001b[31mxxx")
        assert max(map(len, lines)) == 120
        assert "gpt-4" not in "".join(lines)
        assert [row[0] for row in rows] == operator.ids()
        assert operator.ids("--state", "dead") == [row[0] for row in rows[:2]]
        assert operator.ids("--state", "pending") == [row[0] for row in rows[2:]]
        some = operator("list", "--limit", "3").splitlines()
        assert len(some) == 5
        assert some[4] == "and 1 more log; --limit 0 lists all"
        assert operator.json("list", "--limit", "1")["more"] == 3
        about, payload = operator("show", rows[1][0]).split("\n\n")
        about = dict(re.split(r": +", line, maxsplit=1) for line in about.splitlines())
        assert (about["id"], about["state"]) == (rows[1][0], "dead")
        assert about["the service said"].endswith("x" * 300)
        assert about["idempotency key"] in keys(server)[1]
        assert json.loads(payload) == {"model": "gpt-4", "metadata": {"number": 1}}
        assert payload.startswith('{\n  "model": "gpt-4",\n')
        assert "pending" in operator("show", rows[3][0])

    def test_ids(self, operator, leave):
        leave(0, 1)
        leave(1, 2, "api_key='another-key'")
        one, _ = operator.ids()
        operator("show", "3f9a2c", code=2, error="is no id")
        operator("show", "zz-1", code=2, error="is no id")
        operator("show", f"{one}0", code=2, error="there is no log")
        operator("show", "abc-99999999999999999999", code=2, error="is no id")
        whole = next(operator.folder.glob("*.db")).stem.partition("-")[2]
        assert whole in operator("show", f"{whole}-1")
        # Files whose names begin alike get longer ids.
        for number, path in enumerate(operator.folder.glob("*.db")):
            account = path.name.partition("-")[0]
            path.rename(path.with_name(f"{account}-abcdefa{number}.db"))
        assert sorted(operator.ids()) == ["abcdefa0-1", "abcdefa1-1"]
        operator("show", "abcdef-1", code=2, error="fits several files")

    def test_a_payload_is_shown_as_it_is_written(self, operator, programs, server):
        server.be(REFUSE)
        log = {
            "metadata": {"number": 0, "one": "é \x9b[31m \u202e \U0001f600", "two": [[], {}, [1]]},
            "cost": 1.1,
            "output": "line\nline",
        }  # fmt: skip
        programs.run(f"connect(exit_timeout=0).create({log!r})")
        text = operator("show", *operator.ids(), PYTHONIOENCODING="ascii")
        payload = text.split("\n\n")[1]
        assert payload.isascii()
        payload = operator("show", *operator.ids()).split("\n\n")[1]
        assert json.loads(payload) == log
        assert "é" in payload
        assert "\x9b" not in payload
        assert "\u202e" not in payload


class TestResending:
    def test_all_that_can_be_sent(self, server, operator, leave, bury, running):
        program = running(0, 5)
        bury(10, 13)
        leave(20, 24)
        logged = {**keys(server)}
        text = operator("resend")
        assert text.splitlines() == [
            f"Sending 12 logs to {server.url}/api",
            "Delivered 12, pending 0, dead 0, dropped 0.",
        ]
        server.check([*range(5), *range(10, 13), *range(20, 24)])
        under_one_key_each(server)
        assert all(keys(server)[number] == logged[number] for number in logged)
        assert operator("resend").startswith("Nothing to send.\n")
        program.tell()
        (said,) = program.end()
        assert (said["delivered"], said["dead"]) == (1, 5)
        assert program.complaints == []
        assert names(operator.folder) == ["salt"]

    def test_those_of_given_ids(self, server, operator, bury, running):
        program = running(0, 3)
        bury(10, 13)
        ids = dict(zip([0, 1, 2, 10, 11, 12], operator.ids(), strict=True))
        assert "Delivered 2" in operator("resend", ids[1], ids[11])
        server.check([1, 11])
        assert server.lost(range(13)) == set(range(13)) - {1, 11}
        left = [ids[0], ids[2], ids[10], ids[12]]
        assert sorted(operator.ids("--state", "dead")) == sorted(left)
        operator("resend", ids[1], code=2, error=f"there is no log {ids[1]}")
        program.tell()
        program.end()
        under_one_key_each(server)

    def test_what_a_running_process_has_is_left_to_it(self, server, operator, programs):
        server.be(NO_ANSWER)
        text = LEAVE.format(first=0, last=3, options="") + "say(); sys.stdin.readline()"
        program = programs.start(text)
        program.hear()
        server.wait_for(lambda: server.arrived)
        assert operator("resend").splitlines() == [
            "Nothing to send.",
            "3 logs of running processes, which send them.",
        ]
        name = operator.ids()[0]
        operator("resend", name, code=2, error="in a running process")
        operator("purge", "--pending", "--yes", name, code=2, error="in a running proc")
        assert operator("purge", "--pending", "--yes") == "Nothing to remove.\n"
        assert server.arrived == 1
        assert len(operator.ids()) == 3

    def test_refused_again(self, server, operator, bury):
        bury(0, 3)
        server.be(lambda request: REFUSING if request.numbers == (1,) else HEALTHY)
        assert operator("resend", code=1).splitlines()[1:] == [
            "Delivered 2, pending 0, dead 1, dropped 0.",
            "`keywordsai spool list --state dead` shows why the service refused.",
        ]
        assert names(operator.folder) == [".dead", "salt"]
        server.be(HEALTHY)
        assert "Delivered 1, " in operator("resend")
        under_one_key_each(server)

    def test_the_service_is_down(self, server, operator, bury, leave):
        bury(0, 2)
        leave(10, 12)
        server.be(REFUSE)
        text = operator("resend", "--timeout", "1", code=1)
        assert "Delivered 0, pending 4, dead 0, dropped 0." in text
        assert operator.json("status")["total"]["pending"] == 4
        server.be(HEALTHY)
        assert "Delivered 4, " in operator("resend")
        under_one_key_each(server)

    def test_the_key_is_refused(self, server, operator, bury):
        bury(0, 2)
        server.be(Answer(401))
        started = time.monotonic()
        text = operator("resend", code=1, error="refused the API key (status 401)")
        assert time.monotonic() - started < 20
        assert "Delivered 0, pending 2, dead 0, dropped 0." in text

    def test_however_old_it_is(self, server, operator, bury, leave):
        bury(0, 2)
        leave(10, 12)
        for path in operator.folder.glob("*-*.d*"):
            database = sqlite3.connect(path)
            database.execute("UPDATE logs SET created = created - 400 * 86400")
            database.commit()
            database.close()
        assert "400 days" in operator("list")
        server.be(REFUSE)
        operator("resend", "--timeout", "1", code=1)
        ages = {one["id"]: one["age"] for one in operator.json("list")["logs"]}
        assert sum(age < 100 for age in ages.values()) == 2  # who were dead
        server.be(HEALTHY)
        assert "Delivered 4, " in operator("resend")

    def test_other_accounts(self, server, operator, leave, bury, running):
        program = running(0, 2, "api_key='another-key'")
        bury(10, 12, "api_key='a-third-key'")
        leave(20, 22, "api_key='a-fourth-key'")
        leave(30, 31)
        text = operator("resend")
        assert "Delivered 1, " in text
        assert "6 logs of another API key or base URL" in text
        name = operator.ids("--state", "dead")[0]
        operator("resend", name, code=2, error="--all-accounts")
        server.be(REFUSE)
        text = operator("resend", "--all-accounts", "--timeout", "1", code=1)
        assert "pending 6, dead 0, dropped 0." in text
        files = operator.json("status")["files"]
        assert [one["account"] for one in files if one["pending"]] == ["this"] * 3
        server.be(HEALTHY)
        assert "Delivered 6, " in operator(
            "resend", KEYWORDSAI_SPOOL=str(operator.folder)
        )
        server.check([0, 1, 10, 11, 20, 21, 30])
        under_one_key_each(server)
        assert {request.api_key for request in server.requests if request.status == 201} == {KEY}  # fmt: skip
        program.tell()
        program.end()
        assert names(operator.folder) == ["salt"]

    def test_another_base_url(self, server, operator, leave):
        leave(0, 2, "base_url='http://127.0.0.1:9'")
        server.be(REFUSE)
        operator("resend", "--all-accounts", "--timeout", "1", code=1)
        (one,) = operator.json("status")["files"]
        assert (one["account"], one["base_url"]) == ("this", f"{server.url}/api")
        server.be(HEALTHY)
        operator("resend")
        server.check([0, 1])

    def test_batches_stay_what_they_were(self, server, operator, programs):
        server.be(NO_ANSWER)
        options = "bulk=True, api_key='another-key'"
        text = LEAVE.format(first=0, last=30, options=options) + "say(); time.sleep(60)"
        program = programs.start(text)
        program.hear()
        server.wait_for(lambda: server.arrived)
        program.process.send_signal(signal.SIGKILL)
        program.end(code=-signal.SIGKILL)
        (request,) = server.requests
        name = next(
            log["id"] for log in operator.json("list")["logs"] if request.numbers
        )
        assert request.key in operator("show", name)
        operator("purge", "--pending", "--yes", name, code=2, error="all of the batch")
        server.be(HEALTHY)
        assert "Delivered 30, " in operator("resend", "--all-accounts")
        server.check(range(30))
        under = {one.key for one in server.requests if 0 in one.numbers}
        assert under == {request.key}

    def test_beside_a_process_that_takes_up_the_same(self, server, operator, programs, bury):  # fmt: skip
        bury(0, 50)
        slow = Answer(delay=0.05)
        server.be(slow)
        other = programs.start("client = connect(); client.create(log(99)); say(); sys.stdin.readline()")  # fmt: skip
        other.hear()
        for _ in range(3):
            assert operator("resend").startswith(("Sending 50", "Nothing"))
        server.check(range(50))
        other.tell()
        other.end()
        under_one_key_each(server)
        assert names(operator.folder) == ["salt"]

    def test_killed_at_any_moment(self, server, operator, running, bury, leave):
        chance = random.Random(3)
        program = running(0, 120)
        bury(200, 220, "api_key='a-third-key'")
        bury(300, 320)
        leave(400, 450, "api_key='another-key'")
        server.be(REFUSE)
        killed = 0
        for _ in range(15):
            line = chance.randrange(1, 2000)
            done = subprocess.run(
                [sys.executable, "-c", DIE, str(line)],
                env=operator.environ,
                capture_output=True,
                check=False,
            )
            assert done.returncode in {1, -signal.SIGKILL}, done.stderr
            killed += done.returncode != 1
        assert killed > 5
        server.be(HEALTHY)
        program.tell()
        program.end()
        operator("resend", "--all-accounts")
        server.check(
            [*range(120), *range(200, 220), *range(300, 320), *range(400, 450)]
        )
        under_one_key_each(server)
        assert set(names(operator.folder)) <= {"salt", ".lock"}

    @pytest.mark.parametrize(
        ("environ", "error"),
        [
            ({"KEYWORDSAI_API_KEY": ""}, "no API key"),
            ({"KEYWORDSAI_BASE_URL": "nonsense"}, "KEYWORDSAI_BASE_URL"),
            ({"KEYWORDSAI_ENABLED": "0"}, "KEYWORDSAI_ENABLED is off"),
        ],
    )
    def test_settings_are_needed(self, operator, leave, environ, error):
        leave(0, 1)
        operator("resend", code=2, error=error, **environ)
        assert operator.json("status")["total"]["pending"] == 1

    def test_a_bar_at_a_terminal(self, server, operator, bury):
        bury(0, 20)
        text = operator.at_a_terminal("resend")
        assert "100 %  20 of 20" in text
        assert "[####" in text
        assert text.count("\n") == 3

    def test_interrupted(self, server, operator, bury):
        bury(0, 20)
        server.be(NO_ANSWER)
        process = subprocess.Popen(
            operator.command("resend"),
            env=operator.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        server.wait_for(lambda: server.arrived > 20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (1, "")
        assert "Delivered 0, pending 20, dead 0, dropped 0." in out
        server.be(HEALTHY)
        operator("resend")
        server.check(range(20))


class TestPurging:
    def test_the_dead(self, server, operator, bury, running, leave):
        program = running(0, 2)
        bury(10, 13)
        leave(20, 22)
        error = "this would remove 5 dead logs for good; --yes"
        operator("purge", code=2, error=error)
        assert len(operator.ids()) == 7
        assert operator("purge", "--yes") == "Removed 5 dead logs.\n"
        assert len(operator.ids("--state", "pending")) == len(operator.ids()) == 2
        assert operator("purge") == "Nothing to remove.\n"
        program.tell()
        (said,) = program.end()
        assert said["delivered"] >= 1
        assert program.complaints == []

    def test_given_ids(self, operator, bury, leave):
        bury(0, 3)
        leave(10, 13)
        dead, pending = operator.ids("--state", "dead"), operator.ids("--state", "pending")  # fmt: skip
        operator("purge", "--yes", pending[0], code=2, error="--pending removes it")
        assert operator("purge", "--yes", dead[1]) == "Removed 1 dead log.\n"
        operator("purge", "--yes", dead[1], code=2, error=f"there is no log {dead[1]}")
        text = operator("purge", "--yes", "--pending", dead[0], *pending[:2])
        assert text == "Removed 1 dead log and 2 pending logs.\n"
        assert sorted(operator.ids()) == sorted([dead[2], pending[2]])

    def test_all_there_is(self, operator, bury, leave):
        bury(0, 3)
        leave(10, 14, "api_key='another-key'")
        aside = operator.folder / f"{'0' * 32}-1.db.corrupt"
        aside.write_bytes(b"x")
        aside.with_name(aside.name + "-wal").write_bytes(b"x")
        assert "Removed 3 dead logs and 4" in operator("purge", "--pending", "--yes")
        assert names(operator.folder) == [".corrupt", ".corrupt-wal", "salt"]
        text = operator("purge", "--corrupt", "--yes")
        assert text == "Removed 1 file that could not be read.\n"
        assert names(operator.folder) == ["salt"]

    @pytest.mark.parametrize(
        ("answer", "code", "said", "left"),
        [
            ("y\n", 0, "Removed 2 dead logs.", 0),
            ("n\n", 1, "Nothing was removed.", 2),
            ("\n", 1, "Nothing was removed.", 2),
            ("\x04", 1, "Nothing was removed.", 2),
            (None, 130, "", 2),
        ],
    )
    def test_asks_at_a_terminal(self, operator, bury, answer, code, said, left):
        bury(0, 2)
        text = operator.at_a_terminal("purge", answer=answer, code=code)
        assert f"Remove 2 dead logs from {operator.folder} for good? [y/N]" in text
        assert said in text
        assert "Traceback" not in text
        assert len(operator.ids()) == left


def test_a_running_process_is_not_disturbed(server, operator, programs):
    """It logs all the while, and half of it is refused."""
    server.be(lambda request: REFUSING if request.numbers[0] % 2 else HEALTHY)
    program = programs.start(
        """
        client = connect()
        times, number = [], 0
        end = time.monotonic() + 8
        while time.monotonic() < end:
            began = time.perf_counter()
            assert client.create(log(number)) == {"message": "log queued"}
            times.append(time.perf_counter() - began)
            number += 1
            time.sleep(0.002)
        say(count=number, longest=max(times), **sums(client.flush(20)))
        """,
        dev=False,
    )
    server.wait_for(lambda: server.arrived > 100)
    removed = 0
    while program.process.poll() is None and not removed > 3:
        operator("status")
        operator("list", "--state", "all")
        operator("resend", "--timeout", "5", code=1)
        removed += 1
    (said,) = program.end()
    assert program.complaints == []
    assert said["longest"] < 0.5
    # What `resend` took and left again counts anew, where the program adopted it.
    assert agrees(said)
    assert said["accepted"] >= said["count"]
    assert (said["delivered"], said["pending"]) == ((said["count"] + 1) // 2, 0)
    server.be(HEALTHY)
    operator("resend")
    server.check(range(said["count"]))
    under_one_key_each(server)


def test_every_option_is_in_the_reference(capsys):
    page = REFERENCE.read_text(encoding="utf-8")
    for action in ("status", "list", "show", "resend", "purge"):
        assert f"`keywordsai spool {action}" in page
        assert cli.main(["spool", action, "--help"]) == 0
        options = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
        assert {name for name in options if f"`{name}" not in page} == {"--help"}
