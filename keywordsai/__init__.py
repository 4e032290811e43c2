"""Log LLM calls to Keywords AI, synchronously and asynchronously.

    from keywordsai import LogAPI

    client = LogAPI()  # reads KEYWORDSAI_API_KEY
    client.create({"model": "gpt-4", "prompt_messages": [...]})
    await client.acreate({"model": "gpt-4", "prompt_messages": [...]})

Importing this loads neither requests nor aiohttp: each is loaded when it is
first used.
"""

from __future__ import annotations

from typing import Any

from keywordsai._version import version
from keywordsai.delivery.counts import DeliveryStats, FlushResult
from keywordsai.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ClosedError,
    ConfigurationError,
    ConnectError,
    InvalidLogError,
    KeywordsAIError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    ReadTimeout,
    ServerError,
    TransportError,
    UnexpectedRedirectError,
    UnprocessableLogError,
)
from keywordsai.logs.answers import Log, LogPage
from keywordsai.logs.api import LogAPI, create_log_client
from keywordsai.logs.schema import (
    APIControls,
    Customer,
    FunctionCall,
    FunctionDefinition,
    LogParams,
    Message,
    PromptTokensDetails,
    ResponseFormat,
    Tool,
    ToolCall,
    ToolChoice,
    Usage,
)
from keywordsai.transport.base import HTTPRequest, HTTPResponse, Timeout
from keywordsai.transport.mock import MockTransport
from keywordsai.transport.retry import RetryPolicy

__all__ = [
    "APIControls",
    "APIStatusError",
    "AuthenticationError",
    "BadRequestError",
    "ClosedError",
    "ConfigurationError",
    "ConnectError",
    "Customer",
    "DeliveryStats",
    "FlushResult",
    "FunctionCall",
    "FunctionDefinition",
    "HTTPRequest",
    "HTTPResponse",
    "InvalidLogError",
    "KeywordsAIError",
    "Log",
    "LogAPI",
    "LogPage",
    "LogParams",
    "Message",
    "MockTransport",
    "NotFoundError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "PromptTokensDetails",
    "ProtocolError",
    "RateLimitError",
    "ReadTimeout",
    "ResponseFormat",
    "RetryPolicy",
    "ServerError",
    "Timeout",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "TransportError",
    "UnexpectedRedirectError",
    "UnprocessableLogError",
    "Usage",
    "create_log_client",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
