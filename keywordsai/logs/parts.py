"""The objects inside a log: messages, tools, customers, usage and the like.

Each class may be given as it is or as a plain mapping with the same keys, mixed
at will. Fields that are None are not sent. Every class takes keywords that its
schema does not know and keeps them in ``extra``; its ``repr`` names the fields
that are set and never shows what is in them.

The defaults named below are the service's own: they are never sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

import attrs

from keywordsai.logs._open import OpenObject, open_keywords

__all__ = [
    "APIControls",
    "CacheOptions",
    "Customer",
    "EvalParams",
    "FunctionCall",
    "FunctionDefinition",
    "Identifier",
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

Number: TypeAlias = float | Decimal
"""Any number: int, float or Decimal. A bool is none."""

Identifier: TypeAlias = str | int
"""A name for something: text, or the number that callers use as one."""

Timestamp: TypeAlias = str | datetime | date
"""A moment: ISO 8601 text as it is, or a datetime or date, sent as RFC 3339."""


@open_keywords
@attrs.frozen(kw_only=True, repr=False, eq=False)
class FunctionCall(OpenObject):
    """The function that a model wants called, inside a `ToolCall`.

    Attributes:
        name: Name of the function.
        arguments: Its arguments: JSON text as the model wrote it, or an object.
        extra: Keys that the schema does not know, sent beside the others.
    """

    name: str | None = None
    arguments: str | Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@open_keywords
@attrs.frozen(kw_only=True, repr=False, eq=False)
class ToolCall(OpenObject):
    """One call of a tool that a model asked for.

    Attributes:
        id: The call's id, which the tool's message repeats as ``tool_call_id``.
        type: Kind of tool; "function" in practice.
        function: The function to call and its arguments.
        index: Place of the call among those of one streamed answer, from 0.
        extra: Keys that the schema does not know, sent beside the others.
    """

    id: str | None = None
    type: str | None = None
    function: FunctionCall | Mapping[str, Any] | None = None
    index: int | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@open_keywords
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Message(OpenObject):
    """One message of a chat.

    Attributes:
        role: Who speaks. Required. Usually "system", "developer", "user",
            "assistant" or "tool"; any text is accepted.
        content: What is said: text, or a list of content parts (text, images,
            audio) as plain objects. None where there are only tool calls.
        name: Name of the speaker, where several share one role.
        tool_call_id: In a tool's message, the id of the call it answers.
        tool_calls: Tools that the assistant wants called.
        reasoning_content: The model's reasoning, from providers that return it
            beside the content.
        refusal: The model's words when it declined to answer.
        extra: Keys that the schema does not know, sent beside the others.

    Example:
        >>> Message(role="user", content="Hi")
        Message(role, content)
    """

    role: str
    content: str | Sequence[Any] | None = None
    name: str | None = None
    tool_call_id: Identifier | None = None
    tool_calls: Sequence[ToolCall | Mapping[str, Any]] | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@open_keywords
@attrs.frozen(kw_only=True, repr=False, eq=False)
class FunctionDefinition(OpenObject):
    """A function that a model may call, inside a `Tool`.

    Attributes:
        name: Name of the function.
        description: What it does, in words for the model.
        parameters: JSON Schema of its arguments.
        strict: Whether the model must keep exactly to that schema.
        extra: Keys that the schema does not know, sent beside the others.
    """

    name: str | None = None
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@open_keywords
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Tool(OpenObject):
    """A tool that the model could use.

    Attributes:
        type: Kind of tool. The service knows "function" only.
        function: The function, when ``type`` is "function".
        extra: Keys that the schema does not know, sent beside the others.
    """

    type: str | None = None
    function: FunctionDefinition | Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@open_keywords
@attrs.frozen(kw_only=True, repr=False, eq=False)
class ToolChoiceFunction(OpenObject):
    """The function that a `ToolChoice` names.

    Attributes:
        name: Name of the function.
        extra: Keys that the schema does not know, sent beside the others.
    """

    name: str | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@open_keywords
@attrs.frozen(kw_only=True, repr=False, eq=False)
class ToolChoice(OpenObject):
    """The tool that the model had to call.

    Attributes:
        type: Kind of tool; "function".
        function: Which function.
        extra: Keys that the schema does not know, sent beside the others.
    """

    type: str | None = None
    function: ToolChoiceFunction | Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@open_keywords
@attrs.frozen(kw_only=True, repr=False, eq=False)
class ResponseFormat(OpenObject):
    """The form in which the model had to answer.

    Attributes:
        type: "text" (free text, what a model does when nothing is said),
            "json_object" (any JSON object) or "json_schema" (JSON that follows
            a schema).
        json_schema: With "json_schema": an object with the schema and its name.
        extra: Keys that the schema does not know, sent beside the others.
    """

    type: str | None = None
    json_schema: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@open_keywords
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Customer(OpenObject):
    """The customer on whose behalf the model was called.

    Attributes:
        customer_identifier: Your own unique id of the customer.
        name: The customer's name.
        email: The customer's email address.
        metadata: Your own keys and values about the customer.
        budget_duration: Period that ``period_budget`` is for, e.g. "yearly".
        period_budget: What the customer may spend in one period, in US dollars.
        total_budget: What the customer may spend in all, in US dollars.
        extra: Keys that the schema does not know, sent beside the others.
    """

    customer_identifier: Identifier | None = None
    name: str | None = None
    email: str | None = None
    metadata: Mapping[str, Any] | None = None
    budget_duration: str | None = None
    period_budget: Number | None = None
    total_budget: Number | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@open_keywords
@attrs.frozen(kw_only=True, repr=False, eq=False)
class PromptTokensDetails(OpenObject):
    """What the prompt's tokens were made of, inside `Usage`.

    Attributes:
        cached_tokens: How many tokens came out of the provider's prompt cache.
        audio_tokens: How many tokens were audio.
        extra: Keys that the schema does not know, sent beside the others.
    """

    cached_tokens: int | None = None
    audio_tokens: int | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@open_keywords
@attrs.frozen(kw_only=True, repr=False, eq=False)
class Usage(OpenObject):
    """How many tokens a call used, in the form in which providers report it.

    Attributes:
        prompt_tokens: Number of tokens in the prompt.
        completion_tokens: Number of tokens in the completion.
        total_tokens: Number of tokens in both.
        prompt_tokens_details: What the prompt's tokens were made of, cached ones
            above all.
        completion_tokens_details: What the completion's tokens were made of, as
            the provider reports it (reasoning tokens, for one).
        cache_creation_prompt_tokens: Number of tokens written to the provider's
            prompt cache. Anthropic's models only.
        extra: Keys that the schema does not know, sent beside the others.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptTokensDetails | Mapping[str, Any] | None = None
    completion_tokens_details: Mapping[str, Any] | None = None
    cache_creation_prompt_tokens: int | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@open_keywords
