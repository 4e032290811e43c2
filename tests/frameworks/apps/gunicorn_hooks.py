"""Settings of gunicorn: its workers say when they can be told to end.

Before that, a worker still has the master's handlers, and loses a SIGTERM.
"""

from pathlib import Path


def post_worker_init(worker):
    import os

    Path(os.environ["MARKS"], f"ready-{worker.pid}").touch()
