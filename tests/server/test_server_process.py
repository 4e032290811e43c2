"""The command line, and the server as a process: start, stop, crash, restart."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import signal
import socket
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from databases import contents
from server_tools import (
    DEADLINE,
    call,
    clean_environment,
    create,
    get,
    listed,
    run,
    serving,
    start,
    stopped,
    until,
)

from keywordsai.cli import main


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_and_nothing_is_lost(database, number):
    with serving(database) as (process, url):
        made = create(url, {"model": "m"})
        assert stopped(process, number) == (0, "", "")
    with serving(database) as (_, url):
        assert get(url, made)["as_sent"] == {"model": "m"}


def test_creates_under_way_are_committed_before_it_stops(database):
    with serving(database) as (process, url), ThreadPoolExecutor(8) as pool:

        def keep_creating():
            made = []
            with contextlib.suppress(
                OSError, http.client.HTTPException
            ):  # until it is gone
                while True:
                    made.append(create(url, {"n": len(made)}))
            return made

        running = [pool.submit(keep_creating) for _ in range(8)]
        while listed(url)["count"] < 50:
            pass
        assert stopped(process) == (0, "", "")
        made = [log_id for future in running for log_id in future.result()]
    with serving(database) as (_, url), ThreadPoolExecutor(8) as pool:
        assert len(made) >= 50
        assert [
            found["id"] for found in pool.map(lambda log_id: get(url, log_id), made)
        ] == made


def test_what_was_answered_outlives_a_kill(database):
    with serving(database) as (process, url):
        made = [create(url, {"n": n}) for n in range(5)]
        process.kill()
        process.wait()
    with serving(database) as (_, url):
        assert [row["id"] for row in listed(url, sort_by="id")["results"]] == made


def bulks_of(names, round_):
    return sum(name.startswith(f"bulk-{round_}-") for name in names)


def test_what_was_answered_outlives_a_kill_under_load(database):
    """Every log that was answered is there, and no bulk is there by half."""
    acknowledged, bulks = [], []
    for round_ in range(3):
        with serving(database) as (process, url), ThreadPoolExecutor(9) as pool:

            def create_on(name, url=url):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    while True:  # until it is gone
                        acknowledged.append(create(url, {"custom_identifier": name}))

            def bulk_on(name, url=url):
                path = f"{url}/api/request-logs/bulk/"
                with contextlib.suppress(OSError, http.client.HTTPException):
                    for n in itertools.count():
                        logs = [{"group_identifier": f"{name}-{n}"}] * 50
                        assert call(path, "POST", {"logs": logs}).status == 201
                        bulks.append(f"{name}-{n}")

            enough = len(acknowledged) + 100
            running = [pool.submit(create_on, f"{round_}-{n}") for n in range(8)]
            running.append(pool.submit(bulk_on, f"bulk-{round_}"))
            until(lambda enough=enough: len(acknowledged) >= enough and bulks)
            process.kill()
            for future in running:
                future.result()
    with serving(database) as (_, url), ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda log_id: get(url, log_id)["id"], acknowledged)
        assert list(found) == acknowledged
        # The last of each round may have been stored without an answer.
        begun = {f"bulk-{n}-{bulks_of(bulks, n)}" for n in range(3)} | {*bulks}
        counts = {
            name: listed(url, group_identifier=name, page_size=1)["count"]
            for name in begun
        }
        assert {counts[name] for name in bulks} == {50}
        assert {*counts.values()} <= {0, 50}


def test_an_idempotency_key_holds_over_a_restart(database, tmp_path):
    again = {"Idempotency-Key": "a-key-never-stored"}
    with serving(database) as (process, url):
        first = call(
            f"{url}/request-logs/create",
            "POST",
            {"n": 1},
            headers=again,
            key="account-key",
        )
        stopped(process)
    with serving(database) as (process, url):
        second = call(
            f"{url}/request-logs/create",
            "POST",
            {"n": 2},
            headers=again,
            key="account-key",
        )
        assert (second.status, second.body) == (201, first.body)
        assert listed(url)["count"] == 1
        stopped(process)
    stored = contents(database, tmp_path)
    assert b"a-key-never-stored" not in stored
    assert b"account-key" not in stored


def test_two_servers_share_one_file(database):
    with (
        serving(database) as (_, one),
        serving(database) as (_, two),
        ThreadPoolExecutor(16) as pool,
    ):

        def store(n):
            return create(
                (one, two)[n % 2], {"n": n}, headers={"Idempotency-Key": str(n // 2)}
            )

        ids = list(pool.map(store, range(40)))
        assert ids[0::2] == ids[1::2]
        assert listed(one)["count"] == listed(two)["count"] == 20


def test_the_key_from_the_environment_and_from_the_command_line(database):
    with serving(database, KEYWORDSAI_SERVER_API_KEY="secret") as (process, url):
        assert call(f"{url}/request-logs/list", key="secret").status == 200
        assert call(f"{url}/request-logs/list", key="other").status == 401
        assert stopped(process) == (0, "", "")
    with serving(
        database, "--api-key", "stated", KEYWORDSAI_SERVER_API_KEY="secret"
    ) as (_, url):
        assert call(f"{url}/request-logs/list", key="stated").status == 200
        assert call(f"{url}/request-logs/list", key="secret").status == 401


def test_another_host_with_a_key(database):
    with serving(database, "--host", "0.0.0.0", "--api-key", "k") as (_, url):
        port = url.rpartition(":")[2]
        assert call(f"http://127.0.0.1:{port}/request-logs/list", key="k").status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com", "::", ""])
def test_another_host_without_a_key_is_refused(host, capsys, monkeypatch, sqlite_file):
    monkeypatch.delenv("KEYWORDSAI_SERVER_API_KEY", raising=False)
    assert (
        main(["serve", "--host", host, "--database", sqlite_file, "--port", "0"]) == 2
    )
    out, err = capsys.readouterr()
    assert out == ""
    assert "needs an API key" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("host", ["127.0.0.2", "localhost"])
def test_loopback_needs_no_key(host, database):
    with serving(database, "--host", host) as (_, url):
        assert call(f"{url}/healthz", key=None).status == 200


def unusable_databases(folder):
    (folder / "text.db").write_text("this is no database, " * 100)
    newer = sqlite3.connect(folder / "other.db")
    newer.execute("CREATE TABLE logs (something TEXT)")
    newer.close()
    return [
        f"sqlite:///{folder}/missing/logs.db",
        f"sqlite:///{folder}",
        f"sqlite:///{folder}/text.db",
        f"sqlite:///{folder}/other.db",
        "postgresql://user:secret@localhost/logs",
        "nonsense",
        "",
        "sqlite+aiosqlite://",
        "nosuch://x",
        "sqlite:///a?timeout=x",
    ]


def test_unusable_options(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("KEYWORDSAI_SERVER_API_KEY", raising=False)
    cases = [
        (["--database", database, "--port", "0"], "database: ")
        for database in unusable_databases(tmp_path)
    ]
    cases += [
        (["--port", port], "--port")
        for port in ("x", "-1", "65536", "1.5", "999999999")
    ]
    cases += [
        (["--api-key", key, "--database", "sqlite://"], "api_key")
        for key in ("", "a b", "a\nb")
    ]
    cases += [
        (
            ["--allow-host", name, "--database", "sqlite://"],
            "allow_host: expected a name",
        )
        for name in ("http://x", "a:80", "*", "", "a/b", "a b")
    ]
    cases += [
        (
            [option, time, "--database", "sqlite://"],
            f"{option}: expected a span of time",
        )
        for option in ("--keep", "--window")
        for time in ("x", "0s", "1", "1y")
    ]
    cases += [(["--fault", "nonsense", "--database", "sqlite://"], "fault: 'nonsense'")]
    cases += [(["--nonsense"], "--nonsense")]
    for arguments, words in cases:
        assert main(["serve", *arguments]) == 2, arguments
        out, err = capsys.readouterr()
        assert out == ""
        assert words in err
        assert err.count("\n") == 1, err
        assert "secret" not in err
    assert main([]) == 2
    assert "COMMAND" in capsys.readouterr().err


def test_a_port_in_use(database):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = run("serve", "--port", str(port), "--database", database)
    assert (code, out) == (2, "")
    assert (
        err
        == f"keywordsai: cannot listen on 127.0.0.1, port {port}: Address already in use\n"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_where_it_cannot_listen_it_leaves_no_database(host, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "keywordsai", "serve", "--host", host, "--api-key", "k"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        cwd=tmp_path,
        env=clean_environment(),
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"keywordsai: cannot listen on {host}, port 8723: ")
    assert list(tmp_path.iterdir()) == []


def test_where_the_database_is_unusable_it_does_not_listen():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for _ in range(2):  # the port was given back
        code, out, err = run("serve", "--port", str(port), "--database", "nonsense")
        assert (code, out) == (2, "")
        assert err.startswith("keywordsai: database: ")


def test_version_and_help(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip()
    assert main(["serve", "--help"]) == 0
    assert "KEYWORDSAI_SERVER_API_KEY" in capsys.readouterr().out


def test_where_to_read_what_to_write(capsys):
    assert main([]) == 2
    assert capsys.readouterr().err.endswith("; see keywordsai --help\n")
    assert main(["push"]) == 2
    assert capsys.readouterr().err.endswith("; see keywordsai push --help\n")


@pytest.mark.parametrize("flags", [(), ("-X", "dev", "-W", "error")])
def test_the_quickstart_works_and_leaves_nothing_behind(flags, tmp_path):
    here, temporary = tmp_path / "here", tmp_path / "temporary"
    here.mkdir()
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, *flags, "-m", "keywordsai", "quickstart"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        cwd=here,
        env=clean_environment(
            TMPDIR=str(temporary),
            HOME=str(here),
            KEYWORDSAI_ENABLED="0",
            HTTP_PROXY="http://127.0.0.1:1",
        ),
    )
    # Development mode tells of callbacks that took long, as they do on a busy machine.
    said = [line for line in done.stderr.splitlines() if " took " not in line]
    assert (done.returncode, said) == (0, [])
    assert done.stdout.count("log successful") == 2
    assert "2 logs" in done.stdout
    assert list(here.iterdir()) == list(temporary.iterdir()) == []


@pytest.mark.parametrize("command", ["serve", "quickstart"])
@pytest.mark.parametrize("missing", ["sqlalchemy"])
def test_without_the_extra_it_says_what_to_install(command, missing, tmp_path):
    (tmp_path / f"{missing}.py").write_text(
        f"raise ModuleNotFoundError(\"No module named '{missing}'\", name='{missing}')\n"
    )
    code = "import sys; from keywordsai.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, command],
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(PYTHONPATH=str(tmp_path)),
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert (
        done.stderr
        == "keywordsai: this needs the server extra; in a clone of the project: pip install '.[server]'\n"
    )


INTERRUPTED = """
import importlib.abc, os, signal, sys

