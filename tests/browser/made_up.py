"""Logs that nobody sent: for the tests of the page, and for its pictures."""

from __future__ import annotations

import json
import random
import urllib.request
from datetime import datetime, timezone

# Name, dollars for a million tokens in and out, usual seconds, how often.
_MODELS = (
    ("gpt-4o-mini", 0.15, 0.6, 1.1, 40),
    ("gpt-4o", 2.5, 10, 2.2, 18),
    ("claude-sonnet-4", 3, 15, 2.9, 20),
    ("gemini-2.5-flash", 0.3, 2.5, 0.9, 16),
    ("text-embedding-3-small", 0.02, 0, 0.15, 6),
)
_SAID = (
    (
        "How do I cancel an order that has already shipped?",
        "Once a parcel is on its way it cannot be cancelled. You can refuse it at the door, or send it back within 30 days: the label is in your account under Orders.",
    ),
    (
        "Summarise this incident report in three sentences.",
        "At 02:14 the primary database ran out of connections. Writes failed for eleven minutes until the pool was resized. No data was lost.",
    ),
    (
        "Write a SQL query that returns the ten customers with the most orders this month.",
        "SELECT customer_id, count(*) AS orders\nFROM orders\nWHERE created_at >= date_trunc('month', now())\nGROUP BY customer_id\nORDER BY orders DESC\nLIMIT 10;",
    ),
    (
        "Which of these reviews mention the battery?",
        "Reviews 2, 5 and 9 mention the battery. 5 praises it, the other two say that it lasts less than a day.",
    ),
    (
        "Translate to German: The meeting has been moved to Thursday at ten.",
        "Die Besprechung wurde auf Donnerstag um zehn Uhr verschoben.",
    ),
    (
        "Is the form F-204 still needed for exports below 1,000 euros?",
        "No. Since March it is only needed above 1,000 euros; below that the invoice is enough.",
    ),
    (
        'Classify the ticket: "App crashes when I rotate the phone"',
        '{"category": "bug", "area": "mobile", "priority": "high"}',
    ),
    (
        "Explain this error: TypeError: 'NoneType' object is not iterable",
        "Something you loop over is None. Look at what the function returned before the loop: it most likely ends without a return in one branch.",
    ),
)
_FAILURES = (
    (429, "Rate limit reached for requests per minute. Try again in 6 s."),
    (500, "The server had an error while processing the request."),
    (408, "The model took longer than 30 s to answer."),
)
_PROMPTS = ("support-answer", "incident-summary", "sql-helper", "ticket-triage")
_CUSTOMERS = (12345, 20417, 31108, 48822, 50261, 77310)

# A label with a bar code.
LABEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAHgAAAA4CAMAAAAB4syMAAAAD1BMVEUeHiQ8PEaMjJbIUDz69usi"
    "00KPAAAAc0lEQVR42u3Z2wqAIBBF0dPl/785RIcMoqfB0WkfxAYV14NCRNqCokD4DAgwcHJYtUl3"
    "WR51oNX9fL/+0ZVmhY22AhgYGBgYGBgYGHgQzJcEcD54d4ntdrxkNtg3wI5nvD7M5Zr2cn2f9gow"
    "r8W88M/+wlxeXko1bMZVegAAAABJRU5ErkJggg=="
)


def stamp(seconds):
    instant = datetime.fromtimestamp(seconds, timezone.utc)
    return instant.isoformat().replace("+00:00", "Z")


