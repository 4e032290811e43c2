"""The command line: ``keywordsai serve``, ``quickstart``, ``push`` and ``spool``.

Exit codes: 0 all went well, 1 something is left that should not be, 2 an option
cannot be used as given (one line on standard error says which). Nothing of the
server is imported before a command asks for it: its extra may not be installed.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from keywordsai._version import version
from keywordsai.errors import ConfigurationError
from keywordsai.push.arguments import add_push
from keywordsai.server.cli import add_serve
from keywordsai.server.cli import run as run_serve

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_UNUSABLE = 2
_INTERRUPTED = 130
_SERVER_EXTRA = frozenset({"alembic", "jinja2", "sqlalchemy"})  # as in setup.cfg
_LONGEST = 1e9  # seconds
_LISTED = 100


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        """End, and point to the help where the line does not say what to write."""
        if message.startswith(("the following arguments", "unrecognized arguments")):
            message += f"; see {self.prog} --help"
        self.exit(_UNUSABLE, f"{self.prog}: {message}\n")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, got {text!r}")
    return seconds


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise argparse.ArgumentTypeError(f"expected a number from 0 on, got {text!r}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="keywordsai", description="Log LLM calls, and run a log server locally."
    )
    parser.add_argument("--version", action="version", version=version())
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="run the local log server",
        description="Run the local log server until Ctrl-C or SIGTERM.",
    )
    add_serve(serve)
    commands.add_parser(
        "quickstart",
        help="log two calls to a server of its own and read them back",
        description="Log two calls to a server of its own and read them back.",
    )
    add_push(commands)
    _add_spool(commands)
    return parser


def _add_spool(
    commands: argparse._SubParsersAction[_Parser],
) -> None:
    spool = commands.add_parser(
        "spool",
        help="see and handle logs that wait in a folder, or were refused",
        description="See and handle the logs in the folder of LogAPI(spool=...).",
    )
    actions = spool.add_subparsers(dest="action", required=True, metavar="ACTION")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        action = actions.add_parser(
            name, help=text, description=f"{text}.".capitalize()
        )
        action.add_argument(
            "--spool",
            metavar="DIR",
            help="the folder; default: KEYWORDSAI_SPOOL",
        )
        return action

    status = add("status", "tell what is in each file")
    listed = add("list", "list logs, the oldest first, without what they say")
    shown = add("show", "show one log, with what it says")
    resend = add("resend", "send dead logs, and what dead processes left behind")
    purge = add("purge", "remove dead logs for good")
    for action in (status, listed):
        action.add_argument("--json", action="store_true", help="for machines")
    listed.add_argument(
        "--state",
        choices=("pending", "dead", "all"),
        default="all",
        help="which logs; default: all",
    )
    listed.add_argument(
        "--limit",
        metavar="N",
        type=_limit,
        default=_LISTED,
        help=f"how many, 0 for all of them; default: {_LISTED}",
    )
    shown.add_argument("id", metavar="ID", help="the log, as `list` names it")
    for action in (resend, purge):
        action.add_argument(
            "ids", metavar="ID", nargs="*", help="dead logs; default: all of them"
        )
    resend.add_argument(
        "--all-accounts",
        action="store_true",
        help="also those given with another API key or base URL, with this one",
    )
    resend.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        help="how long to try; default: while any is delivered within 30 seconds",
    )
    purge.add_argument(
        "--pending",
        action="store_true",
        help="also logs that wait, unless a running process has them",
    )
    purge.add_argument(
        "--corrupt", action="store_true", help="also files that could not be read"
    )
    purge.add_argument("--yes", action="store_true", help="do not ask")


def _run(options: argparse.Namespace) -> int:
    if options.command == "spool":
        from keywordsai.spool.cli import run as run_spool  # noqa: PLC0415  slow

        return run_spool(options)
    if options.command == "push":
        from keywordsai.push.cli import run as run_push  # noqa: PLC0415  slow

        return run_push(options)
    if options.command == "serve":
        return run_serve(options)
    from keywordsai.quickstart import run  # noqa: PLC0415 - needs the extra

    return run()


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: The arguments, by default those of the process.

    Returns:
        The exit code.
    """
    try:
        return _run(_parser().parse_args(argv))
    except SystemExit as stop:  # argparse's way to end: help, version, an error
        return stop.code if isinstance(stop.code, int) else 0
    except ConfigurationError as error:
        message = str(error)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # whoever was reading has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _SERVER_EXTRA:
            raise
        message = (
            "this needs the server extra; in a clone of the project: "
            "pip install '.[server]'"
        )
    print(f"keywordsai: {' '.join(message.split())}", file=sys.stderr)
    return _UNUSABLE
