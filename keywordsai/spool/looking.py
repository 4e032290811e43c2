"""What is seen of a spool folder: as data for machines, and as lines to be read."""

from __future__ import annotations

import heapq
import sqlite3
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from keywordsai.errors import ConfigurationError
from keywordsai.spool.folder import Folder
from keywordsai.spool.queues import Contents, Row, why
from keywordsai.spool.text import ago, count, indented, one_line, shown, size, table

__all__ = [
    "listed",
    "listed_lines",
    "not_sent",
    "shown_log",
    "status",
    "status_lines",
]

_STATUS = (
    "FILE",
    "PROCESS",
    "ACCOUNT",
    "PENDING",
    "DEAD",
    "SIZE",
    "OLDEST",
    "BASE URL",
)
_LIST = ("ID", "STATE", "AGE", "SIZE", "WHAT THE SERVICE SAID")
_OK = 300  # a status below is that of a whole batch, which was taken


def status(folder: Folder) -> dict[str, Any]:
    """What is in each file, all of them, and what was set aside."""
    now = time.time()
    found = folder.contents()
    shorts = folder.shorts()
    account = folder.own_account()
    oldest = [one.oldest for one in found if one.oldest is not None]
    return {
        "folder": str(folder.path),
        "files": [
            {
                "file": shorts.get(one.queue.uid, one.queue.uid),
                "path": str(one.queue.path),
                "in_use": one.in_use,
                "account": _whose(one, account),
                "base_url": one.base_url,
                "pending": one.pending,
                "dead": one.dead,
                "bytes": one.size,
                "oldest_age": _age(one.oldest, now),
                "error": one.trouble or None,
            }
            for one in found
        ],
        "total": {
            "pending": sum(one.pending for one in found),
            "dead": sum(one.dead for one in found),
            "bytes": sum(one.size for one in found),
            "oldest_age": _age(min(oldest, default=None), now),
        },
        "corrupt": [
            {"path": str(path), "bytes": path.stat().st_size} for path in folder.aside()
        ],
    }


def status_lines(seen: Mapping[str, Any]) -> Iterator[str]:
    """`status` as a table."""
    if seen["files"]:
        yield f"Spool folder {shown(seen['folder'])}"
        yield ""
        rows = [_STATUS]
        for one in seen["files"]:
            process = "running" if one["in_use"] else "left behind"
            error = one["error"] and f"cannot be read: {one['error']}"
            rows.append(
                (
                    one["file"],
                    process,
                    one["account"],
                    *_numbers(one),
                    error or one["base_url"],
                )
            )
        rows.append(("total", "", "", *_numbers(seen["total"]), ""))
        yield from table(rows, right=(3, 4, 5, 6))
    else:
        yield f"Spool folder {shown(seen['folder'])}: no logs"
    if seen["corrupt"]:
        yield ""
        yield "Set aside, since they could not be read:"
        for one in seen["corrupt"]:
            yield f"  {shown(one['path'])}  {size(one['bytes'])}"


def listed(folder: Folder, state: str, limit: int) -> dict[str, Any]:
    """The logs, the oldest first, without what they say.

    Args:
        folder: The folder.
        state: ``pending``, ``dead`` or ``all``.
        limit: How many at the most.
    """
    now = time.time()
    found = folder.contents()
    shorts = folder.shorts()
    each: list[list[Row]] = []
    errors = []
    for one in found:
        try:
            each.append(folder.rows(one.queue, state, limit))
        except (OSError, sqlite3.Error) as error:  # noqa: PERF203  few
            errors.append({"path": str(one.queue.path), "error": why(error)})
    merged = heapq.merge(*each, key=lambda row: row.created)
    rows = [row for _, row in zip(range(limit), merged, strict=False)]
    pending, dead = sum(one.pending for one in found), sum(one.dead for one in found)
    total = {"pending": pending, "dead": dead, "all": pending + dead}[state]
    return {
        "logs": [
            {
                "id": _name(row, shorts),
                "state": _state(row),
                "age": _age(row.created, now),
                "bytes": row.size,
                "status": row.status,
                "words": row.words,
            }
            for row in rows
        ],
        "more": max(0, total - len(rows)),
        "errors": errors,
    }


