"""``keywordsai push``: the logs of a database sent on, each once, whatever happens."""

from __future__ import annotations

import json
import re
import signal

import pytest
from server_tools import call, run, serving, start, until

from keywordsai import LogAPI, cli
from keywordsai.push.bodies import body_of
from keywordsai.server.serving import serve_in_thread
from keywordsai.server.store import StoredLog

KEY = "key-of-the-push-tests"


@pytest.fixture
def target():
    """The service that logs are pushed to."""
    with serve_in_thread(api_key=KEY) as url, LogAPI(KEY, url) as client:
        yield client


@pytest.fixture
def push(target, database, monkeypatch, capsys):
    """Runs the command: its exit code, and what it printed."""
    monkeypatch.setenv("KEYWORDSAI_BASE_URL", url_of(target))
    monkeypatch.setenv("KEYWORDSAI_API_KEY", KEY)

    def command(*options):
        code = cli.main(["push", "--from", database, *options])
        out, err = capsys.readouterr()
        return code, out, err

    return command


def url_of(client):
    return client._settings.base_url.removesuffix("/api")


def fault(client, *texts):
    answer = call(f"{url_of(client)}/_faults", "PUT", {"faults": list(texts)}, key=KEY)
    assert answer.status == 200, answer.body


def given(database, number, **fields):
    with LogAPI(base_url=database, block=False, exit_timeout=20) as client:
        for i in range(number):
            client.create({"model": f"m{i}", **fields})


def models(client):
    return sorted(
        log.model for log in client.list(page_size=1000, start_time="1990-01-01")
    )


def test_each_log_is_sent_once_as_it_was_given(target, push, database):
    year = "1990-01-01"
    log = {"model": "gpt-4", "cost": 1.10, "mine": [None, "ü"], "timestamp": "2026-01-02T03:04:05Z"}  # fmt: skip
    with LogAPI(base_url=database) as client:
        first = client.get(client.create(log)["id"])
        second = client.get(client.create({"model": "gpt-5", "cost": 2.5})["id"])
    code, out, err = push()
    assert (code, err) == (0, "")
    assert out == (
        f"Pushing 2 logs to {url_of(target)}/api (0 pushed before)\n"
        "Delivered 2, refused 0, left 0.\n"
    )
    found = {one.model: target.get(one.id) for one in target.list(start_time=year)}
    assert found["gpt-4"].sent == log
    assert found["gpt-4"].timestamp == first.timestamp
    # Of the other the time of its arrival is added, lest it be that of the push.
    assert found["gpt-5"].timestamp == second.timestamp
    assert dict(found["gpt-5"].sent).keys() == {"model", "cost", "timestamp"}
    code, out, err = push()
    assert (code, out) == (0, f"Nothing to push to {url_of(target)}/api (2 pushed before).\n")  # fmt: skip
    given(database, 1)
    assert push()[1].endswith("Delivered 1, refused 0, left 0.\n")
    assert target.list(start_time=year).count == 3


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ('{"timestamp": "2026", "a":1}', '{"timestamp": "2026", "a":1}'),
        ('{"timestamp": 0}', '{"timestamp": 0}'),
        ("{}", '{"timestamp": "1970-01-01T00:00:01.000000Z"}'),
        (' { "a" : {"timestamp": 1} } \n', ' { "a" : {"timestamp": 1} , "timestamp": "1970-01-01T00:00:01.000000Z"}'),
        ('{"timestamp": null}', '{"timestamp": null, "timestamp": "1970-01-01T00:00:01.000000Z"}'),
        ('{"a": "é\\ud800", "n": 1.10}', '{"a": "é\\ud800", "n": 1.10, "timestamp": "1970-01-01T00:00:01.000000Z"}'),
    ],
)  # fmt: skip
def test_nothing_but_a_missing_time_is_added(text, sent):
    made = body_of(StoredLog(id="a", timestamp=1_000_000, body=text))
    assert made.decode() == sent
    assert json.loads(made)["timestamp"] is not None


def test_a_log_that_was_changed_is_sent_as_it_reads():
    log = StoredLog(
        id="a",
        timestamp=0,
        body='{"metadata": {"a": 1, "b": 2}, "cost": 1.10, "timestamp": "2026-01-01"}',
        changes='{"metadata": {"b": 3}, "note": "ü"}',
    )
    assert json.loads(body_of(log)) == {
        "metadata": {"a": 1, "b": 3},
        "cost": 1.10,
        "timestamp": "2026-01-01",
        "note": "ü",
    }