module = sys.argv[1]

class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from keywordsai.__main__ import main
sys.argv[1:2] = ["serve", "--port", "0", "--database", "sqlite://"]
sys.exit(main())
"""


@pytest.mark.parametrize(
    "module",
    [
        "keywordsai.cli",
        "keywordsai.server.cli",
        "aiohttp",
        "sqlalchemy.engine",
        "keywordsai.server.mounting",
    ],
)
def test_ctrl_c_during_the_imports_ends_it_quietly(module):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, module],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        env=clean_environment(),
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


STUCK = """
import sys, time
from keywordsai.server import cli, store
cli._SLOWEST_STOP = 0.5
store.Store.find_one = lambda self, log_id: log_id and time.sleep(3600)
sys.exit(cli.run(__import__("keywordsai.cli").cli._parser().parse_args(sys.argv[1:])))
"""


def test_a_read_without_end_does_not_keep_it_from_stopping():
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            STUCK,
            "serve",
            "--port",
            "0",
            "--database",
            "sqlite://",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    with process:
        url = process.stdout.readline().split()[-1]
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname, parts.port), DEADLINE) as client:
            client.sendall(
                f"GET /request-logs/{'0' * 32} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer k\r\n\r\n".encode()
            )
            assert call(f"{url}/healthz").status == 200  # that request was read too
            code, _, err = stopped(process)
    assert code == 1
    assert err == "keywordsai: a request would not end; stopped without it\n"


def test_several_keys(sqlite_file):
    with serving(sqlite_file, "--api-key", "one", "--api-key", "two,three") as (_, url):
        for key, status in (("one", 200), ("two,three", 200), ("two", 401), ("", 401)):
            assert call(f"{url}/request-logs/list", key=key).status == status
    with serving(sqlite_file, KEYWORDSAI_SERVER_API_KEY=" one two,three ") as (_, url):
        for key, status in (("one", 200), ("two,three", 200), ("two", 401)):
            assert call(f"{url}/request-logs/list", key=key).status == status


def test_what_it_says_at_the_start(sqlite_file):
    with start(
        "serve", "--port", "0", "--database", sqlite_file, "--api-key", "secret"
    ) as process:
        said = [process.stdout.readline() for _ in range(5)]
        url = said[0].split()[-1]
        assert call(f"{url}/healthz", key=None).status == 200
        assert stopped(process, signal.SIGINT) == (0, "", "")
    assert f"KEYWORDSAI_BASE_URL={url}/api\n" in said[1]
    assert f" {url}/\n" in said[3]
    assert "secret" not in "".join(said)


def test_the_access_log_says_nothing_of_what_is_logged(sqlite_file):
    with serving(sqlite_file, "--access-log", "--fault", "close first 1") as (
        process,
        url,
    ):
        with pytest.raises(http.client.RemoteDisconnected):
            call(f"{url}/request-logs/list?model=private")
        made = create(url, {"text": "private words"})
        get(url, made)
        call(f"{url}/private/path?customer_identifier=private", "PROPFIND")
        code, out, err = stopped(process)
    assert (code, out) == (0, "")
    assert "private" not in err
    assert made not in err
    lines = [json.loads(line) for line in err.splitlines()]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("GET", "/request-logs/list", None),
        ("POST", "/api/request-logs/create/", 201),
        ("GET", "/api/request-logs/{id}/", 200),
        ("OTHER", "{unknown}", 404),
    ]
    assert lines[1]["bytes_in"] == len('{"text": "private words"}')
    assert lines[2]["bytes_out"] > 100
    for line in lines:
        assert list(line) == [
            "time",
            "method",
            "path",
            "status",
            "bytes_in",
            "bytes_out",
            "ms",
            "peer",
        ]
        assert line["peer"] == "127.0.0.1"
        assert 0 <= line["ms"] < 20_000
        assert line["time"].endswith("Z")