def listed_lines(seen: Mapping[str, Any], state: str, width: int) -> Iterator[str]:
    """`listed` as a table, the words cut to fit."""
    rows = [
        (
            *(one["id"], one["state"], ago(one["age"]), size(one["bytes"])),
            _said(one["status"], one["words"]),
        )
        for one in seen["logs"]
    ]
    if any(row[-1] for row in rows):
        yield from table([_LIST, *rows], right=(2, 3), width=width)
    elif rows:
        yield from table([row[:-1] for row in (_LIST, *rows)], right=(2, 3))
    elif not seen["errors"]:
        yield "No logs." if state == "all" else f"No {state} logs."
    if seen["more"]:
        yield f"and {count(seen['more'], 'more log')}; --limit 0 lists all"
    for one in seen["errors"]:
        yield f"{shown(one['path'])} cannot be read: {shown(one['error'])}"


def shown_log(folder: Folder, name: str) -> Iterator[str]:
    """A log, with what it says.

    Args:
        folder: The folder.
        name: Its id.

    Raises:
        ConfigurationError: There is none.
    """
    ((queue, (number,)),) = folder.named([name]).items()
    found = folder.log(queue, number)
    if found is None:
        raise ConfigurationError(f"there is no log {name}")
    row, payload = found
    about = {
        "id": _name(row, folder.shorts()),
        "state": _state(row),
        "since": _moment(row.created),
        "size": size(row.size),
        "idempotency key": payload.key,
        "file": str(row.queue.path),
    }
    if row.batch:
        about["idempotency key"] += " (of the batch it goes in)"
    if row.dead:
        about["the service said"] = _said(row.status, row.words)
    width = max(map(len, about)) + 2
    for key, value in about.items():
        yield f"{f'{key}:':{width}}{one_line(value)}"
    yield ""
    yield indented(payload.body.decode(errors="backslashreplace"))


def not_sent(folder: Folder, account: str, *, all_accounts: bool) -> Iterator[str]:
    """What `resend` leaves to others.

    Args:
        folder: The folder.
        account: That it sends for.
        all_accounts: Whether it sends for the others too.
    """
    found = folder.contents()
    running = sum(one.pending for one in found if one.in_use)
    if running:
        yield f"{count(running, 'log')} of running processes, which send them."
    others = [one for one in found if one.queue.account != account]
    number = sum(one.dead + (0 if one.in_use else one.pending) for one in others)
    if number and not all_accounts:
        yield (
            f"{count(number, 'log')} of another API key or base URL: --all-accounts "
            "sends them with this one."
        )


def _whose(contents: Contents, account: str | None) -> str:
    if account is None:
        return "unknown"
    return "this" if contents.queue.account == account else "other"


def _age(created: float | None, now: float) -> float | None:
    return None if created is None else round(max(0.0, now - created), 3)


def _numbers(of: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return (
        f"{of['pending']:,}",
        f"{of['dead']:,}",
        size(of["bytes"]),
        ago(of["oldest_age"]),
    )


def _name(row: Row, shorts: Mapping[str, str]) -> str:
    return f"{shorts.get(row.queue.uid, row.queue.uid)}-{row.number}"


def _state(row: Row) -> str:
    return "dead" if row.dead else "pending"


def _said(status: int | None, words: str | None) -> str:
    """The service's answer, with the status once."""
    if status is None:
        return ""
    if status < _OK:
        return f"refused in bulk: {words}"
    said = (words or "").removeprefix(f"{status}: ")
    return f"{status}: {said}" if said else str(status)


def _moment(created: float) -> str:
    try:
        moment = datetime.fromtimestamp(created, timezone.utc)
    except (ValueError, OverflowError, OSError):  # of a clock that was far off
        return str(created)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC ({ago(time.time() - created)} ago)"