def test_a_log_that_is_changed_before_it_is_pushed(target, push, database):
    with LogAPI(base_url=database) as client:
        log_id = client.create({"model": "gpt-4", "metadata": {"a": 1}})["id"]
    with serve_in_thread(database=database) as url:
        path = f"{url}/api/request-logs/{log_id}/"
        answer = call(path, "PATCH", {"note": "as it reads", "metadata": {"b": 2}})
        assert answer.status == 200, answer.body
    assert push()[0] == 0
    (log,) = target.list(start_time="1990-01-01")
    sent = target.get(log.id).sent
    assert (sent["note"], sent["metadata"]) == ("as it reads", {"a": 1, "b": 2})


def test_refused_logs_are_told_of_and_not_sent_again(target, push, database):
    given(database, 10)
    fault(target, "422 every 5")
    code, out, err = push()
    assert (code, err) == (1, "")
    assert "Delivered 8, refused 2, left 0.\n" in out
    assert len(re.findall(r"(?m)^  [0-9a-f]{32}  422: A fault on demand", out)) == 2
    assert out.endswith("Refused logs are not sent again, but with --retry-refused.\n")
    fault(target)
    code, out, _ = push()
    assert (code, out.split("(")[1].split(")")[0]) == (0, "8 pushed before, 2 refused")
    code, out, _ = push("--retry-refused")
    assert (code, out.splitlines()[-1]) == (0, "Delivered 2, refused 0, left 0.")
    assert target.list().count == 10


def test_what_fails_in_passing_is_tried_again(target, push, database):
    given(database, 40)
    fault(target, "503 every 3", "drop-response 0.2")
    code, out, _ = push()
    while code == 1:  # those that dropped too often are left
        assert "What is left goes with the next push." in out
        code, out, _ = push()
    assert code == 0
    fault(target)
    assert target.list().count == 40


def test_a_service_that_is_down_is_left_alone(target, push, database, monkeypatch):
    monkeypatch.setattr("keywordsai.push.cli._RETRY", 1)
    given(database, 100)
    fault(target, "503")
    code, out, err = push()
    assert (code, err) == (1, "keywordsai: 503: A fault on demand: 503\n")
    assert "Delivered 0, refused 0, left 100.\n" in out
    fault(target)
    assert push()[0] == 0
    assert target.list().count == 100


def test_a_service_that_goes_down_half_way(target, push, database, monkeypatch):
    monkeypatch.setattr("keywordsai.push.cli._RETRY", 1)
    given(database, 200)
    taken = [None] * 30

    def through(pushed):  # asked before each log: the service goes down meanwhile
        if taken and pushed.delivered:
            taken.pop()
            if not taken:
                fault(target, "503")
        return pushed.delivered

    monkeypatch.setattr("keywordsai.push.sending.Pushed.through", property(through))
    code, out, err = push()
    assert (code, err) == (1, "keywordsai: 503: A fault on demand: 503\n")
    numbers = re.findall(r"Delivered (\d+), refused 0, left (\d+)\.", out)[0]
    delivered, left = map(int, numbers)
    assert delivered + left == 200
    assert delivered >= 10
    fault(target)
    assert target.list().count == delivered
    assert push()[0] == 0
    assert target.list().count == 200


def test_a_key_that_is_refused_is_tried_once(target, push, database):
    given(database, 30)
    code, out, err = push("--api-key", "another-key")
    assert code == 1
    assert err.startswith("keywordsai: 401: Your API key is invalid")
    assert "left 30." in out


def test_accounts_are_told_apart_and_no_key_is_kept(target, push, sqlite_file, monkeypatch, tmp_path, capsys):  # fmt: skip
    given(sqlite_file, 3)
    arguments = ["push", "--from", sqlite_file]
    assert cli.main(arguments) == 0
    with serve_in_thread() as other:
        assert cli.main([*arguments, "--base-url", other]) == 0
        assert cli.main([*arguments, "--base-url", other, "--api-key", "k2-of-the-push-tests"]) == 0  # fmt: skip
        assert cli.main([*arguments, "--base-url", other]) == 0
        with LogAPI("any", other) as client:
            assert client.list().count == 6  # two accounts' logs
    assert capsys.readouterr().out.count("Delivered 3") == 3
    for path in tmp_path.iterdir():
        assert b"of-the-push-tests" not in path.read_bytes()


