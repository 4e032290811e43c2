"""Which values the published SDK can read in a row, field by field.

``keywordsai`` 1.0.4 validates every row of a list with pydantic, and one value
of another shape than it expects makes its whole ``list()`` raise. Real programs
log such values every day. So a row says less rather than something unreadable:
a text is made of what should have been one, and what cannot be a text is left
out. What was sent stays whole in the store. The shapes are those of that
release's ``KeywordsAIFullLogParams``.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from keywordsai.server.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KNOWN_FIELDS", "as_text", "presentable"]

_ROLES = ("user", "assistant", "system", "tool", "none", "developer")
_BUDGETS = ("daily", "weekly", "monthly", "yearly")
_LOG_TYPES = (
    *("text", "chat", "completion", "response", "embedding", "transcription"),
    *("speech", "workflow", "task", "tool", "agent", "handoff", "guardrail"),
    *("function", "custom", "generation", "unknown", "score"),
)


_write = json.JSONEncoder(ensure_ascii=False).encode  # made once: half of the time


def as_text(value: Any) -> str:
    """A text as it is, anything else as its JSON."""
    return value if isinstance(value, str) else _write(value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _utf8(value: Any) -> bool:
    """A text without half of a surrogate pair: pydantic makes bytes of it."""
    return isinstance(value, str) and not any(
        "\ud800" <= character <= "\udfff" for character in value
    )


def _boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _integer(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer() and abs(value) < 2**63
    return isinstance(value, int)


def _number(value: Any) -> bool:
    if isinstance(value, int):
        return abs(value) < 10**300  # a float must hold it
    return isinstance(value, float) and math.isfinite(value)


def _identifier(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _never(_value: Any) -> bool:
    return False


def _one_of(*choices: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in choices


def _either(*shapes: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: any(shape(value) for shape in shapes)


def _null_or(shape: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or shape(value)


def _list_of(shape: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(shape, value))


def _map_of(shape: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(shape, value.values()))


def _record(
    required: dict[str, Callable[[Any], bool]] | None = None,
    **optional: Callable[[Any], bool],
) -> Callable[[Any], bool]:
    """An object whose named members fit; others are ignored, as pydantic does."""
    needed = required or {}

    def fits(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and all(
                name in value and shape(value[name]) for name, shape in needed.items()
            )
            and all(
                shape(value[name]) for name, shape in optional.items() if name in value
            )
        )

    return fits


_maybe_text = _null_or(_text)
_maybe_number = _null_or(_number)
_cache_control = _null_or(_record({"type": _text}))
_text_part = _record({"text": _text}, cache_control=_cache_control)
_image = _either(_text, _record({"url": _text}, detail=_maybe_text))

_PARTS: dict[str, Callable[[Any], bool]] = {
    "text": _text_part,
    "input_text": _text_part,
    "output_text": _record(
        {"text": _text},
        annotations=_null_or(_list_of(_either(_object, _text))),
        cache_control=_cache_control,
    ),
    "image_url": _record({"image_url": _image}),
    "input_image": _record({"image": _text}, providerData=_null_or(_object)),
    "input_file": _record({"file": _text}, providerData=_null_or(_object)),
    "file": _record(
        file_data=_utf8,
        file_id=_text,
        filename=_text,
        file_name=_text,
        file_type=_text,
        file_size=_integer,
        file=_object,
    ),
    "tool_use": _record(id=_text, name=_text, input=_object),
    "tool_result": _record({"tool_use_id": _text, "content": _text}),
    "image": _record(
        {"source": _record({"type": _text, "media_type": _text, "data": _text})}
    ),
}


def _part(value: Any) -> bool:
    if not isinstance(value, dict):
        return isinstance(value, str)
    kind = value.get("type")
    return isinstance(kind, str) and kind in _PARTS and _PARTS[kind](value)


_message = _record(
    {"role": _one_of(*_ROLES)},
    content=_null_or(_either(_text, _list_of(_part))),
    name=_maybe_text,
    tool_call_id=_maybe_text,
    tool_calls=_null_or(_list_of(_object)),
    reasoning_content=_maybe_text,
    thinking_blocks=_null_or(_list_of(_object)),
)

_customer = _record(
    customer_identifier=_null_or(_identifier),
    name=_maybe_text,
    email=_maybe_text,
    period_start=_null_or(lambda value: parse_time(value) is not None),
    period_end=_null_or(lambda value: parse_time(value) is not None),
    budget_duration=_null_or(_one_of(*_BUDGETS)),
    period_budget=_maybe_number,
    markup_percentage=_maybe_number,
    total_budget=_maybe_number,
    metadata=_null_or(_object),
    rate_limit=_null_or(_integer),
)

_prompt = _record(
    prompt_id=_maybe_text,
    is_custom_prompt=_null_or(_boolean),
    version=_null_or(_either(_integer, _one_of("latest"))),
    variables=_null_or(_object),
    echo=_null_or(_boolean),
    override=_null_or(_boolean),
    override_params=_null_or(_never),
    override_config=_null_or(_never),
)

_eval_params = _record(
    evaluators=_null_or(
        _list_of(
            _record(
                {"evaluator_id": _text},
                evaluator_slug=_text,
                run_condition=_null_or(_never),
            )
        )
    ),
    evaluation_identifier=_identifier,
    last_n_messages=_null_or(_integer),
    eval_inputs=_null_or(
        _record(
            llm_input=_text,
            llm_output=_text,
            input=_text,
            output=_text,
            ideal_output=_maybe_text,
            ground_truth=_maybe_text,
            retrieved_contexts=_null_or(_list_of(_text)),
            ideal_contexts=_null_or(_list_of(_text)),
        )
    ),
    sample_percentage=_maybe_number,
)

_TEXTS = """
    api_key audio_input_file audio_output_file base64_embedding
    cache_key cache_request_content category completion_text covered_by
    customer_email customer_name customer_user_unique_id dataset_id delimiter
    deployment_name encoding_format environment error_message field_name
    full_model_name full_text hour_group ideal_output id input ip_address
    load_balance_group_id log_method metadata_indexed_string_1
    metadata_indexed_string_2 minute_group mock_response model note
    organization_key_id organization_key_name organization_name
    original_copy_storage_object_key output period_end period_start prompt_id
    prompt_name prompt_text provider_id reasoning_effort recommendations
    request_url_path response_id span_name span_parent_id span_path
    span_unique_id span_workflow_name start_time status storage_object_key
    system_text thread_unique_id timestamp trace_name trace_unique_id unique_id
    unique_organization_id user_email warnings
