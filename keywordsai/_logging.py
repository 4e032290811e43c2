"""The package's loggers, silent until the program configures logging.

`logging` is imported with the first message: a log that goes well has none.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger

__all__ = ["logger"]


@functools.cache
def logger(name: str) -> Logger:
    """The logger ``keywordsai.<name>``, below one that has a null handler."""
    import logging  # noqa: PLC0415  8 ms

    root = logging.getLogger("keywordsai")
    if not any(isinstance(handler, logging.NullHandler) for handler in root.handlers):
        root.addHandler(logging.NullHandler())
    return root.getChild(name)
