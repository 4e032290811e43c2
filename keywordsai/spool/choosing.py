"""Which logs are to be sent again."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence

import attrs

from keywordsai.errors import ConfigurationError
from keywordsai.spool.folder import Folder
from keywordsai.spool.queues import Queue

__all__ = ["Chosen", "choose"]


@attrs.frozen(kw_only=True)
class Chosen:
    """Which logs to send: of dead processes all that wait, and dead ones.

    Attributes:
        dead: Numbers of dead logs, by the uid of their queue; None for all of them.
        all_accounts: Whether those of other keys and base URLs are taken over.
    """

    dead: Mapping[str, Collection[int]] | None = None
    all_accounts: bool = False

    def may_be_in(self, queue: Queue, account: str) -> bool:
        """Whether a queue has to be looked into."""
        if not self.all_accounts and queue.account != account:
            return False
        return queue.path.suffix == ".db" or self.dead is None or queue.uid in self.dead

    def numbers(self, queue: Queue, db: sqlite3.Connection) -> list[int]:
        """The dead logs of a queue that are chosen."""
        rows = db.execute("SELECT id FROM logs WHERE state <> 0 ORDER BY id")
        dead = [number for (number,) in rows]
        if self.dead is None:
            return dead
        return sorted(set(dead) & set(self.dead.get(queue.uid, ())))


def choose(
    folder: Folder, ids: Sequence[str], account: str, *, all_accounts: bool
) -> Chosen:
    """The dead logs of these ids, or all of them.

    Args:
        folder: Where they are.
        ids: Of logs; none for all.
        account: Whose logs may be sent.
        all_accounts: Whether those of others may be, too.

    Raises:
        ConfigurationError: An id stands for no log that may be sent.
        sqlite3.Error: A file cannot be read.
    """
    if not ids:
        return Chosen(all_accounts=all_accounts)
    dead: dict[str, set[int]] = {}
    for queue, numbers in folder.named(ids).items():
        for number in numbers:
            name = f"{queue.uid[:6]}-{number}"
            found = folder.log(queue, number)
            if found is None:
                raise ConfigurationError(f"there is no log {name}")
            if queue.account != account and not all_accounts:
                raise ConfigurationError(
                    f"{name} was given with another API key or base URL: "
                    "--all-accounts sends it with this one"
                )
            contents = folder.look(queue)
            if not found[0].dead and contents is not None and contents.in_use:
                raise ConfigurationError(
                    f"{name} waits in a running process, which sends it itself"
                )
            dead.setdefault(queue.uid, set()).add(number)
    return Chosen(dead=dead, all_accounts=all_accounts)
