"""The options of ``keywordsai push``; imports nothing that takes its time."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["add_push"]


def add_push(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the command line."""
    push = commands.add_parser(
        "push",
        help="send the logs of a database on to the service",
        description="Send the logs of a database on to the service, each once.",
    )
    push.add_argument(
        "--from",
        dest="source",
        metavar="URL",
        required=True,
        help="the database, such as sqlite:///logs.db",
    )
    push.add_argument(
        "--base-url", metavar="URL", help="where to; default: as for LogAPI"
    )
    push.add_argument(
        "--api-key",
        metavar="KEY",
        help="default: as for LogAPI; better set KEYWORDSAI_API_KEY, since others on "
        "the machine can read a command line",
    )
    push.add_argument(
        "--since", metavar="TIME", help="only logs from then on; ISO 8601, UTC"
    )
    push.add_argument("--until", metavar="TIME", help="only logs up to then")
    push.add_argument(
        "--limit", metavar="N", type=_number, help="send so many logs at most"
    )
    push.add_argument(
        "--retry-refused",
        action="store_true",
        help="also logs that were refused before",
    )
    push.add_argument(
        "--dry-run", action="store_true", help="only tell how many would be sent"
    )


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text)):
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, got {text!r}")
    return int(text)
