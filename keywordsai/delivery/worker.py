"""The worker of an outbox: one daemon thread that asks the scheduler, and sends.

It has one of two drivers, alike line by line. Both leave a burst alone: a worker
that sends while logs are put in costs the caller hand-overs of the interpreter's
lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from keywordsai._logging import logger
from keywordsai.delivery.async_driver import AsyncDriver
from keywordsai.delivery.driving import is_green
from keywordsai.delivery.outbox import Outbox
from keywordsai.delivery.thread_driver import ThreadDriver
from keywordsai.transport.base import SyncTransport

__all__ = ["Worker"]

_AFTER_ERROR = 1.0  # seconds


class _Driver(Protocol):
    def run(self) -> None: ...
    def wake(self) -> None: ...
    def stop(self) -> None: ...
    def is_current(self) -> bool: ...


class Worker:
    """The thread, and what it drives.

    Args:
        outbox: Whose logs it sends.
        transport: To send over; None for our own.
        is_needed: Asked when there is nothing to send; False ends the worker.
    """

    def __init__(
        self,
        outbox: Outbox,
        transport: SyncTransport | None,
        is_needed: Callable[[], bool],
    ) -> None:
        self._driver: _Driver
        if transport is None and not is_green():
            self._driver = AsyncDriver(outbox, is_needed)
        else:
            self._driver = ThreadDriver(outbox, is_needed, transport)
        self._outbox = outbox
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="keywordsai-delivery", daemon=True
        )

    def start(self) -> None:
        """Begin.

        Raises:
            RuntimeError: The interpreter is ending, and starts no more threads.
        """
        self._thread.start()

    def wake(self) -> None:
        """There is something to send, or somebody waits. From any thread."""
        self._driver.wake()

    def stop(self) -> None:
        """Abandon what is in flight, and end soon."""
        self._stopping.set()
        self._driver.stop()

    def is_alive(self) -> bool:
        """Whether it is at work."""
        return self._thread.is_alive()

    def is_current(self) -> bool:
        """Whether this is the worker's own thread."""
        here = threading.current_thread()
        return here is self._thread or self._driver.is_current()

    def _run(self) -> None:
        while not self._runs_well() and not self._stopping.wait(_AFTER_ERROR):
            pass
        self._outbox.asleep = True  # the next log begins another

    def _runs_well(self) -> bool:
        try:
            self._driver.run()
        except Exception as error:  # noqa: BLE001  no log may be lost for our mistake
            kind = type(error).__name__
            logger("delivery").error("the delivery worker failed (%s), once more", kind)
            return False
        return True
