"""gunicorn: workers that are forked, before or after the application is imported."""

import pytest
from frameworks.serving import APPS, needs

needs("gunicorn")

NAMES = [f"log-{number}" for number in range(60)]
EARLY, LATE = NAMES[:30], NAMES[30:]


def serve(program, recorder, *options, before=()):
    """Requests, some logs of which wait for the exit; what the last ones were told."""
    program.start(
        *("-m", "gunicorn", "--config", APPS / "gunicorn_hooks.py"),
        *("--bind", f"fd://{program.fd}", "--workers", 2),
        *(*options, "wsgi_app:application"),
    )
    program.until("ready", 2)
    pids = {told["pid"] for told in program.get_all(EARLY)}
    recorder.has(len(before) + len(EARLY))
    recorder.hold()
    last = program.get_all(LATE)
    pids |= {told["pid"] for told in last}
    assert all(told["answer"] == {"message": "log queued"} for told in last)
    program.signal()
    program.until("exiting", len(pids))
    recorder.answer()
    program.ends()
    recorder.took_once([*before, *NAMES])
    program.left_nothing()
    return last


@pytest.mark.parametrize("kind", ["sync", "gevent"])
@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
def test_every_log_is_delivered_once(program, recorder, either, kind, preload):
    options = ["--worker-class", kind]
    before = []
    if kind == "gevent":
        needs("gevent")
    if preload:
        options += ["--preload", "--env", "LOG_AT_IMPORT=1"]
        before = ["at import"]
    last = serve(program, recorder, *options, before=before)
    over = {name for told in last for name in told["over"]}
    if kind == "gevent" and not preload:  # the master, which is not green, had a log
        assert over == {"requests"}
