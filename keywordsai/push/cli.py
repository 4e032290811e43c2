"""What ``keywordsai push`` prints; its options are in `arguments`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from keywordsai.errors import ConfigurationError
from keywordsai.logs.endpoints import Endpoints
from keywordsai.settings import ENABLED_VARIABLE, Settings
from keywordsai.spool.cli import Progress
from keywordsai.spool.text import count, shown
from keywordsai.transport.base import Timeout
from keywordsai.transport.databases import absolute, is_database
from keywordsai.transport.retry import RetryPolicy

if TYPE_CHECKING:
    from keywordsai.push.memory import Memory, Wanted
    from keywordsai.push.sending import Pushed
    from keywordsai.server.store import Store

__all__ = ["run"]

_LEFT, _INTERRUPTED = 1, 130
_LISTED = 50  # refused logs
_FILE = "sqlite:///"
# Nobody waits for one log: what a busy service asks for is worth waiting for.
_TIMEOUT = Timeout(connect=5, read=30, total=300)
_RETRY = RetryPolicy(attempts=6)


def run(options: argparse.Namespace) -> int:
    """Run the command.

    Args:
        options: As parsed.

    Returns:
        The exit code: 0, or 1 if a log is left or was refused.

    Raises:
        ConfigurationError: An option cannot be used as given.
    """
    settings = _settings(options)
    source = _source(options.source)
    import sqlalchemy as sa  # noqa: PLC0415  an extra

    from keywordsai.push.memory import Memory  # noqa: PLC0415  as above
    from keywordsai.server.engines import StoreFull, reason  # noqa: PLC0415
    from keywordsai.server.store import Store  # noqa: PLC0415

    wanted = _wanted(options)
    try:
        with closing(_opened(Store, source)) as store:
            memory = Memory(
                store,
                base_url=settings.base_url,
                api_key=settings.api_key.reveal(),
            )
            return _push(memory, settings, wanted, options)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return _INTERRUPTED
    except (StoreFull, sa.exc.SQLAlchemyError) as error:
        raise ConfigurationError(
            f"--from: cannot use the database: {reason(error)}"
        ) from error


def _settings(options: argparse.Namespace) -> Settings:
    try:
        settings = Settings.resolve(
            api_key=options.api_key,
            base_url=options.base_url,
            timeout=_TIMEOUT,
            retry=_RETRY,
        )
    except ConfigurationError as error:
        # Said of arguments in Python; here they are options.
        text = str(error).replace("api_key=", "--api-key")
        raise ConfigurationError(text) from error
    if settings.database is not None:
        raise ConfigurationError(
            "the base URL is a database itself: give the service's by --base-url"
        )
    if not settings.enabled:
        raise ConfigurationError(f"{ENABLED_VARIABLE} is off, so nothing is sent")
    return settings


def _source(given: str) -> str:
    if not is_database(given):
        raise ConfigurationError(
            "--from: expected a database, such as sqlite:///logs.db"
        )
    url = absolute(given)
    path, _, query = url.removeprefix(_FILE).partition("?")
    is_file = url.startswith(f"{_FILE}/") and "uri=" not in query
    if is_file and not os.path.exists(path):  # noqa: PTH110  a check, no path to keep
        raise ConfigurationError(f"--from: there is no file {path}")
    return url


def _opened(kind: type[Store], url: str) -> Store:
    try:
        return kind.open(url)
    except ConfigurationError as error:
        text = str(error).removeprefix("database: ")
        raise ConfigurationError(f"--from: {text}") from error


def _wanted(options: argparse.Namespace) -> Wanted:
    from keywordsai.push.memory import Wanted  # noqa: PLC0415  an extra
    from keywordsai.server.times import parse_time  # noqa: PLC0415

    def instant(option: str, text: str | None) -> int | None:
        found = parse_time(text)
        if text is not None and found is None:
            raise ConfigurationError(
                f"{option}: expected an ISO 8601 time, such as 2026-01-31T12:00Z, got "
                f"{text!r}"
            )
        return found

    return Wanted(
        since=instant("--since", options.since),
        until=instant("--until", options.until),
        refused=options.retry_refused,
    )


def _push(
    memory: Memory, settings: Settings, wanted: Wanted, options: argparse.Namespace
) -> int:
    from keywordsai.push.memory import DELIVERED, REFUSED  # noqa: PLC0415  an extra

    before, refused = memory.ended(DELIVERED), memory.ended(REFUSED)
    found = memory.count(wanted)
    total = found if options.limit is None else min(found, options.limit)
    told = f"{before:,} pushed before" + (f", {refused:,} refused" if refused else "")
    if not total:
        print(f"Nothing to push to {settings.base_url} ({told}).")
        _hint(refused, wanted)
        return 0
    if options.dry_run:
        print(f"Would push {count(total, 'log')} to {settings.base_url} ({told}).")
        return 0
    print(f"Pushing {count(total, 'log')} to {settings.base_url} ({told})", flush=True)
    pushed, interrupted = _send(memory, settings, wanted, total)
    left = total - pushed.delivered - len(pushed.refused)
    print(
        f"Delivered {pushed.delivered:,}, refused {len(pushed.refused):,}, "
        f"left {left:,}."
    )
    for log_id, why in pushed.refused[:_LISTED]:
        print(f"  {log_id}  {shown(why)}")
    if len(pushed.refused) > _LISTED:
        print(f"  and {len(pushed.refused) - _LISTED:,} more")
    _hint(len(pushed.refused), wanted)
    if pushed.trouble:
        print(f"keywordsai: {shown(pushed.trouble)}", file=sys.stderr)
    if left:
        print("What is left goes with the next push.")
    if interrupted:
        return _INTERRUPTED
    return _LEFT if left or pushed.refused else 0


def _hint(refused: int, wanted: Wanted) -> None:
    if refused and not wanted.refused:
        print("Refused logs are not sent again, but with --retry-refused.")


def _send(
    memory: Memory, settings: Settings, wanted: Wanted, total: int
) -> tuple[Pushed, bool]:
    """Send them: what came of it, and whether it was interrupted."""
    from keywordsai.push.sending import Sender  # noqa: PLC0415  an extra
    from keywordsai.transport.aiohttp import AiohttpTransport  # noqa: PLC0415  slow

    progress = Progress(total)
    transport = AiohttpTransport(settings.network)
    sender = Sender(memory, Endpoints(settings), transport, progress.show)

    async def send() -> None:
        try:
            await sender.send(wanted, total)
        finally:
            await transport.close()

    interrupted = False
    try:
        asyncio.run(send())
    except KeyboardInterrupt:
        interrupted = True
    progress.end()
    return sender.pushed, interrupted
