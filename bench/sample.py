"""The logs that are sent and written: a chat of as many turns as the size asks for.

A larger log has more messages, of some 300 characters on average, as chats have:
one long string would flatter whoever writes JSON fastest.
"""

from __future__ import annotations

import json
from itertools import cycle
from typing import Any

_TURNS = (
    (
        'My order 7743-B was due on Monday and tracking has said "in transit" for '
        "six days now. Can you find out where it is, and whether it will be here "
        "before the 14th? It is a birthday present."
    ),
    (
        "I am sorry about that. The parcel left our warehouse on the 2nd, but the "
        "carrier last scanned it in Kraków on the 5th, and nothing since.\n\n"
        "What I can do now:\n"
        "1. open an inquiry with the carrier (answered within 24 hours),\n"
        "2. send a replacement by express, which arrives on the 12th, or\n"
        "3. refund the order to the card you paid with, within five days.\n\n"
        "Which of the three do you prefer? If you are not sure, I would send the "
        "replacement: the carrier finds about half of such parcels in time."
    ),
    (
        "The second, please. Do I have to send the first one back if it shows up "
        "after all? And can you use my office as the address this time?"
    ),
    (
        "No. If it does arrive, keep it or refuse the delivery; neither costs you "
        "anything. I have changed the address of the replacement to your office "
        "(the one of your order in March). It is on its way, and you will get the "
        "tracking link by e-mail within the hour. Is there anything else I can do?"
    ),
)


def log_of(size: int) -> dict[str, Any]:
    """A log whose JSON has about this many bytes, at least 900."""
    log: dict[str, Any] = {
        "model": "gpt-4o-mini",
        "prompt_messages": [
            {"role": "system", "content": "You are the support agent of a web shop."}
        ],
        "completion_message": {
            "role": "assistant",
            "content": "Done: the replacement leaves today, you pay nothing.",
        },
        "prompt_tokens": size // 4,
        "completion_tokens": 14,
        "cost": 0.000417,
        "generation_time": 1.284,
        "ttft": 0.412,
        "temperature": 0.2,
        "stream": True,
        "status_code": 200,
        "customer_params": {
            "customer_identifier": "customer_4711",
            "name": "Jane Roe",
            "email": "jane@example.com",
        },
        "thread_identifier": "thread_2f6c1c9e",
        "metadata": {
            "feature": "support-chat",
            "release": "2026.11.3",
            "region": "eu-central-1",
            "experiment": {"name": "tone", "variant": "b"},
            "tags": ["returns", "priority"],
            "retries": 0,
        },
    }
    messages = log["prompt_messages"]
    for role, text in zip(cycle(("user", "assistant")), cycle(_TURNS), strict=False):
        room = size - len(json.dumps(log))
        if room < 2 * len('{"role": "assistant", "content": ""}'):
            return log
        messages.append({"role": role, "content": text[:room]})
    raise AssertionError  # the cycles have no end
