"""Answers that get lost after our own server has stored the log: it is stored once."""

import contextlib
import socket
import threading

import pytest
from programs import LOGS, Programs, agrees, until

from keywordsai import LogAPI
from keywordsai.server.app import serve_in_thread


class Thief:
    """Passes requests on, waits for the answers, and keeps some to itself.

    Args:
        port: Of the server.
        steals: Of an answer's number, from 0 on, whether it is lost.
    """

    def __init__(self, port, steals):
        self.passed = self.stolen = 0
        self._port, self._steals = port, steals
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._listener = self._stack.enter_context(
            socket.create_server(("127.0.0.1", 0))
        )
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._stack.callback(self._end)

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _end(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self):
        with contextlib.suppress(OSError):  # it was shut down
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, client):
        with (
            contextlib.suppress(ConnectionError),  # of one that was killed
            client,
            socket.create_connection(("127.0.0.1", self._port)) as server,
            client.makefile("rb") as asked,
            server.makefile("rb") as answered,
        ):
            while request := message(asked):
                server.sendall(request)
                answer = message(answered)
                with self._lock:
                    stolen = self._steals(self.passed)
                    self.passed += 1
                    self.stolen += stolen
                if stolen:
                    return
                client.sendall(answer)


def message(file):
    """A request or an answer, whole; empty at the end."""
    head, length = b"", 0
    while line := file.readline():
        head += line
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        if line == b"\r\n":
            return head + file.read(length)
    return b""


@pytest.fixture
def own():
    with serve_in_thread() as url:
        yield url


@pytest.fixture
def programs_over(own, tmp_path):
    """Programs that log to our own server by way of a thief."""
    with contextlib.ExitStack() as stack:

        def over(steals):
            port = int(own.rpartition(":")[2])
            thief = stack.enter_context(Thief(port, steals))
            return thief, stack.enter_context(Programs(thief.url, tmp_path / "spool"))

        yield over


def stored(url):
    """The numbers of the logs that our server has, in order."""
    with LogAPI(api_key="key-of-tests", base_url=url) as client:
        numbers = []
        page = 1
        while rows := client.list(page=page, page_size=1000).results:
            numbers += [row.metadata["number"] for row in rows]
            page += 1
    return sorted(numbers)


STEALS = {
    "the first": lambda number: number < 2,
    "every third of fifty": lambda number: number < 50 and number % 3 == 0,
}
CREATE = """
client = connect(bulk=%s)
for number in range(%d):
    client.create(log(number))
"""
FLUSH = "say(**sums(client.flush(20)))"


@pytest.mark.parametrize(
    ("steals", "where"), [("the first", "folder"), ("every third of fifty", "memory")]
)
@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_lost_answers(own, programs_over, bulk, steals, where):
    thief, programs = programs_over(STEALS[steals])
    logs = 15 * LOGS if bulk else LOGS
    folder = "" if where == "memory" else None
    (flushed,) = programs.run(CREATE % (bulk, logs), FLUSH, folder=folder)
    assert stored(own) == list(range(logs))
    assert agrees(flushed)
    assert flushed["delivered"] == logs
    assert thief.stolen >= 2
    assert thief.passed < (logs / 10 if bulk else 2 * logs)


@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_lost_answers_of_one_that_died(own, programs_over, bulk):
    """The next process sends the same again, in the same company, under the same key."""
    thief, programs = programs_over(lambda number: number < 1)
    logs = 3 * LOGS
    dead = programs.start(CREATE % (bulk, logs), "say(); time.sleep(60)")
    dead.hear()
    until(lambda: thief.stolen)
    dead.kill()
    (flushed,) = programs.run("client = connect()", FLUSH)
    assert stored(own) == list(range(logs))
    assert agrees(flushed)
