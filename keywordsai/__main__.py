"""``python -m keywordsai``: the command line, without the script on the path."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run a command; Ctrl-C ends it quietly, from the first import on.

    Returns:
        The exit code.
    """
    try:
        from keywordsai import cli  # noqa: PLC0415 - takes its time

        return cli.main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
