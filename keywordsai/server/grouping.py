"""The logs of several callers in one transaction: who is in it, and whose fault it is.

A commit costs about the same for one log as for many. Who waits, and in what way, is
another matter: `keywordsai.server.commits` is for an event loop, and
`keywordsai.server.combining` for threads.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import attrs

from keywordsai.server.engines import is_of_database

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Sequence

    from keywordsai.server.newlogs import PostedLog

__all__ = ["Group", "store_together", "take_together"]

_MOST_LOGS = 1000  # of one transaction, unless one caller has more
_FEW = 32  # groups that are worth a transaction of their own


@attrs.define(eq=False)
class Group:
    """The logs of one caller, which are never divided, and what came of them.

    Attributes:
        logs: To be stored, all or none.
        ids: Under which they are stored; None before, and if they are not.
        error: Why they are not stored.
    """

    logs: Sequence[PostedLog]
    ids: list[str] | None = None
    error: Exception | None = None

    @property
    def is_done(self) -> bool:
        """Whether something came of them."""
        return self.ids is not None or self.error is not None

    def result(self) -> list[str]:
        """The ids, once it is done.

        Raises:
            Exception: Whatever storing raised.
        """
        if self.error is not None:
            raise self.error
        return self.ids or []


def take_together(waiting: deque[Group]) -> list[Group]:
    """Take the groups that make up the next transaction, at least one.

    Of many only half: while those are stored, the others are answered, or read.
    """
    most = max(_FEW, len(waiting) // 2)
    batch = [waiting.popleft()]
    size = len(batch[0].logs)
    while waiting and len(batch) < most:
        size += len(waiting[0].logs)
        if size > _MOST_LOGS:
            break
        batch.append(waiting.popleft())
    return batch


def store_together(
    add: Callable[[Sequence[PostedLog]], list[str]], batch: Sequence[Group]
) -> None:
    """Store groups in one transaction, or each in its own if that fails.

    Args:
        add: Stores logs, all or none, and gives their ids.
        batch: The groups; each is done then.
    """
    if not _store(add, batch):
        # One log may be what cannot be stored: the others must not fail for it.
        for one in batch:
            _store(add, [one])


def _store(
    add: Callable[[Sequence[PostedLog]], list[str]], batch: Sequence[Group]
) -> bool:
    """Commit a batch; say whether it is settled, so or by a failure of all."""
    try:
        ids = iter(add([log for one in batch for log in one.logs]))
    except Exception as error:  # noqa: BLE001  whoever waits raises it
        if len(batch) > 1 and not is_of_database(error):
            return False
        # Where there is no room, to try one by one would find none either; where
        # others keep the database locked, each would wait for its whole time.
        for one in batch:
            one.error = error
        return True
    for one in batch:
        one.ids = list(itertools.islice(ids, len(one.logs)))
    return True
