"""A program of gevent: 50 greenlets log one call each."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

import gevent  # noqa: E402
from logging_app import client, log, mark, mark_the_exit  # noqa: E402

NAMES, END = sys.argv[2:], sys.argv[1]

gevent.joinall([gevent.spawn(log, name) for name in NAMES], raise_error=True)
mark_the_exit()
mark("logged")
if END == "flush":
    result = client.flush(60)
    assert (result.delivered, result.complete) == (len(NAMES), True), result
assert "aiohttp" not in sys.modules
