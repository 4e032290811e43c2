"""What an operator reads: tables, ages and sizes, and a log's JSON, on any terminal."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Iterator, Sequence

__all__ = ["ago", "bar", "count", "indented", "one_line", "shown", "size", "table"]

# What a terminal would obey, or show in another order.
_UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_PART = re.compile(r'"(?:[^"\\]|\\.)*"|[][{},:]|[^][{},:"\s]+|"')
_FEWEST, _LONGEST_BAR = 30, 40  # characters
_AGES = ((86_400, "day"), (3_600, "h"), (60, "min"), (1, "s"))
_SIZES = ((10**9, "GB"), (10**6, "MB"), (10**3, "KB"))


def count(number: int, what: str) -> str:
    """A number of things.

    Example:
        >>> count(1, "dead log"), count(12000, "file")
        ('1 dead log', '12,000 files')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def ago(seconds: float | None) -> str:
    """An age, in the largest unit that it has two of.

    Example:
        >>> ago(3.4), ago(100), ago(86_400 * 2.5), ago(None)
        ('3 s', '100 s', '2 days', '-')
    """
    if seconds is None:
        return "-"
    for unit, name in _AGES:
        if seconds >= 2 * unit or unit == 1:
            number = int(max(0, seconds) // unit)
            return count(number, name) if name == "day" else f"{number} {name}"
    return ""


def size(number: int) -> str:
    """Bytes, in short.

    Example:
        >>> size(812), size(1234), size(56_700_000)
        ('812 B', '1.2 KB', '56.7 MB')
    """
    for unit, name in _SIZES:
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return f"{number} B"


def shown(text: str) -> str:
    """A text with all escaped, as in JSON, that a terminal would act on."""
    return _UNSAFE.sub(lambda match: json.dumps(match[0])[1:-1], text)


def bar(through: int, total: int, seconds: float, width: int) -> str:
    """How far it has come, and how fast it goes.

    Example:
        >>> bar(50, 200, 2.0, 60)
        '[########---------------------------]   25 %  50 of 200  25/s'
    """
    rate = f"{through / seconds:,.0f}/s" if seconds else ""
    numbers = f"{100 * through // total:3} %  {through:,} of {total:,}  {rate}"
    length = max(0, min(_LONGEST_BAR, width - len(numbers) - 3))
    done = length * through // total
    return one_line(f"[{'#' * done}{'-' * (length - done)}]", width) + "  " + numbers


def one_line(text: str, width: int = sys.maxsize) -> str:
    r"""A text on one line, cut should it be longer.

    Example:
        >>> one_line("no  such\nmodel"), one_line("no such model", 8)
        ('no such model', 'no such…')
    """
    line = shown(" ".join(text.split()))
    return line if len(line) <= width else f"{line[: max(0, width - 1)]}…"


def indented(text: str) -> str:
    """JSON, laid out to be read; every value in it stays as it is written.

    Example:
        >>> print(indented('{"cost":1.10,"tags":["a",{}],"none":[]}'))
        {
          "cost": 1.10,
          "tags": [
            "a",
            {}
          ],
          "none": []
        }
    """
    return shown("".join(_laid_out(text)))


def _laid_out(text: str) -> Iterator[str]:
    depth, last = 0, ""
    for part in _PART.findall(text):
        opens, closes = part in {"{", "["}, part in {"}", "]"}
        depth -= closes
        after_opening = last in {"{", "["}
        if last == "," or after_opening is not closes:
            yield "\n" + "  " * depth
        yield ": " if part == ":" else part
        depth += opens
        last = part


def table(
    rows: Sequence[Sequence[str]], right: Collection[int] = (), width: int = sys.maxsize
) -> Iterator[str]:
    """The lines of a table.

    Args:
        rows: Its cells, the head first.
        right: The columns that are flush right.
        width: What the last column is cut to fit in, but for a part of it.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    room = max(_FEWEST, width - sum(widths[:-1]) - 2 * len(widths) + 2)
    for row in rows:
        cells = [
            cell.rjust(most) if number in right else cell.ljust(most)
            for number, (cell, most) in enumerate(zip(row, widths, strict=True))
        ]
        cells[-1] = one_line(row[-1], room).rjust(
            widths[-1] if len(widths) - 1 in right else 0
        )
        yield "  ".join(cells).rstrip()
