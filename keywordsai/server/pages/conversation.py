"""A log's messages as the page shows them: who said what, in parts.

Logs hold any JSON, so nothing is taken for granted: what is no message that
anybody knows is shown as the JSON it is. All of it is bounded, however large the
log; the page says what was left out and where the whole is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from keywordsai.server.pages.contents import (
    CALL_PARTS,
    MOST_PARTS,
    RESULT_PARTS,
    call_part,
    content_parts,
    parts_of,
)
from keywordsai.server.pages.parts import Call, Part, Room, held_json, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FIRST", "Conversation", "Message", "conversation_of"]

FIRST = 20
"""How many messages stay at the beginning when some in the middle are left out."""

_MOST_MESSAGES = 200
_SIDES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "tool": "tool",
    "function": "tool",
}


@attrs.frozen(kw_only=True)
class Message:
    """One message.

    Attributes:
        role: As the log has it.
        side: Which of system, user, assistant and tool it is set as, or other.
        name: Who speaks, where the log says it.
        call_id: Of a tool's message, the call that it answers.
        parts: What it says.
    """

    role: str
    side: str
    name: str = ""
    call_id: str = ""
    parts: tuple[Part, ...] = ()


@attrs.frozen(kw_only=True)
class Conversation:
    """What went in and what came out; ``left_out`` messages within are not shown."""

    prompt: tuple[Message, ...]
    left_out: int
    answer: tuple[Message, ...]


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _parts(room: Room, message: dict[str, Any], side: str) -> Iterator[Part]:
    for name in ("reasoning_content", "reasoning", "thinking", "thinking_blocks"):
        for thought in _several(message.get(name))[:MOST_PARTS]:
            if isinstance(thought, dict):
                yield from parts_of(room, {"type": "thinking", **thought})
            elif thought != "":
                yield room.value(thought, label="Reasoning")
    yield from content_parts(room, message.get("content"), plain=side != "tool")
    if message.get("refusal"):
        yield room.value(message["refusal"], label="Refusal")
    calls = _several(message.get("tool_calls")) + _several(message.get("function_call"))
    for call in calls[:MOST_PARTS]:
        yield call_part(room, call)
    if len(calls) > MOST_PARTS:
        yield room.text("", label=f"{len(calls) - MOST_PARTS} more tool calls")


def _message(room: Room, message: Any, default: str) -> Message:
    """A message of anything that stands where a message is expected."""
    if isinstance(message, dict) and isinstance(message.get("message"), dict):
        message = message["message"]  # one of the choices of an answer
    kind = message.get("type") if isinstance(message, dict) else None
    if isinstance(message, dict) and kind in (*CALL_PARTS, *RESULT_PARTS):
        side = "assistant" if kind in CALL_PARTS else "tool"
        return Message(role=side, side=side, parts=tuple(parts_of(room, message)))
    if not isinstance(message, dict) or not (
        message.keys() & {"role", "content", "tool_calls"}
    ):
        plain = isinstance(message, str)
        return Message(
            role=default,
            side=_SIDES.get(default, "other"),
            parts=tuple(
                parts_of(room, message)
                if plain or kind is not None
                else [room.value(message)]
            ),
        )
    role = message.get("role")
    role = default if role is None else name_of(role)
    side = _SIDES.get(role.lower(), "other")
    return Message(
        role=role,
        side=side,
        name=name_of(message.get("name")),
        call_id=name_of(message.get("tool_call_id")),
        parts=tuple(_parts(room, message, side)),
    )


def _messages_in(value: Any) -> list[Any]:
    """The messages in what was logged as input or output, of whatever shape."""
    if isinstance(value, str):
        held = held_json(value)
        value = [value] if held is None else held
    if isinstance(value, dict):
        for name in ("messages", "choices"):
            if isinstance(value.get(name), list) and value[name]:
                return list(value[name])
        return [value]
    if isinstance(value, list) and not any(
        isinstance(entry, dict | str) for entry in value[:FIRST]
    ):
        return [value] if value else []  # a vector, say
    return _several(value)


def _first(body: dict[str, Any], *names: str) -> Any:
    for name in names:
        if body.get(name) not in (None, "", [], {}):
            return body[name]
    return None


def conversation_of(body: dict[str, Any]) -> Conversation:
    """What the page shows of a log's messages.

    Args:
        body: The log, as it was sent or with what follows from it.

    Example:
        >>> said = conversation_of({"input": "Why?", "output": "Because."})
        >>> [(message.role, message.parts[0].text) for message in said.prompt]
        [('user', 'Why?')]
    """
    room = Room()
    asked = _messages_in(_first(body, "prompt_messages", "messages", "input"))
    answered = _messages_in(
        _first(body, "completion_message", "completion_messages", "output")
    )
    # The answer first: where room is short it is what one looks for.
    last: list[Message] = []
    thoughts = {
        name: body[name]
        for name in ("reasoning", "thinking")
        if isinstance(body.get(name), str | list)
    }
    calls = body.get("tool_calls")
    if thoughts:
        last.append(_message(room, {"content": None, **thoughts}, "assistant"))
    last += [_message(room, said, "assistant") for said in answered[:_MOST_MESSAGES]]
    if calls and not any(isinstance(p, Call) for m in last for p in m.parts):
        last.append(_message(room, {"tool_calls": calls}, "assistant"))
    left_out = max(0, len(asked) - _MOST_MESSAGES)
    if left_out:
        asked = asked[:FIRST] + asked[FIRST + left_out :]
    return Conversation(
        prompt=tuple(_message(room, said, "user") for said in asked),
        left_out=left_out,
        answer=tuple(message for message in last if message.parts or message.name)
        or tuple(last[:1]),
    )
