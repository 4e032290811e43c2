"""What is held still while the process forks."""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings

from keywordsai.transport import forks


def fork_and_wait():
    """Fork a child that ends well, and say how long the fork was kept waiting."""
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks with threads
        child = os.fork()
    if child == 0:
        os._exit(0)
    took = time.monotonic() - began
    assert os.waitpid(child, 0)[1] == 0
    return took


def test_a_fork_waits_for_a_look_up():
    begun, ended = threading.Event(), threading.Event()

    def look_up():
        with forks.looking_up():
            begun.set()
            time.sleep(0.1)
            ended.set()

    thread = threading.Thread(target=look_up)
    thread.start()
    assert begun.wait(5)
    fork_and_wait()
    assert ended.is_set()
    thread.join()
    assert forks._look_ups.under_way == 0


def test_but_not_for_ever(monkeypatch):
    monkeypatch.setattr(forks, "_LONGEST_LOOK_UP", 0.05)
    with forks.looking_up():
        assert fork_and_wait() < 5


def test_a_child_knows_of_no_look_up_of_its_parents(monkeypatch):
    monkeypatch.setattr(forks, "_LONGEST_LOOK_UP", 0.01)
    monkeypatch.setattr(forks, "_look_ups", forks._look_ups)
    with forks.looking_up():
        before = forks._look_ups
        forks._after_fork_in_child()
        assert forks._look_ups is not before
        assert forks._look_ups.under_way == 0
        forks._look_ups = before


def test_what_joined_is_still_while_it_forks(monkeypatch):
    seen = []

    class Still:
        def __enter__(self):
            seen.append("still")

        def __exit__(self, *_):
            seen.append("free")

    monkeypatch.setattr(forks, "_still", [])
    monkeypatch.setattr(forks, "_in_child", [])
    forks.be_still_for_forks(Still, lambda: seen.append("child"))
    forks._before_fork()
    assert seen == ["still"]
    forks._after_fork_in_child()
    assert seen == ["still", "free", "child"]
    fork_and_wait()
    assert seen[3:] == ["still", "free"]


def test_what_is_kept_for_ever_is_kept_once(monkeypatch):
    monkeypatch.setattr(forks, "_kept", [])
    forks.prepare_to_keep()
    for what in ("one", "two"):
        forks.keep_for_ever(what)
    assert forks._kept == ["one", "two"]
    monkeypatch.setattr(forks, "_kept", [])
    monkeypatch.delitem(sys.modules, "ctypes")
    forks.keep_for_ever("three")
    assert forks._kept == ["three"]
