"""How a client delivers in the background: its options, validated once."""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from keywordsai._excerpt import excerpt
from keywordsai.errors import ConfigurationError

__all__ = ["SPOOL_VARIABLE", "DeliveryOptions", "check_flush_timeout"]

SPOOL_VARIABLE = "KEYWORDSAI_SPOOL"
_LONGEST = 1e9  # seconds


@attrs.frozen(kw_only=True, eq=False)
class DeliveryOptions:
    """The options of `LogAPI` that are about delivery; it describes them.

    Attributes:
        block: Whether ``create`` waits for the service's answer.
        spool: The folder of the queue, made absolute; None for memory.
        on_drop: Called with each log that is given up, and the reason.
        concurrency: Most requests in flight.
        bulk: Whether many logs go in one request.
        max_pending: Most logs that wait.
        max_pending_bytes: Most bytes of them.
        max_age: Seconds after which a pending log is dropped.
        exit_timeout: Seconds that ``close`` and the program's exit may take.
    """

    block: bool = True
    spool: str | None = None
    on_drop: Callable[[dict[str, Any], str], object] | None = None
    concurrency: int = 16
    bulk: bool = False
    max_pending: int = 100_000
    max_pending_bytes: int = 2**30
    max_age: float = 72 * 3600.0
    exit_timeout: float = 2.0

    @classmethod
    def resolve(
        cls,
        *,
        block: bool,
        spool: str | os.PathLike[str] | None,
        on_drop: Callable[[dict[str, Any], str], object] | None,
        concurrency: int,
        bulk: bool,
        max_pending: int,
        max_pending_bytes: int,
        max_age: float,
        exit_timeout: float,
        environ: Mapping[str, str] | None = None,
    ) -> DeliveryOptions:
        """Settle every option; the arguments are those of `LogAPI`.

        Raises:
            ConfigurationError: Names the argument or variable that is wrong.
        """
        environ = os.environ if environ is None else environ
        for name, switch in (("block", block), ("bulk", bulk)):
            if not isinstance(switch, bool):
                raise ConfigurationError(
                    f"{name} must be True or False, got {excerpt(switch)}"
                )
        if on_drop is not None and not callable(on_drop):
            raise ConfigurationError(
                "on_drop must be a function of a log and a reason, or None, "
                f"got {excerpt(on_drop)}"
            )
        return cls(
            block=block,
            spool=_folder(spool, environ),
            on_drop=on_drop,
            concurrency=_count("concurrency", concurrency),
            bulk=bulk,
            max_pending=_count("max_pending", max_pending),
            max_pending_bytes=_count("max_pending_bytes", max_pending_bytes),
            max_age=_seconds("max_age", max_age),
            exit_timeout=_seconds("exit_timeout", exit_timeout, zero=True),
        )


def check_flush_timeout(timeout: float | None) -> None:
    """A flush's timeout: seconds, 0 for a look, None for the client's own.

    Raises:
        ConfigurationError: It is no number of seconds.
    """
    if timeout is not None:
        _seconds("timeout", timeout, zero=True)


def _count(name: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or number < 1:
        raise ConfigurationError(
            f"{name} must be a whole number from 1 on, got {excerpt(value)}"
        )
    return number


def _seconds(name: str, value: Any, *, zero: bool = False) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and 0 <= value <= _LONGEST and (value or zero)):
        least = "from 0 on" if zero else "above 0"
        raise ConfigurationError(
            f"{name} must be a number of seconds {least}, got {excerpt(value)}"
        )
    return float(value)


def _folder(
    given: str | os.PathLike[str] | None, environ: Mapping[str, str]
) -> str | None:
    source, value = "spool", given
    if value is None:
        source, value = SPOOL_VARIABLE, environ.get(SPOOL_VARIABLE)
    if not value:
        return None
    try:
        path = os.fspath(value)
    except TypeError:
        path = None
    if not isinstance(path, str) or "\0" in path:
        raise ConfigurationError(
            f"{source} must be the path of a folder, got {excerpt(value)}"
        )
    if sys.platform == "win32":
        raise ConfigurationError(
            f"{source}: a spool folder needs file locks that Windows does not have; "
            "leave it out, and logs wait in memory"
        )
    # The program may change its folder later.
    return os.path.abspath(os.path.expanduser(path))
