"""Tasks in a pool of two processes, each of which logs a call, as does the program."""

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.util import Finalize

import logging_module
from logging_app import log, mark, mark_the_exit

_known = set()


def work(name, both):
    answer = log(name)
    if os.getpid() not in _known:
        _known.add(os.getpid())
        # Before ours, whose priority is lower; from Python 3.13 on, exit hooks are first.
        Finalize(None, mark, args=["exiting"], exitpriority=100)
        mark_the_exit()
        both.wait(30)  # one alone shall not do all the work
    return answer


if __name__ == "__main__":
    method, *names = sys.argv[1:]
    context = multiprocessing.get_context(method)
    with context.Manager() as manager:
        both = manager.Barrier(2)
        with ProcessPoolExecutor(
            2, mp_context=context, initializer=logging_module.initialize
        ) as pool:
            answers = list(pool.map(work, names, [both] * len(names)))
    assert answers == [{"message": "log queued"}] * len(names)
    log("after")
