"""Celery's prefork pool, whose children leave by os._exit, without finalizers."""

from frameworks.serving import needs

needs("celery")

NAMES = [f"log-{number}" for number in range(60)]
# A child of billiard's pool sleeps a second before it leaves. What is sent only then
# was sent by luck, so the service answers later than that.
AFTER_THE_NAP = 1.5


def test_every_log_is_delivered_once(program, recorder, either):
    recorder.hold()
    program.run("-m", "celery_app", *NAMES)
    program.start(
        *("-m", "celery", "--app", "celery_app", "worker", "--pool", "prefork"),
        *("--concurrency", 2, "--loglevel", "WARNING"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    )
    program.until("did", len(NAMES))
    program.signal()
    program.until("exiting", 2)
    recorder.answer(after=AFTER_THE_NAP)
    program.ends()
    recorder.took_once(NAMES)
    program.left_nothing()
