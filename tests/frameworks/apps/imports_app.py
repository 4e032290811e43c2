"""Says what its other threads import while a fork could come in between.

A child forked in the middle of an import never sees its end: it waits for ever, or
finds half a module.
"""

import sys
import threading

from logging_app import client, log

from keywordsai.transport.forks import importing

found = []


class Watch:
    """A finder that finds nothing, and is asked first for every module."""

    def find_spec(self, name, path=None, target=None):
        mine = threading.current_thread() is threading.main_thread()
        if not (mine or importing._is_owned()):
            found.append(name)


sys.meta_path.insert(0, Watch())
log("a log")
assert client.flush(60).complete
assert not found, found
