"""The first words of what was asked and of what was answered, for a list of logs.

Made once, when a log is stored, so that a page of a hundred logs reads a hundred
short texts and no bodies. Imports nothing of the package but `as_text`.
"""

from __future__ import annotations

import re
from typing import Any

from keywordsai.server.shapes import as_text

__all__ = ["LONGEST_EXCERPT", "excerpts"]

LONGEST_EXCERPT = 200
"""Characters of an excerpt, blanks run together."""

_READ = 4 * LONGEST_EXCERPT  # characters of a text that are looked at
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def excerpts(log: dict[str, Any]) -> tuple[str, str]:
    """The start of the last thing the user said, and the start of the answer.

    A log without messages has its ``input`` and ``output`` instead; an answer that
    only calls tools has their names and arguments; what there is none of is empty.

    Args:
        log: What was sent, or better what `keywordsai.server.rows.derived` made
            of it.

    Returns:
        Two texts of one line each that any database can store.

    Example:
        >>> excerpts({"input": "What is the time?", "output": "Noon."})
        ('What is the time?', 'Noon.')
    """
    return _line(_asked(log)), _line(_answered(log))


def _asked(log: dict[str, Any]) -> Any:
    for name in ("prompt_messages", "messages"):
        messages = log.get(name)
        if isinstance(messages, list) and messages:
            last = next((item for item in reversed(messages) if _is_users(item)), None)
            return _said(messages[-1] if last is None else last)
    asked = log.get("input")
    return log.get("prompt_text") if asked is None else asked


def _is_users(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") == "user"


def _answered(log: dict[str, Any]) -> Any:
    message = log.get("completion_message")
    if message is None:
        several = log.get("completion_messages")
        message = several[0] if isinstance(several, list) and several else None
    said = _said(message)
    if said:
        return said
    answer = log.get("output")
    return log.get("error_message") if answer is None else answer


def _said(message: Any) -> Any:
    """What a message says, whatever shape it has."""
    if not isinstance(message, dict):
        return message
    content = message.get("content")
    if isinstance(content, list):
        content = " ".join(filter(None, map(_part, content)))
    if content:
        return content
    calls = message.get("tool_calls")
    calls = calls if isinstance(calls, list) else []
    return " ".join(filter(None, map(_call, calls))) or message.get("refusal")


def _part(part: Any) -> str:
    """The text of a content part, or else of what kind it is."""
    if isinstance(part, dict):
        text = part.get("text")
        kind = part.get("type")
        part = text if isinstance(text, str) else f"[{kind}]" if kind else ""
    return part if isinstance(part, str) else ""


def _call(call: Any) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return ""
    arguments = function.get("arguments")
    return f"{function['name']}({'' if arguments is None else as_text(arguments)})"


def _line(value: Any) -> str:
    if value is None:
        return ""
    text = " ".join(as_text(value)[:_READ].split())[:LONGEST_EXCERPT]
    return text if text.isascii() and "\x00" not in text else _storable(text)


def _storable(text: str) -> str:
    return _UNSTORABLE.sub("\ufffd", text)