def test_only_some_of_them(target, push, database):
    for day in range(1, 6):
        given(database, 1, timestamp=f"2026-01-0{day}T12:00:00Z")
    code, out, _ = push("--since", "2026-01-02", "--until", "2026-01-04", "--dry-run")
    assert (code, out.split(" to ")[0]) == (0, "Would push 2 logs")
    assert target.list(start_time="2020-01-01").count == 0
    assert "Delivered 1," in push("--since", "2026-01-02", "--limit", "1")[1]
    (log,) = target.list(start_time="2020-01-01")
    assert log.timestamp.day == 2
    assert "Delivered 4," in push()[1]


def test_what_is_gone_is_forgotten(target, push, database):
    import sqlalchemy as sa

    given(database, 2)
    assert push()[0] == 0
    engine = sa.create_engine(
        database.replace("postgresql://", "postgresql+psycopg://")
    )
    with engine.begin() as connection:
        one = connection.execute(sa.text("SELECT max(id) FROM logs")).scalar_one()
        connection.execute(sa.text("DELETE FROM logs WHERE id = :id"), {"id": one})
    engine.dispose()
    assert "(1 pushed before)" in push()[1]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--from", "logs.db"], "--from: expected a database"),
        (["--from", "sqlite:////no/such.db"], "--from: there is no file /no/such.db"),
        (["--from", "sqlite:////dev/null"], "--from: cannot use sqlite:////dev/null"),
        (["--since", "soon"], "--since: expected an ISO 8601 time"),
        (["--until", "later"], "--until: expected an ISO 8601 time"),
        (["--limit", "0"], "--limit: expected a number from 1 on"),
        (["--base-url", "sqlite:///other.db"], "the base URL is a database itself"),
        (["--base-url", "nonsense"], "base_url must be"),
        (["--api-key", "a b"], "api_key is no API key"),
    ],
)
def test_options_that_cannot_be_used(push, sqlite_file, options, text):
    given(sqlite_file, 1)
    code, out, err = push(*options)
    assert (code, out) == (2, "")
    assert text in err
    assert err.count("\n") == 1


def test_without_a_key_the_option_is_named(push, monkeypatch):
    monkeypatch.delenv("KEYWORDSAI_API_KEY")
    code, _, err = push()
    assert code == 2
    assert err.startswith("keywordsai: no API key: pass --api-key, or set")


def test_when_logging_is_off_nothing_is_sent(push, monkeypatch):
    monkeypatch.setenv("KEYWORDSAI_ENABLED", "0")
    assert "KEYWORDSAI_ENABLED is off" in push()[2]


# Whole processes.


def environment(target):
    return {"KEYWORDSAI_BASE_URL": url_of(target), "KEYWORDSAI_API_KEY": KEY}


def test_killed_and_begun_again_each_log_arrives_once(target, database):
    given(database, 400)
    fault(target, "latency 5ms")
    for least in (20, 60):
        with start("push", "--from", database, **environment(target)) as process:
            until(lambda: target.list(page_size=1).count > least)  # noqa: B023
            process.kill()
            process.communicate()
    fault(target)
    code, _out, err = run("push", "--from", database, **environment(target))
    assert (code, err) == (0, "")
    assert models(target) == sorted(f"m{i}" for i in range(400))


def test_interrupted_the_numbers_add_up(target, database):
    given(database, 2000)
    fault(target, "latency 20ms")
    with start("push", "--from", database, **environment(target)) as process:
        until(lambda: target.list(page_size=1).count > 40)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")
    numbers = re.findall(r"Delivered ([\d,]+), refused 0, left ([\d,]+)\.", out)[0]
    delivered, left = (int(number.replace(",", "")) for number in numbers)
    assert delivered + left == 2000
    assert delivered > 20
    fault(target)
    _code, out, _ = run("push", "--from", database, **environment(target))
    assert f"({delivered:,} pushed before)" in out
    assert f"Delivered {left:,}," in out
    assert target.list(page_size=1).count == 2000


def test_a_server_and_clients_use_the_file_meanwhile(target, database):
    given(database, 50)
    with serving(database) as (_process, url), LogAPI("any", url) as remote:
        remote.create({"model": "remote"})
        code, out, err = run("push", "--from", database, **environment(target))
        assert (code, err) == (0, "")
        assert "Delivered 51," in out
        remote.create({"model": "later"})
    assert run("push", "--from", database, **environment(target))[0] == 0
    assert target.list().count == 52
