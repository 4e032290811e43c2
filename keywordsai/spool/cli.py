"""What ``keywordsai spool`` prints, and asks; its options are in `keywordsai.cli`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import attrs

from keywordsai.delivery.folder import SpoolFolder, can_lock
from keywordsai.delivery.options import SPOOL_VARIABLE
from keywordsai.errors import ConfigurationError
from keywordsai.settings import ENABLED_VARIABLE, Settings
from keywordsai.spool import looking
from keywordsai.spool.choosing import choose
from keywordsai.spool.folder import Folder
from keywordsai.spool.queues import why
from keywordsai.spool.removing import doomed, remove
from keywordsai.spool.taking import take
from keywordsai.spool.text import bar, count, shown

__all__ = ["Progress", "run"]

_LEFT, _INTERRUPTED = 1, 130
_WIDTH = 110  # of what is no terminal
_LINE_EVERY = 5.0  # seconds


def run(options: argparse.Namespace) -> int:
    """Run a command.

    Args:
        options: As parsed: ``action``, ``spool``, and what the action has.

    Returns:
        The exit code: 0, or 1 if something is left that should not be.

    Raises:
        ConfigurationError: An option cannot be used as given.
    """
    given = options.spool or os.environ.get(SPOOL_VARIABLE)
    if not given:
        raise ConfigurationError(f"which folder? Give --spool, or set {SPOOL_VARIABLE}")
    if not can_lock():
        raise ConfigurationError("a spool folder needs file locks that Windows lacks")
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    actions = {"resend": _resend, "purge": _purge}
    try:
        # The path as a client makes it of the same text.
        path = os.path.abspath(os.path.expanduser(given))  # noqa: PTH100, PTH111
        folder = Folder(Path(path))
        return actions.get(options.action, _look)(folder, options)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        raise
    except (OSError, sqlite3.Error) as error:
        where = getattr(error, "filename", None) or given
        raise ConfigurationError(f"{where}: {why(error)}") from error


def _look(folder: Folder, options: argparse.Namespace) -> int:
    if options.action == "show":
        _print(looking.shown_log(folder, options.id))
        return 0
    if options.action == "status":
        seen = looking.status(folder)
        lines = looking.status_lines(seen)
    else:
        seen = looking.listed(folder, options.state, options.limit or sys.maxsize)
        lines = looking.listed_lines(seen, options.state, _width())
    _print([json.dumps(seen, indent=2)] if options.json else lines)
    return 0


def _resend(folder: Folder, options: argparse.Namespace) -> int:
    settings = Settings.resolve()
    if not settings.enabled:
        raise ConfigurationError(f"{ENABLED_VARIABLE} is off, so nothing is sent")
    _check_owner(folder)
    if not (folder.queues() or options.ids):
        print("Nothing to send.")
        return 0
    from keywordsai.spool.sending import client_of, send  # noqa: PLC0415  slow to load

    client = client_of(folder.path)
    spools = SpoolFolder(
        str(folder.path),
        base_url=settings.base_url,
        api_key=settings.api_key.reveal(),
    )
    every = options.all_accounts
    chosen = choose(folder, options.ids, spools.account, all_accounts=every)
    taken = take(folder, spools, settings.base_url, chosen)
    _complain(taken.troubles)
    total = taken.total
    if not total:
        print("Nothing to send.")
        _print(looking.not_sent(folder, spools.account, all_accounts=every))
        return _LEFT if taken.troubles else 0
    print(f"Sending {count(total, 'log')} to {settings.base_url}")
    progress = Progress(total)
    sent = send(client, folder, taken, timeout=options.timeout, show=progress.show)
    progress.end()
    _complain(sent.warnings)
    print(
        f"Delivered {sent.delivered:,}, pending {sent.pending:,}, "
        f"dead {sent.dead:,}, dropped {sent.dropped:,}."
    )
    if sent.dead:
        print("`keywordsai spool list --state dead` shows why the service refused.")
    if sent.pending:
        print("What is pending stays in the folder, and is sent when it can be.")
    _print(looking.not_sent(folder, spools.account, all_accounts=every))
    return _LEFT if taken.troubles or sent.delivered < total else 0


def _purge(folder: Folder, options: argparse.Namespace) -> int:
    _check_owner(folder)
    what = doomed(folder, options.ids, pending=options.pending, aside=options.corrupt)
    named = _counts(*what.counts)
    if named and not options.yes:
        if not sys.stdin.isatty():
            raise ConfigurationError(
                f"this would remove {named} for good; --yes does it without a question"
            )
        try:
            answer = input(f"Remove {named} from {folder.path} for good? [y/N] ")
        except EOFError:
            print()
            answer = ""
        if answer.strip().lower() not in {"y", "yes"}:
            print("Nothing was removed.")
            return _LEFT
    removed = remove(folder, what)
    _complain(removed.troubles)
    named = _counts(removed.dead, removed.pending, removed.aside)
    print(f"Removed {named}." if named else "Nothing to remove.")
    return _LEFT if removed.troubles else 0


def _counts(dead: int, pending: int, aside: int) -> str:
    """What is removed, in words; empty for nothing."""
    found = [
        (dead, "dead log"),
        (pending, "pending log"),
        (aside, "file that could not be read"),
    ]
    parts = [count(number, what) for number, what in found if number]
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def _check_owner(folder: Folder) -> None:
    """Root would leave files that the program cannot open any more."""
    for queue in folder.queues():
        with suppress(FileNotFoundError):
            owner = queue.path.stat().st_uid
            if owner != os.geteuid():
                raise ConfigurationError(
                    f"{queue.path} belongs to another user (uid {owner}): do this as "
                    "that user"
                )


def _complain(texts: Iterable[str]) -> None:
    for text in texts:
        print(f"keywordsai: {shown(text)}", file=sys.stderr)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _width() -> int:
    return shutil.get_terminal_size((_WIDTH, 24)).columns


def _on_terminal() -> bool:
    return sys.stdout.isatty()


@attrs.define
class Progress:
    """A bar on a terminal, else a line now and then."""

    total: int
    _is_terminal: bool = attrs.field(factory=_on_terminal)
    _next: float = attrs.field(factory=lambda: time.monotonic() + _LINE_EVERY)
    _started: float = attrs.field(factory=time.monotonic)

    def show(self, through: int) -> None:
        """So many are through."""
        now = time.monotonic()
        if self._is_terminal:
            line = bar(through, self.total, now - self._started, _width() - 1)
            print(f"\r{line}\x1b[K", end="", flush=True)
        elif now >= self._next:
            print(f"{through:,} of {self.total:,}", flush=True)
            self._next = now + _LINE_EVERY

    def end(self) -> None:
        """There is no more to show."""
        if self._is_terminal:
            print()
