"""A module that logs when it is imported, be it while a child is being made."""

import os

from logging_app import log, mark

log(f"import-{os.getpid()}")
mark("imported")


def initialize():
    """For a pool, so that its children import this before all else."""
