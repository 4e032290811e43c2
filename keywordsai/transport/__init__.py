"""Transports, and which of them a client uses.

The HTTP libraries are imported when a transport over them is first needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from keywordsai.errors import ConfigurationError
from keywordsai.transport.base import (
    AsyncTransport,
    HTTPRequest,
    HTTPResponse,
    SyncTransport,
    Timeout,
    Transport,
)
from keywordsai.transport.forks import importing
from keywordsai.transport.mock import MockTransport
from keywordsai.transport.network import Network
from keywordsai.transport.retry import RetryPolicy

if TYPE_CHECKING:
    from keywordsai.transport.aiohttp import AiohttpTransport
    from keywordsai.transport.requests import RequestsTransport

__all__ = [
    "AiohttpTransport",
    "AsyncTransport",
    "HTTPRequest",
    "HTTPResponse",
    "MockTransport",
    "Network",
    "RequestsTransport",
    "RetryPolicy",
    "SyncTransport",
    "Timeout",
    "Transport",
    "async_transport",
    "sync_transport",
]


def embedded_transports(database: str) -> tuple[SyncTransport, AsyncTransport]:
    """Both colours over a database, without a server.

    Args:
        database: Its URL, such as ``sqlite:///logs.db``.

    Raises:
        ConfigurationError: The server extra is missing, or the database is not usable.
    """
    with importing:
        try:
            from keywordsai.transport.embedded import (  # noqa: PLC0415  an extra
                AsyncEmbeddedTransport,
                EmbeddedTransport,
            )
        except ModuleNotFoundError as error:
            missing = (error.name or "keywordsai").partition(".")[0]
            if missing == "keywordsai":  # a mistake of our own
                raise
            raise ConfigurationError(
                f"base_url is a database, which needs {missing}: install the extra "
                "keywordsai[server]; in a clone of the project, pip install '.[server]'"
            ) from error
        sync = EmbeddedTransport(database)
        return sync, AsyncEmbeddedTransport(sync.database)


def sync_transport(
    given: Any, network: Network, *, sessions: bool = True
) -> SyncTransport:
    """The transport to use: the one given, one over the session given, or ours.

    Args:
        given: What the caller handed in, None for ours.
        network: Proxy and certificates of ours.
        sessions: Whether a session leads to where the requests go.

    Raises:
        ConfigurationError: It is neither a transport nor a `requests.Session`.
    """
    if _is_transport(given):
        return cast("SyncTransport", given)
    _check_reachable(sessions=sessions)
    with importing:
        import requests  # noqa: PLC0415  85 ms that only a sync caller pays

        from keywordsai.transport.requests import RequestsTransport  # noqa: PLC0415

    if given is None or isinstance(given, requests.Session):
        return RequestsTransport(network, session=given)
    raise ConfigurationError(
        "transport must be a transport (with send, sleep and close) or a "
        f"requests.Session, got {type(given).__name__}"
    )


def async_transport(
    given: Any, network: Network, *, sessions: bool = True
) -> AsyncTransport:
    """As `sync_transport`, for an asynchronous one or an `aiohttp.ClientSession`.

    Raises:
        ConfigurationError: It is neither of the two.
    """
    if _is_transport(given):
        return cast("AsyncTransport", given)
    _check_reachable(sessions=sessions)
    with importing:
        import aiohttp  # noqa: PLC0415  175 ms that only an async caller pays

        from keywordsai.transport.aiohttp import AiohttpTransport  # noqa: PLC0415

    if given is None or isinstance(given, aiohttp.ClientSession):
        return AiohttpTransport(network, session=given)
    raise ConfigurationError(
        "async_transport must be a transport (with send, sleep and close) or an "
        f"aiohttp.ClientSession, got {type(given).__name__}"
    )


def _check_reachable(*, sessions: bool) -> None:
    if not sessions:
        raise ConfigurationError(
            "base_url is a database, which a session does not lead to: hand in a "
            "transport, or nothing"
        )


def _is_transport(given: Any) -> bool:
    return all(
        callable(getattr(given, name, None)) for name in ("send", "sleep", "close")
    )


def __getattr__(name: str) -> Any:
    if name == "RequestsTransport":
        from keywordsai.transport.requests import RequestsTransport  # noqa: PLC0415

        return RequestsTransport
    if name == "AiohttpTransport":
        from keywordsai.transport.aiohttp import AiohttpTransport  # noqa: PLC0415

        return AiohttpTransport
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