def usual(count, *, until, over=86400.0, seed=7):
    """Some logs of a day, the oldest first: more by day than by night."""
    dice = random.Random(seed)
    for index in range(count):
        at = until - over * (1 - (index + dice.random()) / count)
        hour = at / 3600 % 24
        if dice.random() > 0.35 + 0.65 * max(0, 1 - abs(hour - 13) / 11):
            continue
        model, dear, dearer, usually, _ = dice.choices(
            _MODELS, weights=[model[-1] for model in _MODELS]
        )[0]
        asked, answered = dice.choice(_SAID)
        prompt, completion = dice.randint(60, 2400), dice.randint(20, 620)
        latency = round(usually * dice.lognormvariate(0, 0.45) + completion * 0.004, 3)
        log = {
            "model": model,
            "prompt_messages": [
                {"role": "system", "content": "You answer questions about orders."},
                {"role": "user", "content": asked},
            ],
            "completion_message": {"role": "assistant", "content": answered},
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "cost": round((prompt * dear + completion * dearer) / 1e6, 7),
            "latency": latency,
            "time_to_first_token": round(latency * dice.uniform(0.1, 0.4), 3),
            "customer_identifier": f"user_{dice.choice(_CUSTOMERS)}",
            "thread_identifier": f"thread_{dice.randint(100, 160)}",
            "prompt_id": dice.choice(_PROMPTS),
            "temperature": dice.choice([0, 0.2, 0.7]),
            "metadata": {
                "environment": dice.choice(["prod", "prod", "staging"]),
                "feature": dice.choice(["chat", "search", "triage"]),
            },
            "timestamp": stamp(at),
        }
        if model.startswith("text-embedding"):
            del log["prompt_messages"], log["completion_message"]
            log |= {"input": asked, "log_type": "embedding", "completion_tokens": 0}
        if dice.random() < 0.035:
            log.pop("completion_message", None)
            code, why = dice.choice(_FAILURES)
            log |= {"status_code": code, "error_message": why, "completion_tokens": 0}
        yield log


def conversation(*, at):
    """One log with everything that a conversation may have."""
    arguments = {"order_id": 4471, "include": ["items", "shipping"], "language": "en"}
    order = {
        "order_id": 4471,
        "status": "shipped",
        "carrier": "Parcel Post",
        "items": [{"sku": "LMP-20", "count": 2}],
    }
    call = {"name": "find_order", "arguments": json.dumps(arguments)}
    question = "Where is my order 4471? This is the label I got:"
    parameters = {"type": "object", "properties": {"order_id": {"type": "integer"}}}
    return {
        "model": "gpt-4o",
        "thread_identifier": "thread_131",
        "trace_unique_id": "trace_8f2c",
        "prompt_id": "support-answer",
        "timestamp": stamp(at),
        "customer_identifier": "user_12345",
        "prompt_messages": [
            {
                "role": "system",
                "content": "You help customers of a shop. Look orders up before you answer, and never promise a date that the carrier did not give.",
            },
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": question},
                    {"type": "image_url", "image_url": {"url": LABEL}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_q81", "type": "function", "function": call}
                ],
            },
            {"role": "tool", "tool_call_id": "call_q81", "content": json.dumps(order)},
        ],
        "completion_message": {
            "role": "assistant",
            "content": "Your order 4471 is on its way: two lamps, sent with Parcel Post.\n\nThe label in your picture is the right one, so there is nothing you need to do.",
        },
        "reasoning": "The order has shipped. The carrier gave no date, so none may be named.",
        "prompt_tokens": 812,
        "completion_tokens": 96,
        "cost": 0.00299,
        "latency": 2.412,
        "time_to_first_token": 0.688,
        "temperature": 0.2,
        "max_tokens": 600,
        "stream": True,
        "tools": [
            {
                "type": "function",
                "function": {"name": "find_order", "parameters": parameters},
            }
        ],
        "usage": {"prompt_tokens_details": {"cached_tokens": 640}},
        "metadata": {
            "environment": "prod",
            "feature": "chat",
            "cart": {"currency": "EUR", "items": 2},
        },
    }


def send(url, path, body):
    """Post JSON to the server and give its answer's JSON."""
    request = urllib.request.Request(
        f"{url}/api/request-logs/{path}/",
        json.dumps(body).encode(),
        {"Authorization": "Bearer a-made-up-key", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def create(url, log=None, **fields):
    """Log one call and give its id."""
    return send(url, "create", {**(log or {}), **fields})["id"]


def fill(url, logs):
    """Log many calls."""
    logs = list(logs)
    for start in range(0, len(logs), 500):
        part = logs[start : start + 500]
        assert send(url, "bulk", {"logs": part})["success_count"] == len(part)
