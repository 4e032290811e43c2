"""A function as of a serverless platform, that handles the events it is given."""

import sys

from logging_app import client, log

for line in sys.stdin:
    event, _, flush = line.strip().partition(" ")
    log(event)
    if flush:
        assert client.flush(60).complete
    print("handled", flush=True)  # noqa: T201  the platform waits for it
