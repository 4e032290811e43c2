"""A spool folder, as somebody sees it who comes by.

Looking disturbs nobody: neither the process that writes a file, nor those that may
take over a dead one's.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from keywordsai.delivery.folder import account_in, files_in, watched
from keywordsai.errors import ConfigurationError
from keywordsai.settings import API_KEY_VARIABLES, BASE_URL_VARIABLES, Settings
from keywordsai.spool.queues import (
    Contents,
    Payload,
    Queue,
    Row,
    connect,
    is_begun,
    why,
)

__all__ = ["Folder"]

_LEAST_DIGITS = 6
_ID = re.compile(r"([0-9a-f]+)-([0-9]{1,18})")
_LOOKS = 3
_NUMBERS = """
SELECT count(*) - coalesce(sum(state <> 0), 0), coalesce(sum(state <> 0), 0),
    coalesce(sum(length(body)), 0), min(created) FROM logs
"""
_ROW = "SELECT id, state, created, length(body), status, words, batch"
_ROWS = {
    "all": f"{_ROW} FROM logs ORDER BY id LIMIT ?",
    "pending": f"{_ROW} FROM logs WHERE state = 0 ORDER BY id LIMIT ?",
    "dead": f"{_ROW} FROM logs WHERE state <> 0 ORDER BY id LIMIT ?",
}
_LOG = f"{_ROW}, body, key, (SELECT uid FROM about) FROM logs WHERE id = ?"  # noqa: S608


class Folder:
    """A spool folder, looked at.

    Args:
        path: Where it is.

    Raises:
        ConfigurationError: It is not there.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            what = "is no folder" if path.exists() else "does not exist"
            raise ConfigurationError(f"the spool folder {path} {what}")
        self.path = path

    def queues(self) -> list[Queue]:
        """The queues of this moment."""
        found: dict[tuple[str, str], Queue] = {}
        for name in files_in(str(self.path))[0]:
            queue = Queue.of(self.path / name)
            found.setdefault((queue.account, queue.uid), queue)
        return list(found.values())

    def aside(self) -> list[Path]:
        """Files that could not be read, and were set aside."""
        return [self.path / name for name in files_in(str(self.path))[1]]

    def contents(self) -> list[Contents]:
        """What is in each queue."""
        looked = (self.look(queue) for queue in self.queues())
        return [contents for contents in looked if contents is not None]

    def look(self, queue: Queue) -> Contents | None:
        """What is in a queue; None if it is gone."""
        trouble = ""
        for _ in range(_LOOKS):  # it may get another name in this very moment
            found = queue.found()
            if found is None:
                return None
            try:
                with watched(found.stem) as in_use, connect(found.path) as db:
                    return _numbers(found, db, in_use=in_use)
            except (OSError, sqlite3.Error) as error:
                trouble = why(error)
        return Contents(queue=queue, trouble=trouble)

    def rows(self, queue: Queue, state: str, most: int) -> list[Row]:
        """The first logs of a queue: those that are pending or dead, or all.

        Raises:
            sqlite3.Error: They cannot be read.
        """
        found = queue.found()
        if found is None:
            return []
        with watched(found.stem), connect(found.path) as db:
            if not is_begun(db):
                return []
            return [Row(found, *row) for row in db.execute(_ROWS[state], (most,))]

    def log(self, queue: Queue, number: int) -> tuple[Row, Payload] | None:
        """One log with what it says; None if there is none of this number.

        Raises:
            sqlite3.Error: It cannot be read.
        """
        found = queue.found()
        if found is None:
            return None
        with watched(found.stem), connect(found.path) as db:
            if not is_begun(db):
                return None
            values = db.execute(_LOG, (number,)).fetchone()
        if values is None:
            return None
        *seen, body, key, uid = values
        row = Row(found, *seen)
        return row, Payload(body, row.batch or key or f"{uid}-{number}")

    def own_account(self) -> str | None:
        """The account of the environment's key and base URL; None without a key.

        Raises:
            ConfigurationError: They are wrong.
        """
        names = (*API_KEY_VARIABLES, *BASE_URL_VARIABLES)
        environ = {name: os.environ[name] for name in names if os.environ.get(name)}
        if not any(name in environ for name in API_KEY_VARIABLES):
            return None
        own = Settings.resolve(environ=environ)
        account = account_in(
            str(self.path), base_url=own.base_url, api_key=own.api_key.reveal()
        )
        return account or "none"

    def shorts(self) -> dict[str, str]:
        """What logs of each queue are called by: the shortest that tells them apart."""
        uids = {queue.uid for queue in self.queues()}
        digits = _LEAST_DIGITS
        while len({uid[:digits] for uid in uids}) < len(uids):
            digits += 1
        return {uid: uid[:digits] for uid in uids}

    def named(self, ids: Sequence[str]) -> dict[Queue, list[int]]:
        """The queues and numbers that ids of logs stand for.

        Raises:
            ConfigurationError: One stands for none.
        """
        found: dict[Queue, list[int]] = {}
        queues = self.queues()
        for text in dict.fromkeys(ids):
            match = _ID.fullmatch(text)
            if match is None:
                raise ConfigurationError(
                    f"{text!r} is no id of a log: they look like 3f9a2c-17, and "
                    "`keywordsai spool list` shows them"
                )
            fitting = [one for one in queues if one.uid.startswith(match[1])]
            if len(fitting) > 1:
                raise ConfigurationError(f"{text} fits several files: write more of it")
            if not fitting:
                raise ConfigurationError(f"there is no log {text}")
            found.setdefault(fitting[0], []).append(int(match[2]))
        return found


def _numbers(queue: Queue, db: sqlite3.Connection, *, in_use: bool) -> Contents:
    if not is_begun(db):
        return Contents(queue=queue, in_use=in_use)
    pending, dead, size, oldest = db.execute(_NUMBERS).fetchone()
    about = db.execute("SELECT base_url FROM about").fetchone()
    return Contents(
        queue=queue,
        in_use=in_use,
        base_url=about[0] if about else "",
        pending=pending,
        dead=dead,
        size=size,
        oldest=oldest,
    )
