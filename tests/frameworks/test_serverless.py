"""A function that is frozen between two events, and in the end never thawed again."""

import os
import signal
import subprocess

import pytest

NAMES = [f"log-{number}" for number in range(5)]


class Platform:
    """What calls the function, and freezes it in between."""

    def __init__(self, program):
        program.start(
            "-m", "handler_app", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._program, self._process = program, program.process

    def call(self, event):
        """Have an event handled."""
        self._process.stdin.write(f"{event}\n".encode())
        self._process.stdin.flush()
        assert self._process.stdout.readline() == b"handled\n", self._program.stderr()

    def freeze(self):
        self._program.signal(signal.SIGSTOP)
        _, status = os.waitpid(self._process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)

    def thaw(self):
        self._program.signal(signal.SIGCONT)

    def end(self):
        self._program.signal(signal.SIGKILL)
        self._program.ends(-signal.SIGKILL)
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.fixture
def platform(program, either):
    made = Platform(program)
    yield made
    made.end()


def test_what_was_flushed_was_delivered(platform, recorder):
    for number, name in enumerate(NAMES):
        platform.call(f"{name} flush")
        platform.freeze()
        recorder.took_once(NAMES[: number + 1])
        recorder.hang_up()  # a long time goes by
        platform.thaw()
    platform.freeze()


def test_what_was_frozen_under_way_is_sent_again_after_the_thaw(platform, recorder):
    recorder.hold()
    platform.call("without")
    recorder.was_asked(1)
    platform.freeze()
    recorder.hang_up()
    recorder.answer()
    platform.thaw()
    platform.call("another flush")
    recorder.took_once(["without", "another"], again=True)
