"""Removes logs for good: those that were seen before, and no others."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import attrs

from keywordsai.delivery.folder import SpoolFolder
from keywordsai.errors import ConfigurationError
from keywordsai.spool.folder import Folder
from keywordsai.spool.queues import Queue, Row, connect, is_begun, why
from keywordsai.spool.taking import remove_dead

__all__ = ["Doomed", "Removed", "doomed", "remove"]

_ALL = 2**62
_PENDING = "DELETE FROM logs WHERE id = ? AND state = 0"


@attrs.define
class Doomed:
    """What is to be removed.

    Attributes:
        dead: Numbers of dead logs, by their queue.
        pending: Numbers of logs that wait, by their queue, which no process has.
        aside: Files that were set aside.
    """

    dead: dict[Queue, list[int]] = attrs.field(factory=dict)
    pending: dict[Queue, list[int]] = attrs.field(factory=dict)
    aside: list[Path] = attrs.field(factory=list)

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many dead logs, pending logs and files."""
        dead, pending = (
            sum(len(numbers) for numbers in of.values())
            for of in (self.dead, self.pending)
        )
        return dead, pending, len(self.aside)


@attrs.define
class Removed:
    """What was removed, and what could not be.

    Attributes:
        dead: How many dead logs.
        pending: How many that waited.
        aside: How many files that were set aside.
        troubles: Files that could not be changed, and why.
    """

    dead: int = 0
    pending: int = 0
    aside: int = 0
    troubles: list[str] = attrs.field(factory=list)


def doomed(folder: Folder, ids: Sequence[str], *, pending: bool, aside: bool) -> Doomed:
    """Look up what is to be removed: the logs of these ids, or all dead ones.

    Args:
        folder: Where.
        ids: Of logs; none for all.
        pending: Whether logs that wait are meant too, if no process has them.
        aside: Whether files that were set aside are.

    Raises:
        ConfigurationError: An id stands for no log that may be removed.
        sqlite3.Error: A file cannot be read.
    """
    found = Doomed(aside=folder.aside() if aside else [])
    if ids:
        for queue, numbers in folder.named(ids).items():
            _add_named(found, folder, queue, numbers, pending=pending)
        return found
    for contents in folder.contents():
        queue = contents.queue
        if contents.trouble:
            continue
        if contents.dead or not contents.in_use:  # an empty file goes too
            found.dead[queue] = _numbers(folder.rows(queue, "dead", _ALL))
        if pending and contents.pending and not contents.in_use:
            found.pending[queue] = _numbers(folder.rows(queue, "pending", _ALL))
    return found


def remove(folder: Folder, what: Doomed) -> Removed:
    """Remove it.

    Raises:
        OSError: The folder cannot be used.
    """
    removed = Removed()
    if not (what.dead or what.pending or what.aside):
        return removed
    spools = SpoolFolder(str(folder.path), base_url="", api_key="")
    with spools.alone():
        for queue in {**what.dead, **what.pending}:
            try:
                if spools.hold(queue.stem):
                    try:
                        _remove_held(queue, what, removed)
                    finally:
                        spools.let_go(queue.stem)
                else:
                    _remove_beside(queue, what, removed)
            except (OSError, sqlite3.Error) as error:  # noqa: PERF203  few
                removed.troubles.append(f"{queue.path}: {why(error)}")
    for path in what.aside:
        try:
            path.unlink()
            removed.aside += 1
        except OSError as error:
            removed.troubles.append(f"{path}: {why(error)}")
        with suppress(OSError):
            Path(f"{path}-wal").unlink()
    return removed


def _add_named(
    found: Doomed, folder: Folder, queue: Queue, numbers: list[int], *, pending: bool
) -> None:
    contents = folder.look(queue)
    waiting = {row.number: row for row in folder.rows(queue, "pending", _ALL)}
    dead = set(_numbers(folder.rows(queue, "dead", _ALL)))
    name = folder.shorts().get(queue.uid, queue.uid)
    for number in numbers:
        if number in dead:
            found.dead.setdefault(queue, []).append(number)
            continue
        if number not in waiting:
            raise ConfigurationError(f"there is no log {name}-{number}")
        if contents is None or contents.in_use:
            raise ConfigurationError(
                f"{name}-{number} waits in a running process, and is left to it"
            )
        if not pending:
            raise ConfigurationError(
                f"{name}-{number} is not dead but pending: --pending removes it"
            )
        found.pending.setdefault(queue, []).append(number)
    chosen = found.pending.get(queue, ())
    batches = Counter(row.batch or "" for row in waiting.values())
    batches.subtract(waiting[number].batch or "" for number in chosen)
    for number in chosen:
        batch = waiting[number].batch
        if batch and batches[batch]:
            # What is left of a batch would go out under its key, with other content.
            raise ConfigurationError(
                f"{name}-{number} is in a batch that may have been sent already: "
                "remove all of the batch, or none"
            )


def _numbers(rows: Sequence[Row]) -> list[int]:
    return [row.number for row in rows]


def _remove_held(queue: Queue, what: Doomed, removed: Removed) -> None:
    """Of a file that no process has; and the file, if nothing is left in it."""
    found = queue.found()
    if found is None:
        return
    with connect(found.path, writing=True) as db:
        if is_begun(db):
            removed.dead += remove_dead(db, what.dead.get(queue, ()))
            waiting = [(number,) for number in what.pending.get(queue, ())]
            if waiting:
                db.execute("BEGIN IMMEDIATE")
                removed.pending += db.executemany(_PENDING, waiting).rowcount
                db.execute("COMMIT")
            if db.execute("SELECT EXISTS (SELECT 1 FROM logs)").fetchone()[0]:
                return
    for ending in ("", "-wal", "-shm"):
        with suppress(OSError):
            Path(f"{found.path}{ending}").unlink()


def _remove_beside(queue: Queue, what: Doomed, removed: Removed) -> None:
    """Of a running process: the dead only."""
    found = queue.found()
    if queue in what.pending:
        removed.troubles.append(
            f"{queue.path}: a process has taken it up; what waits there is left to it"
        )
    if found is not None and what.dead.get(queue):
        with connect(found.path, writing=True) as db:
            removed.dead += remove_dead(db, what.dead[queue])
