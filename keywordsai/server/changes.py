"""What may be changed of a stored log, and how a changed log reads.

What was sent is kept as it came; changes are kept beside it, as one JSON object of
the fields that have other values now. Of the metadata it holds the keys that were
changed, null where one was removed.
"""

from __future__ import annotations

import json
from typing import Any

from keywordsai.server.answers import Refusal
from keywordsai.server.validation import wrong_fields

__all__ = ["CHANGEABLE", "check_changes", "joined", "overlaid"]

CHANGEABLE = ("metadata", "note", "positive_feedback", "custom_identifier")
"""The fields that may be changed."""

_ALLOWED = (
    f"cannot be changed: expected {', '.join(CHANGEABLE[:-1])} or {CHANGEABLE[-1]}"
)
_ENDLESS = "a number in it is too large to be kept"
_MOST_NAMES = 100
_LONGEST_NAME = 40


def check_changes(asked: dict[str, Any]) -> None:
    """Refuse changes of other fields, and values that the schema does not allow.

    Raises:
        Refusal: 422, with everything that is wrong.
    """
    others = [name for name in asked if name not in CHANGEABLE]
    known = {name: asked[name] for name in CHANGEABLE if name in asked}
    errors = {name[:_LONGEST_NAME]: [_ALLOWED] for name in others[:_MOST_NAMES]}
    errors.update(wrong_fields(known))
    errors.update({name: [_ENDLESS] for name in known if _is_endless(known[name])})
    if errors:
        raise Refusal(422, "Validation error", errors=errors)


def _is_endless(value: Any) -> bool:
    """Whether there is a number in it that was read as infinite."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return True
    return False


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def overlaid(body: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A log as it reads: what was sent, with its changes over it.

    Example:
        >>> sent = {"model": "m", "note": "new", "metadata": {"a": 1, "b": 2}}
        >>> overlaid(sent, {"note": None, "metadata": {"a": None, "c": 3}})
        {'model': 'm', 'metadata': {'b': 2, 'c': 3}}
    """
    if not changes:
        return body
    shown = {**body, **changes}
    for name, value in changes.items():
        if value is None:
            del shown[name]
    if "metadata" in changes:
        metadata = {**_object(body.get("metadata")), **changes["metadata"]}
        kept = {
            key: value
            for key, value in metadata.items()
            # A null that was sent is no key that was removed.
            if value is not None or key not in changes["metadata"]
        }
        shown["metadata"] = kept
    return shown


def joined(
    body: dict[str, Any], changes: dict[str, Any], asked: dict[str, Any]
) -> dict[str, Any]:
    """The changes of a log together with those that are asked for now.

    Args:
        body: What was sent.
        changes: What was changed before.
        asked: Checked by `check_changes`: a JSON merge patch of the top level and
            of the metadata's. Null removes a field or a key.

    Example:
        >>> joined({"metadata": {"a": 1}}, {"note": "new"}, {"metadata": None})
        {'note': 'new', 'metadata': {'a': None}}
    """
    new = {**changes, **asked}
    if "metadata" in asked:
        before = _object(changes.get("metadata"))
        if asked["metadata"] is None:
            keys = {**_object(body.get("metadata")), **before}
            new["metadata"] = dict.fromkeys(keys)
        else:
            new["metadata"] = {**before, **asked["metadata"]}
    return new
