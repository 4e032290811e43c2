"""A Celery application whose tasks log one call each; run, it sends such tasks."""

import os
import sys
from pathlib import Path

from celery import Celery
from celery.signals import worker_process_shutdown
from logging_app import log, mark

MESSAGES = Path(os.environ["MARKS"], os.pardir, "messages").resolve()

app = Celery("celery_app", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(MESSAGES),
        "data_folder_out": str(MESSAGES),
        "processed_folder": str(MESSAGES / "processed"),
        "control_folder": str(MESSAGES / "control"),
        "store_processed": True,
        "polling_interval": 0.05,  # seconds
    },
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    worker_hijack_root_logger=False,
)


@app.task
def log_one(name):
    log(name)
    mark(f"did-{name}")


@worker_process_shutdown.connect
def _exiting(**_):
    mark("exiting")


if __name__ == "__main__":
    for folder in (MESSAGES, MESSAGES / "processed", MESSAGES / "control"):
        folder.mkdir()
    for name in sys.argv[1:]:
        log_one.delay(name)