"""
_IDENTIFIERS = """
    custom_identifier customer_identifier evaluation_identifier
    group_identifier organization_id session_identifier thread_identifier
    trace_group_identifier user_id
"""
_INTEGERS = """
    cache_bit cache_miss_bit cache_ttl completion_message_count
    completion_tokens dimensions error_bit max_completion_tokens max_tokens n
    prompt_cache_creation_tokens prompt_cache_hit_tokens prompt_message_count
    prompt_tokens prompt_version_number redis_cache_ttl status_code
    top_logprobs total_request_tokens total_tokens
"""
_NUMBERS = """
    completion_unit_price cost evaluation_cost frequency_penalty
    generation_time latency metadata_indexed_numerical_1 presence_penalty
    prompt_unit_price routing_time temperature time_to_first_token timeout
    tokens_per_second top_p ttft
"""
_BOOLEANS = """
    blurred cache_enabled cache_hit disable_fallback disable_log echo for_eval
    has_tool_calls has_warnings is_custom_prompt is_fts_enabled is_log_omitted
    is_test logprobs parallel_tool_calls positive_feedback request_breakdown
    stream used_custom_credential
"""
_OBJECTS = """
    full_request keywordsai_params metadata recommendations_dict
    response_format stream_options thinking usage variables warnings_dict
"""
_TEXT_LISTS = """
    exclude_models exclude_providers fallback_models input_array models
    span_handoffs span_tools
"""
# Settings of the hosted proxy, credentials among them: nothing for a row.
_HIDDEN = """
    credential_override customer_credentials linkup_params
    load_balance_group load_balance_models mem0_params posthog_integration
    retry_params
"""

_SHAPES: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(_IDENTIFIERS.split(), _identifier),
    **dict.fromkeys(_INTEGERS.split(), _integer),
    **dict.fromkeys(_NUMBERS.split(), _number),
    **dict.fromkeys(_BOOLEANS.split(), _boolean),
    **dict.fromkeys(_OBJECTS.split(), _object),
    **dict.fromkeys(_TEXT_LISTS.split(), _list_of(_text)),
    **dict.fromkeys(_HIDDEN.split(), _never),
    "cache_options": _record(
        cache_by_customer=_null_or(_boolean), omit_log=_null_or(_boolean)
    ),
    "completion_message": _message,
    "completion_messages": _list_of(_message),
    "customer_params": _customer,
    "ds_run_at": lambda value: isinstance(value, str) and parse_time(value) is not None,
    "embedding": _either(_text, _list_of(_number)),
    "eval_params": _eval_params,
    "full_response": _either(_object, lambda value: isinstance(value, list)),
    "keywordsai_api_controls": _record(block=_null_or(_boolean)),
    "log_type": _one_of(*_LOG_TYPES),
    "logit_bias": _map_of(_number),
    "messages": _list_of(_message),
    "model_name_map": _map_of(_text),
    "prompt_messages": _list_of(_message),
    "prompt_messages_template": _list_of(_message),
    "reasoning": _list_of(_object),
    "stop": _either(_text, _list_of(_text)),
    "tool_calls": _list_of(_object),
    "tool_choice": _either(
        _one_of("auto", "none", "required"),
        _record({"type": _text}, function=_null_or(_record({"name": _text}))),
    ),
    "tools": _list_of(_object),
}

# Where a JSON text is as good as the value: it is made one instead of left out.
_AS_TEXT = frozenset(_TEXTS.split()) | frozenset(_IDENTIFIERS.split()) | {"prompt"}
_SHAPES.update(dict.fromkeys(_TEXTS.split(), _text))
_SHAPES["prompt"] = _either(_text, _prompt)

KNOWN_FIELDS = frozenset(_SHAPES) | {
    *("properties", "respan_params", "respan_api_controls", "seed", "user"),
}
"""Top-level fields; in a filter, any other name means a key of the metadata."""


def presentable(row: dict[str, Any]) -> dict[str, Any]:
    """The row without what the published SDK could not read.

    Keys it does not know are kept whatever they hold. Null is fine for all but
    two: it refuses ``messages: null`` and reads ``input: null`` as "None".
    """
    shown: dict[str, Any] = {}
    for name, value in row.items():
        shape = _SHAPES.get(name)
        if value is None:
            if name == "input":
                shown[name] = ""
            elif name != "messages":
                shown[name] = value
        elif shape is None or shape(value):
            shown[name] = value
        elif name in _AS_TEXT:
            shown[name] = as_text(value)
    return shown
