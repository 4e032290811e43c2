"""What the tests of servers stand on: who takes the logs, and who runs the programs.

`Recorder` is the service; it can be told to keep its answers back. So a test lets the
logs pile up, ends the server, waits until its processes are at their exit, and only
then lets the answers go: what is delivered then, the exit has delivered.
"""

import http.client
import http.server
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

APPS = Path(__file__).parent / "apps"
PATIENCE = 30  # seconds: what takes longer has failed
ANSWER = b'{"message": "log successful"}'
# On stderr: what went wrong, and whatever our own logger says.
BAD_SIGNS = ("Traceback", "Exception ignored", "keywordsai:")


def needs(module):
    """Import a framework, or skip the tests of it; where CI=true it has to be there."""
    if os.environ.get("CI") == "true":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own affair
            return importlib.import_module(module)
    return pytest.importorskip(
        module, reason=f"{module} is not installed: pip install 'keywordsai[test]'"
    )


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.recorder.take(self.headers["Idempotency-Key"], body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_):
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them
    request_queue_size = 128

    def __init__(self, recorder):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.recorder = recorder
        self.connections = set()

    def process_request(self, request, address):
        self.connections.add(request)
        super().process_request(request, address)

    def shutdown_request(self, request):
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_):
        """A client that was killed is no error."""

    def hang_up(self):
        for request in list(self.connections):
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)


class Recorder:
    """The service: it takes every log, and knows under which key it came.

    Attributes:
        answered: Idempotency key and name of each log that was answered, in order.
    """

    def __init__(self):
        self.answered = []
        self._asked = 0
        self._changed = threading.Condition()
        self._held = False
        self._server = _Server(self)
        # By its name: to look that up at the exit takes some care too.
        self.url = f"http://localhost:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.answer()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    def take(self, key, body):
        """Record a request, once it may be answered."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._held)
            self.answered.append((key, json.loads(body)["custom_identifier"]))
            self._changed.notify_all()

    def hold(self):
        """Keep all answers back."""
        with self._changed:
            self._held = True

    def answer(self, *, after=0):
        """Give the answers that were kept back, and those to come, in some seconds."""
        time.sleep(after)
        with self._changed:
            self._held = False
            self._changed.notify_all()

    def hang_up(self):
        """Close the connections, as servers do with those that rest too long."""
        self._server.hang_up()

    def was_asked(self, times):
        """Wait until so many requests came, answered or not."""
        self._wait(lambda: self._asked >= times)

    def has(self, count):
        """Wait until so many requests were answered."""
        self._wait(lambda: len(self.answered) >= count)

    def _wait(self, condition):
        with self._changed:
            came = self._changed.wait_for(condition, PATIENCE)
            assert came, f"{self._asked} requests, {len(self.answered)} answers"

    def took_once(self, names, *, again=False):
        """Each of these logs was delivered once, under a key of its own; no other.

        Args:
            names: The logs' names.
            again: Whether a log may have come again under the same key.
        """
        taken = set(self.answered) if again else self.answered
        came = Counter(name for _, name in taken)
        wrong = {
            name: came[name]
            for name in {*names, *came}
            if came[name] != (name in names)
        }
        assert not wrong, f"came so often: {wrong}"
        assert len({key for key, _ in taken}) == len(names)


class Program:
    """A program in a session of its own, so that nothing of it outlives the test.

    Attributes:
        process: The one that was started.
        folder: Where it runs.
        spool: The folder where its logs wait; None for memory.
        marks: A folder for files that its processes make, to say where they are.
        environment: Its variables.
        fd: A socket of ours, for it to take requests from, if it does.
        address: Where that listens.
    """

    def __init__(self, folder, url):
        self.folder = folder
        self.spool = None
        self.marks = folder / "marks"
        self.marks.mkdir()
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(APPS), os.environ.get("PYTHONPATH")])
            ),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_RUNTIME_DIR": str(folder),  # gunicorn has a socket there
            "MARKS": str(self.marks),
            "KEYWORDSAI_API_KEY": "key-of-tests",
            "KEYWORDSAI_BASE_URL": url,
        }
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.fd = self._listener.fileno()
        self.address = self._listener.getsockname()
        self.process = None

    def use_folder(self):
        """Have its logs wait in a folder, not in memory."""
        self.spool = self.folder / "spool"
        self.environment["KEYWORDSAI_SPOOL"] = str(self.spool)

    def start(self, *arguments, **options):
        """Run ``python …``."""
        with (self.folder / "stderr").open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                env=self.environment,
                cwd=self.folder,
                stderr=stderr,
                pass_fds=[self.fd],
                start_new_session=True,
                **options,
            )

    def run(self, *arguments):
        """Run ``python …`` to its end."""
        self.start(*arguments)
        self.ends()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def ends(self, *codes):
        """Wait for its end, which must be well, and silent about us."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            code = "it did not end"
        assert code in (codes or (0,)), self.stderr()
        said = self.stderr()
        assert not [sign for sign in BAD_SIGNS if sign in said], said

    def stderr(self):
        return (self.folder / "stderr").read_text()

    def left_nothing(self):
        """No file of a queue is left: every process ended in order."""
        if self.spool is not None:
            assert [one.name for one in self.spool.iterdir()] == ["salt"]

    def marked(self, what):
        """The ids of the processes that said this of themselves."""
        return [path.name.rpartition("-")[2] for path in self.marks.glob(f"{what}-*")]

    def until(self, what, times):
        """Wait until its processes said something of themselves so many times."""
        end = time.monotonic() + PATIENCE
        while len(self.marked(what)) < times:
            well = time.monotonic() < end and self.process.poll() is None
            assert well, f"not {times} times {what}: {self.stderr()}"
            time.sleep(0.01)

    def get(self, name):
        """Ask it for a page over HTTP; the answer's JSON."""
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        try:
            connection.request("GET", f"/{name}")
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, body
            return json.loads(body)
        finally:
            connection.close()

    def get_all(self, names):
        """Ask for many pages, some at a time."""
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(self.get, names))

    def kill(self):
        """End it and whatever it started."""
        self._listener.close()
        if self.process is not None:
            # Its group may be there when it is not.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)
