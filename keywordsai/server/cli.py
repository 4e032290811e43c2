"""``keywordsai serve``: its options, and the server as a process.

Imports nothing of the server before it is run: its extra may not be installed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from keywordsai.server import DEFAULT_DATABASE, DEFAULT_PORT
from keywordsai.server.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keywordsai.server.options import ServerOptions

__all__ = ["KEY_VARIABLE", "add_serve", "run"]

KEY_VARIABLE = "KEYWORDSAI_SERVER_API_KEY"
_INTERRUPTED = 130
_SLOWEST_STOP = 20.0  # seconds; requests under way have 5 of them


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise argparse.ArgumentTypeError(f"expected a number up to 65535, got {text!r}")
    if int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a number up to 65535, got {text}")
    return int(text)


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_serve(serve: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; default: 127.0.0.1; others need a key",
    )
    serve.add_argument(
        "--port",
        default=DEFAULT_PORT,
        type=_port,
        help=f"port to listen on, 0 for a free one; default: {DEFAULT_PORT}",
    )
    serve.add_argument(
        "--database",
        metavar="URL",
        default=DEFAULT_DATABASE,
        help="where the logs are kept: sqlite:///file.db, sqlite:////a/full/path.db, "
        "sqlite:// for memory, or postgresql+psycopg://user@host/name; "
        f"default: {DEFAULT_DATABASE}",
    )
    serve.add_argument(
        "--api-key",
        metavar="KEY",
        action="append",
        help="a key to take, may be given several times; default: any; better set "
        f"{KEY_VARIABLE}, since others on the machine can read a command line",
    )
    serve.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="a name by which the server may be asked for, such as that of a proxy; "
        "may be given several times",
    )
    serve.add_argument(
        "--keep",
        metavar="TIME",
        type=_duration,
        help="remove logs that are older, such as 30d or 12h; default: never",
    )
    serve.add_argument(
        "--window",
        metavar="TIME",
        type=_duration,
        help="how far back lists go that name no start_time, such as 1h, which is "
        "the hosted service's; default: to the first log",
    )
    serve.add_argument(
        "--fault",
        metavar="TEXT",
        action="append",
        default=[],
        help='what is to go wrong, for tests, such as "503 for 20s"; may be given '
        "several times",
    )
    serve.add_argument(
        "--access-log",
        action="store_true",
        help="write a line of JSON for each request to standard error",
    )


def run(given: argparse.Namespace) -> int:
    """Serve until a signal comes.

    Returns:
        The exit code.

    Raises:
        ConfigurationError: An option is not usable.
        ModuleNotFoundError: The server's extra is not installed.
    """
    with _interrupts_end_at_once():
        from keywordsai.server.serving import ServerOptions  # noqa: PLC0415 - an extra

    keys = given.api_key
    if keys is None:
        keys = os.environ.get(KEY_VARIABLE, "").split()
    options = ServerOptions(
        host=given.host,
        port=given.port,
        database=given.database,
        api_keys=keys,
        window=given.window,
        keep=given.keep,
        allow_hosts=given.allow_host,
        faults=given.fault,
        access_log=given.access_log,
    )
    logging.basicConfig(level=logging.WARNING)
    if options.access_log:
        _write_access_log()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options))
    return 0


@contextlib.contextmanager
def _interrupts_end_at_once() -> Iterator[None]:
    """Have Ctrl-C end the process without a word, while nothing is open yet."""
    try:
        before = signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    except ValueError:  # not in the main thread, where no signal comes anyway
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _write_access_log() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    access = logging.getLogger("keywordsai.server.access")
    access.setLevel(logging.INFO)
    access.propagate = False
    access.addHandler(handler)


async def _serve(options: ServerOptions) -> None:
    from keywordsai.server.serving import serving  # noqa: PLC0415 - an extra

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Where there are no such handlers (Windows), Ctrl-C raises instead.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    async with serving(options, own_writer=True) as url:
        _greet(url, options)
        await stop.wait()
        watchdog = threading.Timer(_SLOWEST_STOP, _give_up)
        watchdog.daemon = True
        watchdog.start()
    watchdog.cancel()


def _greet(url: str, options: ServerOptions) -> None:
    key = "one of its keys" if options.api_keys else "any text"
    print(f"Keywords AI log server listening on {url}")
    print(f"Point a client at it: KEYWORDSAI_BASE_URL={url}/api")
    print(f"                      KEYWORDSAI_API_KEY={key}")
    print(f"See the logs:         {url}/")
    print("Stop it with Ctrl-C.", flush=True)


def _give_up() -> None:
    """End, though something still runs. What was acknowledged is committed."""
    print("keywordsai: a request would not end; stopped without it", file=sys.stderr)
    sys.stderr.flush()
    os._exit(1)
