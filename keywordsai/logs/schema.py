"""One log of one LLM call, as the service takes it: `LogParams`.

`LogParamsDict` in `keywordsai.logs.typed_dicts` is the same for those who write
plain dicts. The objects inside come from `keywordsai.logs.parts` and can be
imported from here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from keywordsai.logs._open import OpenObject, open_keywords
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
    "APIControls",
    "CacheOptions",
    "Customer",
    "EvalParams",
    "FunctionCall",
    "FunctionDefinition",
    "Identifier",
    "LogParams",
    "Message",
    "Number",
    "PromptParams",
    "PromptTokensDetails",
    "ResponseFormat",
    "Timestamp",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "ToolChoiceFunction",
    "Usage",
]


@open_keywords
@attrs.frozen(kw_only=True, repr=False, eq=False)
class LogParams(OpenObject):
    """One LLM call to be logged: what went in, what came out, what it took.

    Every field is optional, and one that is None is not sent. Nested objects may
    be given as attrs objects or as plain mappings. Keywords that are no field
    are kept in ``extra`` and sent as well.

    Where a field says "service default", that is what the service assumes when
    the field is absent: defaults are the service's and are never sent.

    Example:
        >>> question = Message(role="user", content="Hi")
        >>> LogParams(model="gpt-4", prompt_messages=[question])
        LogParams(model, prompt_messages)

    Attributes:
        model: The model that was called, by the name its provider gives it.
        prompt_messages: The messages sent to the model, in chat format.
        completion_message: The message that the model answered with; its role is
            usually "assistant".

        prompt_tokens: Number of tokens in the prompt.
        completion_tokens: Number of tokens in the completion.
        cost: What the call cost, in US dollars. Service default 0.
        prompt_unit_price: Price of the prompt's tokens in US dollars, for
            self-hosted and fine-tuned models. Sources disagree on the unit: per
            token in the logging guide, per million tokens in the API pages.
        completion_unit_price: Price of the completion's tokens in US dollars,
            with the same disagreement: per token or per million tokens.

        generation_time: How long the whole answer took, in seconds: the time to
            the first token, plus the time per token times their number. Service
            default 0. ``latency`` is its newer name.
        ttft: Time to the first token, in seconds. Service default 0.
            ``time_to_first_token`` is its newer name.

        temperature: How random the sampling was, from 0 to 2. Service default 1.
        top_p: Share of probability that nucleus sampling drew from, from 0 to 1.
            Service default 1.
        frequency_penalty: Penalty on tokens by how often they occurred already;
            with most providers from -2 to 2. A positive one makes for less
            repetition.
        presence_penalty: Penalty on tokens that occurred at all; with most
            providers from -2 to 2. A positive one makes for new topics.
        stop: The sequences that end the generation: a list of them, or just one.
        stream: Whether the answer was streamed. Service default false.

        tools: The tools that the model could call.
        tool_choice: Which tool the model had to call: a `ToolChoice`, or a word
            such as "auto", "none" or "required".

        response_format: The form in which the model had to answer: text, a JSON
            object, or JSON that follows a schema.

        customer_params: The customer behind the call: id, name, email.
        custom_identifier: An id of your own. Indexed, so quicker to search by
            than ``metadata``.
        group_identifier: Id of a group of logs that belong together.
        thread_identifier: Id of the conversation that the call is part of.

        prompt_id: Id of the stored prompt that was used. An id that is not the
            service's own needs ``is_custom_prompt``.
        prompt_name: Name of the stored prompt that was used.
        is_custom_prompt: Whether ``prompt_id`` is an id of your own. Service
            default false.

        status_code: HTTP status that the model's provider answered with; any
            valid one. Service default 200.
        error_message: What went wrong, when the call failed.
        warnings: What was odd about the call: text, an object or a list.

        metadata: Your own keys and values, to read and to filter by.
        full_request: The whole request as it was made to the provider.
        positive_feedback: Whether the user liked the answer: true for liked,
            false for disliked.

        usage: The tokens used as the provider reports them, cached ones included.

        keywordsai_api_controls: How the service treats the request, ``block``
            above all.

        input: What went in, for calls of any kind: text, an object or a list.
            For chats it often holds the messages as JSON text.
        output: What came out, for calls of any kind: text, an object or a list.

        log_type: Kind of log. Any text; known are "chat", "completion",
            "response", "embedding", "transcription", "speech", "workflow",
            "task", "tool", "agent", "handoff", "guardrail", "function", "custom",
            "generation", "unknown", "score", "text", "batch" and "span".

        messages: The messages of the chat; another name of ``prompt_messages``.
        completion_messages: The messages the model answered with, where there
            are several.
        full_response: The whole answer as the provider gave it.
        tool_calls: The tools that the model wanted called.
        reasoning: The model's reasoning: text, an object or a list.
        thinking: The model's thinking blocks, or the settings for them.
        reasoning_effort: How hard the model was told to think, e.g. "low",
            "medium" or "high".

        latency: How long the whole answer took, in seconds. Newer name of
            ``generation_time``.
        time_to_first_token: Time to the first token, in seconds. Newer name of
            ``ttft``.
        tokens_per_second: Speed of generation, in tokens per second.

        prompt_cache_hit_tokens: Number of prompt tokens read from the provider's
            prompt cache.
        prompt_cache_creation_tokens: Number of prompt tokens written to the
            provider's prompt cache.
        total_tokens: Number of tokens in prompt and completion together.

        timestamp: When the call was completed: ISO 8601 text, or a datetime.
        start_time: When the call began: ISO 8601 text, or a datetime.

        customer_identifier: Your own unique id of the customer.
        customer_email: The customer's email address.
        customer_name: The customer's name.

        trace_unique_id: Id of the trace that the log is a span of.
        trace_name: Name of that trace.
        span_unique_id: Id of this span.
        span_name: Name of this span.
        span_parent_id: ``span_unique_id`` of the span above; none for a root.
        span_path: Where the span is in its workflow, as dotted names.
        span_workflow_name: Name of the workflow that the span is part of.
        span_handoffs: The agents that an agent's span could hand over to.
        span_tools: The tools that an agent's span had at hand.
        trace_group_identifier: Id of a group of traces that belong together.
        session_identifier: Id of the user's session.

        status: How the call ended: "success" or "error".

        variables: Values for the placeholders of the prompt, by name.
        prompt: The stored prompt that was used, or the plain text of a prompt.

        max_tokens: Most tokens that the model was allowed to generate.
        max_completion_tokens: The same in its newer form, reasoning tokens
            included.
        n: Number of answers asked for.
        logprobs: Whether log probabilities were asked for, how many of them, or
            the ones returned.
        top_logprobs: Number of likeliest tokens returned for each position.
        logit_bias: Bias by token id, usually from -100 to 100.
        echo: Whether the prompt was repeated in the answer.
        seed: Seed of the sampling.
        user: Id of the end user, as given to the provider.
        parallel_tool_calls: Whether the model could call several tools at once.
        stream_options: Options of the stream, e.g. ``include_usage``.
        timeout: How long the call to the model was allowed to take, in seconds.

        embedding: The vector that an embedding model returned: a list of
            numbers, or base64 text.
        encoding_format: Form of that vector: "float" or "base64".
        dimensions: Length of that vector.

        audio_input_file: Audio that went in, as a URL.
        audio_output_file: Audio that came out, as a URL.

        evaluation_identifier: Id of the evaluation that the log is part of.
        eval_params: The evaluators to run on the log, and their inputs.
        ideal_output: The answer that would have been right, for evaluators.
        note: A remark for whoever reads the log.
        category: A category of your own.

        cache_enabled: Whether answers were cached.
        cache_options: How answers were cached.
        cache_ttl: How long a cached answer is kept, in seconds.

        disable_log: Whether the service keeps the figures only and leaves out
            the messages, the tools, the full request and the full response.
        properties: More keys and values of your own, as ``metadata``.
        environment: Where the call was made from, e.g. "prod" or "test".
        keywordsai_params: Parameters for the service, gathered in one object.
        respan_params: The same under the brand's newer name.
        respan_api_controls: ``keywordsai_api_controls`` under the brand's newer
            name. Service default for ``block`` true.
        unique_id: Id of the log itself, when you choose it.
        provider_id: Which provider ran the model, e.g. "openai".

        extra: Keys that the schema does not know, sent beside the others.
    """

    # Core.
    model: str | None = None
    prompt_messages: Sequence[Message | Mapping[str, Any]] | None = None
    completion_message: Message | Mapping[str, Any] | None = None

    # Tokens and cost.
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: Number | None = None
    prompt_unit_price: Number | None = None
    completion_unit_price: Number | None = None

    # Timing.
    generation_time: Number | None = None
    ttft: Number | None = None

    # Configuration of the model.
    temperature: Number | None = None
    top_p: Number | None = None
    frequency_penalty: Number | None = None
    presence_penalty: Number | None = None
    stop: str | Sequence[str] | None = None
    stream: bool | None = None

    # Tools.
    tools: Sequence[Tool | Mapping[str, Any]] | None = None
    tool_choice: str | ToolChoice | Mapping[str, Any] | None = None

    # Format of the answer.
    response_format: ResponseFormat | Mapping[str, Any] | None = None

    # Customer and identity.
    customer_params: Customer | Mapping[str, Any] | None = None
    custom_identifier: Identifier | None = None
    group_identifier: Identifier | None = None
    thread_identifier: Identifier | None = None

    # Stored prompt.
    prompt_id: Identifier | None = None
    prompt_name: str | None = None
    is_custom_prompt: bool | None = None

    # Status.
    status_code: int | None = None
    error_message: str | None = None
    warnings: str | Mapping[str, Any] | Sequence[Any] | None = None

    # Data.
    metadata: Mapping[str, Any] | None = None
    full_request: Mapping[str, Any] | Sequence[Any] | None = None
    positive_feedback: bool | None = None

    # Usage.
    usage: Usage | Mapping[str, Any] | None = None

    # Control.
    keywordsai_api_controls: APIControls | Mapping[str, Any] | None = None

    # From here on: documented elsewhere. Input and output of any kind.
    input: Any = None
    output: Any = None

    # Kind.
    log_type: str | None = None

    # Messages and reasoning.
    messages: Sequence[Message | Mapping[str, Any]] | None = None
    completion_messages: Sequence[Message | Mapping[str, Any]] | None = None
    full_response: Any = None
    tool_calls: Sequence[ToolCall | Mapping[str, Any]] | None = None
    reasoning: str | Mapping[str, Any] | Sequence[Any] | None = None
    thinking: str | Mapping[str, Any] | Sequence[Any] | None = None
    reasoning_effort: str | None = None

    # Timing, by newer names.
    latency: Number | None = None
    time_to_first_token: Number | None = None
    tokens_per_second: Number | None = None

    # Tokens, further.
    prompt_cache_hit_tokens: int | None = None
    prompt_cache_creation_tokens: int | None = None
    total_tokens: int | None = None

    # Moments.
    timestamp: Timestamp | None = None
    start_time: Timestamp | None = None

    # Customer, flat.
    customer_identifier: Identifier | None = None
    customer_email: str | None = None
    customer_name: str | None = None

    # Traces.
    trace_unique_id: Identifier | None = None
    trace_name: str | None = None
    span_unique_id: Identifier | None = None
    span_name: str | None = None
    span_parent_id: Identifier | None = None
    span_path: str | None = None
    span_workflow_name: str | None = None
    span_handoffs: Sequence[Any] | None = None
    span_tools: Sequence[Any] | None = None
    trace_group_identifier: Identifier | None = None
    session_identifier: Identifier | None = None

    # Status, by word.
    status: str | None = None

    # Stored prompt, further.
    variables: Mapping[str, Any] | None = None
    prompt: str | PromptParams | Mapping[str, Any] | None = None

    # Configuration of the model, further.
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    logprobs: bool | int | Mapping[str, Any] | None = None
    top_logprobs: int | None = None
    logit_bias: Mapping[str, Any] | None = None
    echo: bool | None = None
    seed: int | None = None
    user: Identifier | None = None
    parallel_tool_calls: bool | None = None
    stream_options: Mapping[str, Any] | None = None
    timeout: Number | None = None

    # Embeddings.
    embedding: str | Sequence[Any] | None = None
    encoding_format: str | None = None
    dimensions: int | None = None

    # Audio.
    audio_input_file: str | None = None
    audio_output_file: str | None = None

    # Evaluation.
    evaluation_identifier: Identifier | None = None
    eval_params: EvalParams | Mapping[str, Any] | None = None
    ideal_output: Any = None
    note: str | None = None
    category: str | None = None

    # Cache.
    cache_enabled: bool | None = None
    cache_options: CacheOptions | Mapping[str, Any] | None = None
    cache_ttl: Number | None = None

    # The rest.
    disable_log: bool | None = None
    properties: Mapping[str, Any] | None = None
    environment: str | None = None
    keywordsai_params: Mapping[str, Any] | None = None
    respan_params: Mapping[str, Any] | None = None
    respan_api_controls: APIControls | Mapping[str, Any] | None = None
    unique_id: Identifier | None = None
    provider_id: Identifier | None = None

    extra: Mapping[str, Any] = attrs.field(factory=dict)
