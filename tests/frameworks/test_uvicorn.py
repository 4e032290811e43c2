"""uvicorn: workers that are spawned, and that kill themselves by the signal they got.

After its own orderly end a worker raises the SIGTERM again, now with the system's
handler. No exit hook of Python's runs then: what was not sent by the end of the
application's lifespan is only safe in a folder.
"""

from frameworks.serving import needs

needs("uvicorn")

NAMES = [f"log-{number}" for number in range(60)]
EARLY, LATE = NAMES[:30], NAMES[30:]


def serve(program, recorder):
    """Requests, some logs of which wait for the end, and the end."""
    start(program)
    program.get_all(EARLY)
    recorder.has(len(EARLY))
    recorder.hold()
    for told in program.get_all(LATE):
        assert told["answer"] == {"message": "log queued"}
    program.signal()
    program.until("exiting", 2)


def start(program):
    program.start(
        *("-m", "uvicorn", "--fd", program.fd, "--workers", 2),
        *("--log-level", "warning", "asgi_app:application"),
    )
    program.until("ready", 2)


def test_a_client_closed_with_the_lifespan(program, recorder, either):
    program.environment["CLOSE_AT_SHUTDOWN"] = "1"
    serve(program, recorder)
    recorder.answer()
    program.ends()
    recorder.took_once(NAMES)
    program.left_nothing()


def test_what_is_left_in_the_folder_is_delivered_after_a_restart(program, recorder):
    program.use_folder()
    serve(program, recorder)
    program.ends()
    recorder.answer()
    start(program)
    program.get("another")
    recorder.has(len(NAMES) + 1)
    program.signal()
    program.ends()
    recorder.took_once([*NAMES, "another"], again=True)
