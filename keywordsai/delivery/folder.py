"""A folder of spools: a file for each process, and what becomes of it when it dies.

``<account>-<uid>.db``
    A process's queue for one account. Next to it ``….lock``, which the process
    holds (flock) while it lives: a lock that can be taken means a dead process,
    whose logs any process of the same account may adopt, at once.
``<account>-<uid>.dead``
    What is left of a queue of which only refused logs remain: to be looked at, and
    sent again or removed with ``keywordsai spool``.
``….corrupt``
    A file that could not be read, set aside.
``salt``
    Random bytes. An account's name is made from them, the base URL and the API
    key, so that logs are never sent with another's key, and no key is stored.

Files are readable to their owner only.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from keywordsai._logging import logger
from keywordsai.delivery.spool import Spool

try:
    import fcntl
except ImportError:  # pragma: no cover  Windows
    fcntl = None  # type: ignore[assignment]  # a module, or none

__all__ = ["SpoolFolder", "account_in", "can_lock", "files_in", "watched"]

_DB, _LOCK, _DEAD, _CORRUPT = ".db", ".lock", ".dead", ".corrupt"
_ACCOUNT_DIGITS = 32
_LOOKS, _LOOK = 100, 0.02  # times and seconds to wait for those who only look


def can_lock() -> bool:
    """Whether this system has the locks that a spool folder needs."""
    return fcntl is not None


def account_in(path: str, *, base_url: str, api_key: str) -> str | None:
    """An account's name in a folder; None if it can have no files there yet."""
    try:
        with open(os.path.join(path, "salt"), "rb") as file:
            return _fingerprint(file.read(), api_key, base_url)
    except FileNotFoundError:
        return None


def files_in(path: str) -> tuple[list[str], list[str]]:
    """The names of a folder's queues, and those of files that were set aside."""
    names = sorted(os.listdir(path))
    queues = [name for name in names if _ours(name, _DB) or _ours(name, _DEAD)]
    return queues, [name for name in names if _ours(name, _DB + _CORRUPT)]


