"""Logs stored by a process of its own, beside the one that takes them in.

Python runs one thread at a time, so what a log is found by is worked out, and
stored, beside the event loop only in another process. It is sent what was posted
over its standard input, stores it, and says under which ids. It ends when that
input does: it outlives its server by no more than the logs that it has in hand.
On Windows there is none.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

import attrs
from sqlalchemy.exc import StatementError

from keywordsai.errors import ConfigurationError
from keywordsai.server.engines import StoreUncertain
from keywordsai.server.newlogs import PostedLog
from keywordsai.server.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["WriterProcess", "main"]

# It looks for modules where this process does, and not in the folder it runs in. Its
# answers have a pipe of their own: anything may print as a Python starts.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from keywordsai.server.writing import main; main(int(sys.argv[1]))"
)
_MARK = "_KEYWORDSAI_WRITER"  # in its environment: it has no writer of its own
_LENGTH = 8  # bytes, before each message
_LONGEST_END = 10.0  # seconds
_ALONE = "the server stores logs without a process of its own for it"

_log = logging.getLogger("keywordsai.server")


@attrs.frozen
class _Channel:
    """Messages to a process and from it, one after the other."""

    source: IO[bytes]
    sink: IO[bytes]

    def send(self, message: Any) -> None:
        """Send a message, the whole of it.

        Raises:
            OSError: The other process is gone, and has not read it.
        """
        raw = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self.sink.write(len(raw).to_bytes(_LENGTH, "big"))
        self.sink.write(raw)
        self.sink.flush()

    def receive(self) -> Any:
        """Wait for the next message.

        Raises:
            EOFError: There is none, or not the whole of it.
        """
        length = int.from_bytes(self._exactly(_LENGTH), "big")
        return pickle.loads(self._exactly(length))  # noqa: S301  our own process's

    def _exactly(self, length: int) -> bytes:
        raw = self.source.read(length)
        if len(raw) < length:
            raise EOFError
        return raw

    def close(self) -> None:
        """Close both ends, whatever waits to be sent."""
        for stream in (self.sink, self.source):
            with contextlib.suppress(OSError):
                stream.close()


class WriterProcess:
    """Stores logs by another process; by this one while there is no other.

    Args:
        url: Of the database, which another process can open too.
        store: The same, opened in this process.
    """

    def __init__(self, url: str, store: Store) -> None:
        self._store = store
        self._is_ready = self._is_closed = False
        self._process: subprocess.Popen[bytes] | None = None
        if not _can_start():
            return
        try:
            self._process, self._channel = _start()
        except OSError as error:
            _log.warning("%s: %s", _ALONE, error.strerror)
            return
        self._beginning = threading.Thread(
            target=self._begin, args=(url,), name="keywordsai-writer", daemon=True
        )
        self._beginning.start()

    def _begin(self, url: str) -> None:
        """Wait until it is ready, which takes as long as a Python takes to start."""
        try:
            # Not as an argument: the URL may hold a password.
            self._channel.send(url)
            self._is_ready = self._channel.receive()
        except (OSError, EOFError, ValueError):  # the last of a pipe closed here
            if not self._is_closed:
                _log.warning("%s: it ended as it began", _ALONE)

    def add_posted(self, posted: Sequence[PostedLog]) -> list[str]:
        """As `keywordsai.server.store.Store.add_posted`; by one thread at a time.

        Raises:
            StoreUncertain: The other process ended with these logs in hand.
        """
        if not self._is_ready:
            return self._store.add_posted(posted)
        try:
            self._channel.send(
                [(it.id, it.arrived, it.body, it.idempotency) for it in posted]
            )
        except OSError:
            self._lose()
            return self._store.add_posted(posted)
        try:
            stored = self._channel.receive()
        except (OSError, EOFError) as error:
            self._lose()
            raise StoreUncertain from error
        if isinstance(stored, Exception):
            raise stored
        ids: list[str] = stored
        return ids

    def _lose(self) -> None:
        """Go on without it."""
        self._is_ready = False
        _log.warning("%s: it ended", _ALONE)
        self._end()

    def close(self) -> None:
        """Have the other process end, and wait for it. Closing twice is fine."""
        self._is_closed, self._is_ready = True, False
        self._end()

    def _end(self) -> None:
        if self._process is None:
            return
        with contextlib.suppress(OSError):
            self._channel.sink.close()
        try:
            self._process.wait(_LONGEST_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._beginning.join()
        self._channel.close()


def _can_start() -> bool:
    """Whether this interpreter can be started once more, to run what it is told.

    Of a program that was frozen into one file it is that program.
    """
    frozen = getattr(sys, "frozen", False)
    return (
        os.name == "posix"
        and bool(sys.executable)
        and not (frozen or _MARK in os.environ)
    )


def _start() -> tuple[subprocess.Popen[bytes], _Channel]:
    source, answers = os.pipe()
    try:
        with _signals_blocked():
            process = subprocess.Popen(  # noqa: S603  this very interpreter
                [sys.executable, "-c", _PROGRAM, str(answers), *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[answers],
                env={**os.environ, _MARK: "1"},
            )
    except BaseException:
        os.close(source)
        raise
    finally:
        os.close(answers)
    sink: Any = process.stdin
    return process, _Channel(os.fdopen(source, "rb"), sink)


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """A process that begins meanwhile never gets the signals that end a server.

    They may be sent to both, by Ctrl-C or by a service manager; but the server has
    logs in hand, and ends this process itself when those are stored.
    """
    ending = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def main(answers: int) -> None:
    """Store what comes over standard input, until that ends.

    Args:
        answers: The file descriptor to write answers to.
    """
    # The server may be gone in the middle of anything, then of closing the pipe too.
    with (
        contextlib.suppress(EOFError, BrokenPipeError),
        os.fdopen(answers, "wb") as sink,
    ):
        _serve(_Channel(sys.stdin.buffer, sink))


def _serve(channel: _Channel) -> None:
    try:
        store = Store.open(channel.receive())
    except ConfigurationError as error:
        sys.exit(f"keywordsai: {error}")
    is_ready = True
    with contextlib.closing(store):
        channel.send(is_ready)
        while True:
            channel.send(_stored(store, channel.receive()))


def _stored(store: Store, sent: list[tuple[str, int, str, str | None]]) -> Any:
    """The ids of logs once they are stored, or why they are not."""
    posted = [
        PostedLog(id=log_id, arrived=arrived, body=body, idempotency=digest)
        for log_id, arrived, body, digest in sent
    ]
    try:
        return store.add_posted(posted)
    except StatementError as error:
        error.params = None  # they are the logs
        return error
    except Exception as error:  # noqa: BLE001  whoever waits raises it
        return error