@attrs.frozen(kw_only=True, repr=False, eq=False)
class APIControls(OpenObject):
    """How the service treats the request that carries the log.

    Attributes:
        block: Whether the service answers only once the log is dealt with. False
            makes it answer at once with no more than a status. Service default
            true.
        extra: Keys that the schema does not know, sent beside the others.
    """

    block: bool | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@open_keywords
@attrs.frozen(kw_only=True, repr=False, eq=False)
class PromptParams(OpenObject):
    """The stored prompt that a call was made from.

    Attributes:
        prompt_id: Id of the prompt in the service.
        version: Which version of it; a number, or a name such as "latest".
        variables: Values for the prompt's placeholders, by name.
        extra: Keys that the schema does not know, sent beside the others.
    """

    prompt_id: Identifier | None = None
    version: Identifier | None = None
    variables: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@open_keywords
@attrs.frozen(kw_only=True, repr=False, eq=False)
class CacheOptions(OpenObject):
    """How answers are cached when ``cache_enabled`` is true.

    Attributes:
        cache_by_customer: Whether each customer has a cache of their own, rather
            than one shared by all.
        omit_log: Whether an answer out of the cache is left out of the logs.
        extra: Keys that the schema does not know, sent beside the others.
    """

    cache_by_customer: bool | None = None
    omit_log: bool | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@open_keywords
@attrs.frozen(kw_only=True, repr=False, eq=False)
class EvalParams(OpenObject):
    """Which evaluators the service runs on the log, and on what.

    Attributes:
        evaluators: The evaluators, as objects with an ``evaluator_id`` each.
        eval_inputs: What they are given besides the log itself, e.g.
            ``ideal_output`` and ``custom_inputs``.
        extra: Keys that the schema does not know, sent beside the others.
    """

    evaluators: Sequence[Any] | None = None
    eval_inputs: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)
