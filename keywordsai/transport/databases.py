"""Base URLs that are databases: told apart without SQLAlchemy. Pure."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

__all__ = ["absolute", "is_database", "is_private", "shown"]

_KINDS = frozenset({"sqlite", "postgres", "postgresql"})
_FILE = "sqlite:///"


def is_database(url: str) -> bool:
    """Whether a URL names a database and no server of the API.

    Example:
        >>> is_database("sqlite:///logs.db"), is_database("http://127.0.0.1:8723")
        (True, False)
    """
    scheme, there, _ = url.partition("://")
    return bool(there) and scheme.partition("+")[0] in _KINDS


def absolute(url: str) -> str:
    """The URL with the path of its file in full: the working folder may change.

    Example:
        >>> absolute("sqlite:////var/logs.db"), absolute("sqlite://")
        ('sqlite:////var/logs.db', 'sqlite://')
    """
    path, mark, query = url.removeprefix(_FILE).partition("?")
    if not url.startswith(_FILE) or is_private(url) or path.startswith("file:"):
        return url
    return f"{_FILE}{os.path.abspath(path)}{mark}{query}"  # noqa: PTH100  pathlib costs import time


def is_private(url: str) -> bool:
    """Whether it is memory without a name, which nobody else can get at."""
    return url in {"sqlite:", "sqlite://", _FILE, f"{_FILE}:memory:"}


def shown(url: str) -> str:
    """The URL without what is secret in it.

    Example:
        >>> shown("postgresql://ada:pw@db/logs?port=5433&password=pw")
        'postgresql://ada:***@db/logs?port=5433'
    """
    if url.startswith("sqlite"):
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url.partition(':')[0]}://"
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    hidden = f"{name}{':***' if colon else ''}{at}{host}"
    options = [one for one in parts.query.split("&") if one and "pass" not in one]
    return f"{parts.scheme}://{hidden}{parts.path}{'?' if options else ''}" + "&".join(
        options
    )
