"""The transport without a network: a request to the local server's own handler.

What `keywordsai.server.handler` answers over HTTP it answers here, over the same
store. SQLite's connections must not be carried into a forked child, so a fork waits
until nobody is at work here, and closes them first; each side opens its own again.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import attrs
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection

from keywordsai._logging import logger
from keywordsai.errors import (
    ClosedError,
    ConfigurationError,
    ConnectError,
    ReadTimeout,
    TransportError,
)
from keywordsai.server.answers import disk_full, internal_error
from keywordsai.server.combining import CombinedCommit
from keywordsai.server.engines import StoreFull, reason
from keywordsai.server.handler import Handler
from keywordsai.server.operations import CreateLog, CreateLogs
from keywordsai.server.store import Store
from keywordsai.transport.base import HTTPRequest, HTTPResponse
from keywordsai.transport.databases import absolute, is_private, shown
from keywordsai.transport.forks import be_still_for_forks, importing

__all__ = ["AsyncEmbeddedTransport", "Database", "EmbeddedTransport"]

_LONGEST_STILL = 15.0  # seconds that a fork waits: longer than a locked file is tried
_LOCKED = ("locked", "busy")
# The one account: who can open the database can read all that is in it.
_ACCOUNT = {"Authorization": "Bearer embedded"}


class Database:
    """A store with its handler; one for all clients of a file in this process.

    It is closed when nobody holds it any more, or at the program's end.

    Args:
        url: Of the database, as SQLAlchemy takes it.

    Raises:
        ConfigurationError: It cannot be opened.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._store = Store.open(url)
        except ConfigurationError as error:
            text = str(error).removeprefix("database: ")
            raise ConfigurationError(f"base_url: {text}") from error
        self._handler = Handler()
        self._commits = CombinedCommit(self._store.add_posted)
        self._changed = threading.Condition()
        self._at_work = 0
        self._is_forking = False
        self._finalizer = weakref.finalize(self, self._store.close)

    @classmethod
    def at(cls, url: str) -> Database:
        """The database of a URL: memory without a name is one of its own each time.

        Raises:
            ConfigurationError: It cannot be opened.
        """
        url = absolute(url)
        with importing:  # no fork in the middle of it
            found = None if is_private(url) else _shared.get(url)
            if found is None:
                found = cls(url)
                _all.add(found)
                if not is_private(url):
                    _shared[url] = found
            return found

    def answer(self, request: HTTPRequest) -> HTTPResponse:
        """The answer to a request, as the server would give it.

        Raises:
            ReadTimeout: Another program kept the database locked.
            ConnectError: The database failed; nothing was stored.
        """
        headers = {**request.headers, **_ACCOUNT}
        with self._working():
            try:
                return self._answer(attrs.evolve(request, headers=headers))
            except StoreFull:
                return disk_full()
            except SQLAlchemyError as error:
                raise self._failed(error) from error
            except Exception as error:  # noqa: BLE001  as the server answers it
                kind = type(error).__name__
                logger("transport").error("the embedded handler failed: %s", kind)
                return internal_error()
            finally:
                if not self._finalizer.alive:  # late in the program's exit
                    self._store.close()

    def _answer(self, request: HTTPRequest) -> HTTPResponse:
        begun = self._handler.begin(request)
        if isinstance(begun, HTTPResponse):
            return begun
        if isinstance(begun, CreateLog):
            return begun.answer(self._commits.add([begun.log])[0])
        if isinstance(begun, CreateLogs):
            return begun.answer(self._commits.add(begun.logs))
        return begun.perform(self._store)

    def _failed(self, error: SQLAlchemyError) -> TransportError:
        where, why = shown(self.url), reason(error)
        if isinstance(error, NoConnection) or any(word in why for word in _LOCKED):
            return ReadTimeout(
                f"{where} was in use by others for too long ({why})",
                request_sent=False,
            )
        return ConnectError(
            f"{where} cannot be used: {why}; nothing was stored. Look at the file, its "
            "folder's permissions and the room on the disk"
        )

    @contextmanager
    def _working(self) -> Iterator[None]:
        with self._changed:
            while self._is_forking:
                self._changed.wait()
            self._at_work += 1
        try:
            yield
        finally:
            with self._changed:
                self._at_work -= 1
                self._changed.notify_all()

    @contextmanager
    def still_for_fork(self) -> Iterator[None]:
        """Nobody is at work and no connection is open, while this lasts."""
        with self._changed:
            self._is_forking = True  # nobody begins, else the end might never come
            self._changed.wait_for(lambda: not self._at_work, _LONGEST_STILL)
            try:
                if not self._store.in_memory:
                    self._store.close()  # it opens others when it is used again
                yield
            finally:
                self._is_forking = False
                self._changed.notify_all()

    def after_fork_in_child(self) -> None:
        """Whoever is still at work is the parent's."""
        self._changed = threading.Condition()
        self._at_work = 0


