"""The version, said once: in setup.cfg."""

from __future__ import annotations

import functools

__all__ = ["version"]


@functools.cache
def version() -> str:
    """The version of the installed distribution."""
    from importlib import metadata  # noqa: PLC0415  slow, and rarely asked for

    return metadata.version("keywordsai")
