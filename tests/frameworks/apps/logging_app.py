"""What the programs of these tests have in common: a client, and a word at the end."""

import atexit
import logging
import os
from pathlib import Path

from keywordsai import LogAPI, Timeout

# More patience than the tests have, so that a slow machine changes nothing.
client = LogAPI(block=False, exit_timeout=60, timeout=Timeout(read=60, total=60))
_marking = set()

# A warning of ours is a failure of the test, which looks for this name on stderr.
_handler = logging.StreamHandler()
_handler.setFormatter(logging.Formatter("keywordsai: %(message)s"))
logging.getLogger("keywordsai").addHandler(_handler)


def mark(what):
    """Tell the test where this process is."""
    Path(os.environ["MARKS"], f"{what}-{os.getpid()}").touch()


def log(name):
    """Log one call."""
    return client.create({"model": "gpt-4", "custom_identifier": name})


async def log_soon(name):
    """As `log`, for asynchronous code."""
    return await client.acreate({"model": "gpt-4", "custom_identifier": name})


def mark_the_exit():
    """Say it when this process is at its exit, before any log is delivered there.

    To be called after a log: what is registered last comes first.
    """
    if os.getpid() not in _marking:
        _marking.add(os.getpid())
        atexit.register(mark, "exiting")