_all: weakref.WeakSet[Database] = weakref.WeakSet()
_shared: weakref.WeakValueDictionary[str, Database] = weakref.WeakValueDictionary()


@contextmanager
def _still_for_fork() -> Iterator[None]:
    with ExitStack() as stack:
        for database in list(_all):
            stack.enter_context(database.still_for_fork())
        yield


def _after_fork_in_child() -> None:
    for database in list(_all):
        database.after_fork_in_child()


be_still_for_forks(_still_for_fork, _after_fork_in_child)


class EmbeddedTransport:
    """Answers requests out of a database, in this process. Needs keywordsai[server].

    `keywordsai.LogAPI` makes one by itself where ``base_url`` is a database. Any
    number of threads may use it, and of processes the same file.

    Args:
        database: A URL such as ``sqlite:///logs.db``, ``sqlite://`` for memory, or a
            `keywordsai.transport.embedded.Database`.

    Raises:
        ConfigurationError: The database cannot be opened.

    Example:
        >>> from keywordsai import LogAPI
        >>> from keywordsai.transport.embedded import EmbeddedTransport
        >>> transport = EmbeddedTransport("sqlite://")
        >>> with LogAPI("any", transport=transport) as client:
        ...     client.get(client.create({"model": "gpt-4"})["id"]).model
        'gpt-4'
        >>> transport.close()
    """

    def __init__(self, database: str | Database) -> None:
        if isinstance(database, str):
            database = Database.at(database)
        self._database: Database | None = database

    @property
    def database(self) -> Database:
        """What it answers out of.

        Raises:
            ClosedError: It was closed.
        """
        if self._database is None:
            raise ClosedError("the client was closed; make a new one")
        return self._database

    def send(self, request: HTTPRequest) -> HTTPResponse:
        """Answer the request. See `keywordsai.transport.base.Transport`."""
        return self.database.answer(request)

    def sleep(self, seconds: float) -> None:
        """Wait, blocking this thread."""
        time.sleep(seconds)

    def close(self) -> None:
        """Let go of the database; it is closed when nobody holds it any more."""
        self._database = None


class AsyncEmbeddedTransport:
    """As `EmbeddedTransport` for asynchronous code: the event loop is never blocked.

    Args:
        database: As there. The work is done in threads of the loop's own executor.
    """

    def __init__(self, database: str | Database) -> None:
        self._sync = EmbeddedTransport(database)

    async def send(self, request: HTTPRequest) -> HTTPResponse:
        """Answer the request. See `keywordsai.transport.base.Transport`."""
        answer = self._sync.database.answer
        try:
            return await asyncio.to_thread(answer, request)
        except RuntimeError:  # the program is ending, and there are no more threads
            return answer(request)

    async def sleep(self, seconds: float) -> None:
        """Wait, letting the loop go on."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Let go of the database; it is closed when nobody holds it any more."""
        self.close_from_sync()

    def close_from_sync(self) -> None:
        """As `close`: there is nothing to wait for."""
        self._sync.close()
