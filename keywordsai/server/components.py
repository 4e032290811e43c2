"""The bodies of requests and answers as JSON Schema, by name.

A log is described by `keywordsai.server.json_schema`, out of the SDK's classes; here
is what stands around it.
"""

from __future__ import annotations

from typing import Any

from keywordsai.logs.answers import Log
from keywordsai.logs.schema import LogParams
from keywordsai.server.changes import CHANGEABLE
from keywordsai.server.json_schema import schemas_of
from keywordsai.server.language import OPERATORS
from keywordsai.server.query import OPTIONS

__all__ = ["component", "components"]

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_AMOUNT = {"type": "number"}
_MEAN = {"type": ["number", "null"]}
_LOG_ID = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_INDEX = {**_COUNT, "description": "The place in the array, from 0."}
_LINK = {"type": ["string", "null"], "format": "uri"}
# What a row has as text, whatever was sent.
_ROW_TEXTS = ("input", "output", "warnings", "timestamp", "start_time")


def component(name: str) -> dict[str, Any]:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(
    description: str, *needed: str, **properties: dict[str, Any]
) -> dict[str, Any]:
    """The schema of an object; of all its properties the needed ones are required."""
    schema = {
        "type": "object",
        "description": description,
        "properties": properties,
    }
    return {**schema, "required": list(needed)} if needed else schema


def _every(description: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return _object(description, *properties, **properties)


def _list_of(items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


def _logs(most: int) -> dict[str, Any]:
    logs = _list_of(component("LogParams"), minItems=1, maxItems=most)
    return _every(f"At most {most} logs at once.", logs=logs)


def _row() -> dict[str, Any]:
    row = schemas_of(Log)["Log"]
    properties = row["properties"]
    del properties["sent"]
    for name in _ROW_TEXTS:
        properties[name] = {**properties[name], "type": ["string", "null"]}
    for name in ("id", "unique_id"):
        properties[name] = {**properties[name], **_LOG_ID}
    properties["cost_derived"] = {
        "type": "boolean",
        "description": "True where the cost was worked out from unit prices per token.",
    }
    row["description"] = (
        "What was sent, with what follows from it. A value of another shape than "
        "version 1 of the SDK reads is left out."
    )
    return row


def _detail() -> dict[str, Any]:
    beside = _object(
        "What a list does not have.",
        "as_sent",
        as_sent={"type": "object", "description": "The log just as it was sent."},
        as_changed={
            "type": "object",
            "description": "What was changed since; of the metadata the keys that "
            "were, null where one was removed.",
        },
    )
    return {"allOf": [component("Row"), beside]}


def _filters() -> dict[str, Any]:
    condition = _object(
        "A comparison.",
        operator={"enum": [*OPERATORS, None], "description": "Empty: equal."},
        value=_list_of(
            {"type": ["string", "number", "boolean"]},
            description="One value; several with `in` and `not_in`, none with `empty` "
            "and `not_empty`, true or false with `isnull`.",
        ),
    )
    one_or_more = {"anyOf": [condition, _list_of(condition)]}
    options = {"description": "As in the query, which goes before this."}
    return _object(
        "Conditions that must all hold, by the field.",
        filters={"type": ["object", "null"], "additionalProperties": one_or_more},
        **dict.fromkeys(sorted(OPTIONS), options),
    )


def _changes(log: dict[str, Any]) -> dict[str, Any]:
    known = {name: log["properties"][name] for name in CHANGEABLE}
    return {
        **_object(
            "Null removes a field; of the metadata the keys that are named are "
            "replaced, and those that are null removed.",
            **known,
        ),
        "additionalProperties": False,
    }


def components(*, bulk: int, batch: int) -> dict[str, Any]:
    """Every schema by its name.

    Args:
        bulk: Most logs of a bulk.
        batch: Most logs of a batch.
    """
    log = schemas_of(LogParams)
    error = _every("A log that is wrong.", index=_INDEX, error=_TEXT)
    counts = {
        "success_count": _COUNT,
        "error_count": _COUNT,
        "errors": _list_of(error),
    }
    stored = _every("A log that is stored.", id=_LOG_ID, status={"const": "success"})
    wrong = _every(
        "A log that is wrong.", index=_INDEX, status={"const": "error"}, error=_TEXT
    )
    results = _list_of({"anyOf": [stored, wrong]})
    problem = component("Problem")
    return {
        **log,
        "Bulk": _logs(bulk),
        "Batch": _logs(batch),
        "Filters": _filters(),
        "Changes": _changes(log["LogParams"]),
        "Created": _every(
            "What became of a log.", message=_TEXT, id=_LOG_ID, unique_id=_LOG_ID
        ),
        "BulkAnswer": _every("What became of each.", **counts),
        "BatchAnswer": _every("What became of each.", results=results),
        "NoBulk": {"allOf": [problem, _object("Of each.", **counts)]},
        "NoBatch": {"allOf": [problem, _object("Of each.", results=results)]},
        "Row": _row(),
        "LogDetail": _detail(),
        "Page": _every(
            "A page of logs.",
            count={**_COUNT, "description": "Of all pages together."},
            next=_LINK,
            previous=_LINK,
            results=_list_of(component("Row")),
        ),
        "Summary": _every(
            "Sums, and means that are null where no log has the value.",
            number_of_requests=_COUNT,
            total_cost={**_AMOUNT, "description": "US dollars."},
            total_tokens=_AMOUNT,
            total_prompt_tokens=_AMOUNT,
            total_completion_tokens=_AMOUNT,
            avg_latency={**_MEAN, "description": "Seconds."},
            avg_tps={**_MEAN, "description": "Tokens per second."},
            avg_ttft={**_MEAN, "description": "Seconds."},
            scores={"type": "object", "description": "Empty: there are no scores."},
        ),
        "Health": _every("The server is up.", status={"const": "ok"}),
        "Problem": _object("What is wrong.", "detail", detail=_TEXT, error_code=_TEXT),
        "Invalid": _every(
            "What is wrong, by its path, such as `prompt_messages[1].role`.",
            detail=_TEXT,
            errors={"type": "object", "additionalProperties": _list_of(_TEXT)},
        ),
        "Any": {},
    }
