"""Warnings that do not become a trouble of their own.

Each kind is given once a minute at most. A handler of the program's that itself
logs over us is not answered with a warning about that.
"""

from __future__ import annotations

import threading
import time

from keywordsai._logging import logger

__all__ = ["Notices"]

_AGAIN_AFTER = 60.0


class Notices:
    """The warnings of one account's delivery."""

    def __init__(self) -> None:
        self._given: dict[str, float] = {}
        self._giving = threading.local()

    def warn(self, kind: str, text: str, *values: object) -> None:
        """Log a warning, unless one of its kind was given within the minute."""
        now = time.monotonic()
        if now - self._given.get(kind, float("-inf")) < _AGAIN_AFTER:
            return
        if getattr(self._giving, "now", False):
            return
        self._given[kind] = now
        self._giving.now = True
        try:
            logger("delivery").warning(text, *values)
        finally:
            self._giving.now = False
