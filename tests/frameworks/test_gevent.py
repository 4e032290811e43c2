"""gevent: threads are green, and an event loop would stop them all."""

import pytest
from frameworks.serving import needs

needs("gevent")

NAMES = [f"log-{number}" for number in range(50)]


@pytest.mark.parametrize("end", ["flush", "exit"])
def test_every_log_is_delivered_once(program, recorder, either, end):
    recorder.hold()
    program.start("-m", "green_app", end, *NAMES)
    program.until("logged" if end == "flush" else "exiting", 1)
    recorder.answer()
    program.ends()
    recorder.took_once(NAMES)
    program.left_nothing()
