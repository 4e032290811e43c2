"""The schema for callers who write plain dicts: one TypedDict for each class.

The same keys and types as the attrs classes, without ``extra``: what the keys
mean, their units and the service's defaults are in the docstrings there. Keys that
a TypedDict does not name are sent all the same; only type checkers mind them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from keywordsai.logs.parts import (
    APIControls,
    CacheOptions,
    Customer,
    EvalParams,
    FunctionCall,
    FunctionDefinition,
    Identifier,
    Message,
    Number,
    PromptParams,
    PromptTokensDetails,
    ResponseFormat,
    Timestamp,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceFunction,
    Usage,
)

__all__ = [
    "APIControlsDict",
    "CacheOptionsDict",
    "CustomerDict",
    "EvalParamsDict",
    "FunctionCallDict",
    "FunctionDefinitionDict",
    "LogParamsDict",
    "MessageDict",
    "PromptParamsDict",
    "PromptTokensDetailsDict",
    "ResponseFormatDict",
    "ToolCallDict",
    "ToolChoiceDict",
    "ToolChoiceFunctionDict",
    "ToolDict",
    "UsageDict",
]


class FunctionCallDict(TypedDict, total=False):
    """`keywordsai.logs.parts.FunctionCall` as a dict."""

    name: str | None
    arguments: str | Mapping[str, Any] | None


class ToolCallDict(TypedDict, total=False):
    """`keywordsai.logs.parts.ToolCall` as a dict."""

    id: str | None
    type: str | None
    function: FunctionCall | FunctionCallDict | Mapping[str, Any] | None
    index: int | None


class _MessageRole(TypedDict):
    role: str


class MessageDict(_MessageRole, total=False):
    """`keywordsai.logs.parts.Message` as a dict; only ``role`` is required."""

    content: str | Sequence[Any] | None
    name: str | None
    tool_call_id: Identifier | None
    tool_calls: Sequence[ToolCall | ToolCallDict | Mapping[str, Any]] | None
    reasoning_content: str | None
    refusal: str | None


class FunctionDefinitionDict(TypedDict, total=False):
    """`keywordsai.logs.parts.FunctionDefinition` as a dict."""

    name: str | None
    description: str | None
    parameters: Mapping[str, Any] | None
    strict: bool | None


class ToolDict(TypedDict, total=False):
    """`keywordsai.logs.parts.Tool` as a dict."""

    type: str | None
    function: FunctionDefinition | FunctionDefinitionDict | Mapping[str, Any] | None


class ToolChoiceFunctionDict(TypedDict, total=False):
    """`keywordsai.logs.parts.ToolChoiceFunction` as a dict."""

    name: str | None


class ToolChoiceDict(TypedDict, total=False):
    """`keywordsai.logs.parts.ToolChoice` as a dict."""

    type: str | None
    function: ToolChoiceFunction | ToolChoiceFunctionDict | Mapping[str, Any] | None


class ResponseFormatDict(TypedDict, total=False):
    """`keywordsai.logs.parts.ResponseFormat` as a dict."""

    type: str | None
    json_schema: Mapping[str, Any] | None


class CustomerDict(TypedDict, total=False):
    """`keywordsai.logs.parts.Customer` as a dict."""

    customer_identifier: Identifier | None
    name: str | None
    email: str | None
    metadata: Mapping[str, Any] | None
    budget_duration: str | None
    period_budget: Number | None
    total_budget: Number | None


class PromptTokensDetailsDict(TypedDict, total=False):
    """`keywordsai.logs.parts.PromptTokensDetails` as a dict."""

    cached_tokens: int | None
    audio_tokens: int | None


class UsageDict(TypedDict, total=False):
    """`keywordsai.logs.parts.Usage` as a dict."""

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    prompt_tokens_details: (
        PromptTokensDetails | PromptTokensDetailsDict | Mapping[str, Any] | None
    )
    completion_tokens_details: Mapping[str, Any] | None
    cache_creation_prompt_tokens: int | None


class APIControlsDict(TypedDict, total=False):
    """`keywordsai.logs.parts.APIControls` as a dict."""

    block: bool | None


class PromptParamsDict(TypedDict, total=False):
    """`keywordsai.logs.parts.PromptParams` as a dict."""

    prompt_id: Identifier | None
    version: Identifier | None
    variables: Mapping[str, Any] | None


class CacheOptionsDict(TypedDict, total=False):
    """`keywordsai.logs.parts.CacheOptions` as a dict."""

    cache_by_customer: bool | None
    omit_log: bool | None


class EvalParamsDict(TypedDict, total=False):
    """`keywordsai.logs.parts.EvalParams` as a dict."""

    evaluators: Sequence[Any] | None
    eval_inputs: Mapping[str, Any] | None


class LogParamsDict(TypedDict, total=False):
    """`keywordsai.logs.schema.LogParams` as a dict."""

    # Core.
    model: str | None
    prompt_messages: Sequence[Message | MessageDict | Mapping[str, Any]] | None
    completion_message: Message | MessageDict | Mapping[str, Any] | None

    # Tokens and cost.
    prompt_tokens: int | None
    completion_tokens: int | None
    cost: Number | None
    prompt_unit_price: Number | None
    completion_unit_price: Number | None

    # Timing.
    generation_time: Number | None
    ttft: Number | None

    # Configuration of the model.
    temperature: Number | None
    top_p: Number | None
    frequency_penalty: Number | None
    presence_penalty: Number | None
    stop: str | Sequence[str] | None
    stream: bool | None

    # Tools.
    tools: Sequence[Tool | ToolDict | Mapping[str, Any]] | None
    tool_choice: str | ToolChoice | ToolChoiceDict | Mapping[str, Any] | None

    # Format of the answer.
    response_format: ResponseFormat | ResponseFormatDict | Mapping[str, Any] | None

    # Customer and identity.
    customer_params: Customer | CustomerDict | Mapping[str, Any] | None
    custom_identifier: Identifier | None
    group_identifier: Identifier | None
    thread_identifier: Identifier | None

    # Stored prompt.
    prompt_id: Identifier | None
    prompt_name: str | None
    is_custom_prompt: bool | None

    # Status.
    status_code: int | None
    error_message: str | None
    warnings: str | Mapping[str, Any] | Sequence[Any] | None

    # Data.
    metadata: Mapping[str, Any] | None
    full_request: Mapping[str, Any] | Sequence[Any] | None
    positive_feedback: bool | None

    # Usage.
    usage: Usage | UsageDict | Mapping[str, Any] | None

    # Control.
    keywordsai_api_controls: APIControls | APIControlsDict | Mapping[str, Any] | None

    # From here on: documented elsewhere. Input and output of any kind.
    input: Any
    output: Any

    # Kind.
    log_type: str | None

    # Messages and reasoning.
    messages: Sequence[Message | MessageDict | Mapping[str, Any]] | None
    completion_messages: Sequence[Message | MessageDict | Mapping[str, Any]] | None
    full_response: Any
    tool_calls: Sequence[ToolCall | ToolCallDict | Mapping[str, Any]] | None
    reasoning: str | Mapping[str, Any] | Sequence[Any] | None
    thinking: str | Mapping[str, Any] | Sequence[Any] | None
    reasoning_effort: str | None

    # Timing, by newer names.
    latency: Number | None
    time_to_first_token: Number | None
    tokens_per_second: Number | None

    # Tokens, further.
    prompt_cache_hit_tokens: int | None
    prompt_cache_creation_tokens: int | None
    total_tokens: int | None

    # Moments.
    timestamp: Timestamp | None
    start_time: Timestamp | None

    # Customer, flat.
    customer_identifier: Identifier | None
    customer_email: str | None
    customer_name: str | None

    # Traces.
    trace_unique_id: Identifier | None
    trace_name: str | None
    span_unique_id: Identifier | None
    span_name: str | None
    span_parent_id: Identifier | None
    span_path: str | None
    span_workflow_name: str | None
    span_handoffs: Sequence[Any] | None
    span_tools: Sequence[Any] | None
    trace_group_identifier: Identifier | None
    session_identifier: Identifier | None

    # Status, by word.
    status: str | None

    # Stored prompt, further.
    variables: Mapping[str, Any] | None
    prompt: str | PromptParams | PromptParamsDict | Mapping[str, Any] | None

    # Configuration of the model, further.
    max_tokens: int | None
    max_completion_tokens: int | None
    n: int | None
    logprobs: bool | int | Mapping[str, Any] | None
    top_logprobs: int | None
    logit_bias: Mapping[str, Any] | None
    echo: bool | None
    seed: int | None
    user: Identifier | None
    parallel_tool_calls: bool | None
    stream_options: Mapping[str, Any] | None
    timeout: Number | None

    # Embeddings.
    embedding: str | Sequence[Any] | None
    encoding_format: str | None
    dimensions: int | None

    # Audio.
    audio_input_file: str | None
    audio_output_file: str | None

    # Evaluation.
    evaluation_identifier: Identifier | None
    eval_params: EvalParams | EvalParamsDict | Mapping[str, Any] | None
    ideal_output: Any
    note: str | None
    category: str | None

    # Cache.
    cache_enabled: bool | None
    cache_options: CacheOptions | CacheOptionsDict | Mapping[str, Any] | None
    cache_ttl: Number | None

    # The rest.
    disable_log: bool | None
    properties: Mapping[str, Any] | None
    environment: str | None
    keywordsai_params: Mapping[str, Any] | None
    respan_params: Mapping[str, Any] | None
    respan_api_controls: APIControls | APIControlsDict | Mapping[str, Any] | None
    unique_id: Identifier | None
    provider_id: Identifier | None