@contextmanager
def watched(stem: str) -> Iterator[bool]:
    """Whether a process holds a queue; if none does, none takes it meanwhile."""
    try:
        held = os.open(stem + _LOCK, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        taken = False
    except OSError:
        taken = True
    try:
        yield taken
    finally:
        os.close(held)


class SpoolFolder:
    """The spools of one account in a folder.

    Args:
        path: The folder; made if it is not there, for its owner only.
        base_url: Where the logs go.
        api_key: With what key.

    Raises:
        OSError: The folder cannot be used.
    """

    def __init__(self, path: str, *, base_url: str, api_key: str) -> None:
        self.path = path
        self._base_url = base_url
        os.makedirs(path, mode=0o700, exist_ok=True)
        salt = _salt(os.path.join(path, "salt"))
        self.account = _fingerprint(salt, api_key, base_url)
        self._held: dict[str, int] = {}
        self._unopened: set[str] = set()

    def create(self) -> Spool:
        """Begin a queue for this process, locked for as long as it lives."""
        while True:
            stem = self._at(f"{self.account}-{uuid.uuid4().hex}")
            held = _take_lock(stem + _LOCK)
            if held is None:  # somebody looked whether it is a dead one's
                continue
            self._held[stem] = held
            try:
                return Spool(stem + _DB, base_url=self._base_url)
            except BaseException:
                for begun in ("", "-wal", "-shm"):
                    with suppress(OSError):
                        os.unlink(stem + _DB + begun)
                self._let_go(stem)
                raise

    def adopt(self, *, all_accounts: bool = False) -> Iterator[Spool]:
        """The queues of processes that died, now held by this one.

        Args:
            all_accounts: Those of every account, of another key or base URL too.
        """
        self._sweep()
        for stem in self._stems(_DB):
            own = self._account_of(stem) == self.account
            if stem in self._held or not (own or all_accounts):
                continue
            with suppress(OSError):  # another user's, or just gone
                held = _take_lock(stem + _LOCK)
                if held is None:
                    continue
                self._held[stem] = held
                if not os.path.exists(stem + _DB):
                    self._let_go(stem)  # its process ended well in this moment
                    continue
                try:
                    yield Spool(stem + _DB, adopted=True)
                except sqlite3.OperationalError as error:
                    self._warn_of(stem, error)
                    self._release(stem)
                except sqlite3.DatabaseError:
                    self._set_aside(stem)
                except OSError:
                    self._release(stem)

    def _warn_of(self, stem: str, error: sqlite3.Error) -> None:
        if stem not in self._unopened:
            self._unopened.add(stem)
            logger("delivery").warning(
                "cannot open the spool file %s yet: %s", stem + _DB, error
            )

    def _sweep(self) -> None:
        """Clear away what a process left that was killed while it ended well."""
        for ending in (_LOCK, _DB + "-wal", _DB + "-shm"):
            for stem in self._stems(ending):
                if stem in self._held or os.path.exists(stem + _DB):
                    continue
                with suppress(OSError):  # another user's
                    held = _take_lock(stem + _LOCK)
                    if held is None:
                        continue  # somebody begins it
                    self._held[stem] = held
                    if os.path.exists(stem + _DB):
                        self._release(stem)
                        continue
                    for leftover in ("-wal", "-shm"):
                        with suppress(OSError):
                            os.unlink(stem + _DB + leftover)
                    self._let_go(stem)

    def retire(self, spool: Spool) -> None:
        """This process is done with a queue: what is left in it is for others."""
        stem = _stem(spool)
        if stem not in self._held:
            return
        try:
            pending, dead = spool.count()
        except sqlite3.Error:
            pending, dead = 1, 0  # whoever opens it next will see
        with suppress(sqlite3.Error):
            spool.retire()
        # Somebody else has it open: what is in the -wal is nowhere else.
        if pending or (dead and spool.wal_size()):
            self._release(stem)
            return
        with suppress(OSError):
            if dead:
                os.replace(stem + _DB, stem + _DEAD)
            else:
                os.unlink(stem + _DB)
        for leftover in ("-wal", "-shm"):
            with suppress(OSError):
                os.unlink(stem + _DB + leftover)
        self._let_go(stem)

    def set_aside(self, spool: Spool) -> None:
        """A queue cannot be read: keep its file under another name."""
        with suppress(sqlite3.Error):
            spool.retire()
        self._set_aside(_stem(spool))

    def stranded(self) -> int:
        """How many logs of dead processes wait here for another account."""
        total = 0
        for stem in self._stems(_DB):
            if self._account_of(stem) == self.account or stem in self._held:
                continue
            with suppress(OSError, sqlite3.Error):
                held = _take_lock(stem + _LOCK)
                if held is None:
                    continue
                try:
                    spool = Spool(stem + _DB, adopted=True)
                    total += spool.count()[0]
                    spool.close()
                finally:
                    os.close(held)
        return total

    def hold(self, stem: str) -> bool:
        """Keep all others from a queue; False if another process has it.

        Raises:
            OSError: It is another user's.
        """
        for _ in range(_LOOKS):
            held = _take_lock(stem + _LOCK)
            if held is not None:
                self._held[stem] = held
                return True
            with watched(stem) as taken:
                if taken:
                    return False
            time.sleep(_LOOK)  # somebody only looks at it
        return False

    def let_go(self, stem: str) -> None:
        """Leave a queue that was held to others, or its name if it is no more."""
        if os.path.exists(stem + _DB):
            self._release(stem)
        else:
            self._let_go(stem)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait for other commands that change files of dead processes; then be one."""
        with open(os.path.join(self.path, "salt"), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def abandon(self) -> None:
        """In a forked child: the locks are the parent's, and only the parent's."""
        for held in self._held.values():
            with suppress(OSError):
                os.close(held)
        self._held.clear()

    def _at(self, name: str) -> str:
        return os.path.join(self.path, name)

    def _stems(self, ending: str) -> list[str]:
        try:
            names = sorted(os.listdir(self.path))
        except OSError:
            return []
        return [
            self._at(name.removesuffix(ending)) for name in names if _ours(name, ending)
        ]

    def _account_of(self, stem: str) -> str:
        return os.path.basename(stem).partition("-")[0]

    def _set_aside(self, stem: str) -> None:
        for leftover in ("", "-wal"):
            with suppress(OSError):
                os.replace(stem + _DB + leftover, stem + _DB + _CORRUPT + leftover)
        with suppress(OSError):
            os.unlink(stem + _DB + "-shm")
        self._let_go(stem)
        logger("delivery").warning(
            "a spool file could not be read and was set aside as %s; logging goes on",
            stem + _DB + _CORRUPT,
        )

    def _let_go(self, stem: str) -> None:
        """Give up a lock whose queue is no more."""
        with suppress(OSError):
            os.unlink(stem + _LOCK)
        self._release(stem)

    def _release(self, stem: str) -> None:
        held = self._held.pop(stem, None)
        if held is not None:
            # Said, not only closed: a child that was forked past our hook holds a copy.
            with suppress(OSError):
                fcntl.flock(held, fcntl.LOCK_UN)
            os.close(held)


def _stem(spool: Spool) -> str:
    return (spool.path or "").removesuffix(_DB)


def _ours(name: str, ending: str) -> bool:
    account, _, uid = name.removesuffix(ending).partition("-")
    return name.endswith(ending) and len(account) == _ACCOUNT_DIGITS and bool(uid)


def _take_lock(path: str) -> int | None:
    """Lock a file, made if need be; None if another holds it, or it was removed."""
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        same = os.path.samestat(os.fstat(held), os.stat(path))
    except OSError:
        same = False
    if same:
        return held
    os.close(held)
    return None


def _salt(path: str) -> bytes:
    """The folder's salt: made once, whole, whoever comes first."""
    while True:
        with suppress(FileNotFoundError), open(path, "rb") as file:
            return file.read()
        fresh = f"{path}-{uuid.uuid4().hex}"
        held = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(held, os.urandom(32))
        finally:
            os.close(held)
        try:
            with suppress(FileExistsError):
                os.link(fresh, path)
        finally:
            os.unlink(fresh)


def _fingerprint(salt: bytes, api_key: str, base_url: str) -> str:
    text = f"{api_key}\n{base_url}".encode()
    digest = hashlib.blake2b(text, key=salt[:64], digest_size=_ACCOUNT_DIGITS // 2)
    return digest.hexdigest()
