"""Creates of many threads that come together are committed together.

As `keywordsai.server.commits` for threads: whoever comes first commits for all that
wait, so there is no thread to start, to stop, or to lose in a fork.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from typing import TYPE_CHECKING

import attrs

from keywordsai.server.engines import is_of_database

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from keywordsai.server.store import NewLog

__all__ = ["MOST_LOGS", "CombinedCommit"]

MOST_LOGS = 1000
"""Of one transaction, unless one caller has more."""


@attrs.define(eq=False)
class _Waiting:
    """The logs of one caller, and what came of them."""

    logs: Sequence[NewLog]
    ids: list[str] | None = None
    error: Exception | None = None

    @property
    def is_done(self) -> bool:
        return self.ids is not None or self.error is not None


class CombinedCommit:
    """Stores logs of any thread, many in one transaction.

    Args:
        add: Stores logs, all or none, and gives their ids; never called twice at a
            time.
    """

    def __init__(self, add: Callable[[Sequence[NewLog]], list[str]]) -> None:
        self._add = add
        self._waiting: deque[_Waiting] = deque()
        self._turn = threading.Lock()

    def add(self, logs: Sequence[NewLog]) -> list[str]:
        """Store logs, all or none; returns their ids once they are committed.

        Raises:
            Exception: Whatever storing raised; the logs are not stored then.
        """
        mine = _Waiting(logs)
        self._waiting.append(mine)
        with self._turn:
            while not mine.is_done:
                self._commit(self._next(), mine)
        if mine.error is not None:
            raise mine.error
        return mine.ids or []

    def _next(self) -> list[_Waiting]:
        """Take the callers whose logs make up the next transaction, at least one."""
        batch = [self._waiting.popleft()]
        size = len(batch[0].logs)
        while self._waiting:
            size += len(self._waiting[0].logs)
            if size > MOST_LOGS:
                break
            batch.append(self._waiting.popleft())
        return batch

    def _commit(self, batch: Sequence[_Waiting], mine: _Waiting) -> None:
        try:
            if not self._store(batch):
                # One log may be what cannot be stored: the others must not fail.
                for one in batch:
                    self._store([one])
        except BaseException:
            # Interrupted: the others see to theirs themselves.
            left = [one for one in batch if one is not mine and not one.is_done]
            self._waiting.extendleft(reversed(left))
            raise

    def _store(self, batch: Sequence[_Waiting]) -> bool:
        """Commit a batch; say whether it is settled, so or by a failure of all."""
        try:
            ids = iter(self._add([log for one in batch for log in one.logs]))
        except Exception as error:  # noqa: BLE001  the waiting caller raises it
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
