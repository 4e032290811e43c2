"""Creates of many threads that come together are committed together.

Whoever comes first commits for all that wait, so there is no thread to start, to
stop, or to lose in a fork.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from keywordsai.server.grouping import Group, store_together, take_together

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from keywordsai.server.newlogs import PostedLog

__all__ = ["CombinedCommit"]


class CombinedCommit:
    """Stores logs of any thread, many in one transaction.

    Args:
        add: Stores logs, all or none, and gives their ids; never called twice at a
            time.
    """

    def __init__(self, add: Callable[[Sequence[PostedLog]], list[str]]) -> None:
        self._add = add
        self._waiting: deque[Group] = deque()
        self._turn = threading.Lock()

    def add(self, logs: Sequence[PostedLog]) -> list[str]:
        """Store logs, all or none; returns their ids once they are committed.

        Raises:
            Exception: Whatever storing raised; the logs are not stored then.
        """
        mine = Group(logs)
        self._waiting.append(mine)
        with self._turn:
            while not mine.is_done:
                self._commit(take_together(self._waiting), mine)
        return mine.result()

    def _commit(self, batch: Sequence[Group], mine: Group) -> None:
        try:
            store_together(self._add, batch)
        except BaseException:
            # Interrupted: the others see to theirs themselves.
            left = [one for one in batch if one is not mine and not one.is_done]
            self._waiting.extendleft(reversed(left))
            raise
