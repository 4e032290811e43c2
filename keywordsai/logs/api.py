"""The client: picks a transport for the caller's colour, and holds no other logic.

What an operation sends and how its answer reads is in `endpoints`; how often it
is tried is in `keywordsai.transport.flow`.
"""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from keywordsai._excerpt import excerpt
from keywordsai.delivery.counts import DeliveryStats, FlushResult
from keywordsai.delivery.options import DeliveryOptions, check_flush_timeout
from keywordsai.errors import ClosedError, ConfigurationError
from keywordsai.logs.answers import Log, LogPage
from keywordsai.logs.endpoints import Call, Endpoints, blocks
from keywordsai.logs.schema import LogParams
from keywordsai.settings import Settings
from keywordsai.transport import async_transport as pick_async
from keywordsai.transport import embedded_transports as pick_embedded
from keywordsai.transport import sync_transport as pick_sync
from keywordsai.transport.base import AsyncTransport, SyncTransport, Timeout
from keywordsai.transport.flow import Exchange, arun, exchange, run
from keywordsai.transport.forks import importing, watch_forks
from keywordsai.transport.retry import RetryPolicy

if TYPE_CHECKING:
    import aiohttp
    import requests
    from typing_extensions import Self

    from keywordsai.delivery.client import Delivery
    from keywordsai.logs.typed_dicts import LogParamsDict

__all__ = ["LogAPI", "create_log_client"]

T = TypeVar("T")


class LogAPI:
    """Logs LLM calls to Keywords AI, and reads them back.

    One client serves synchronous and asynchronous callers, any number of threads
    and any number of event loops. Make one and keep it: its connections are
    reused. Every operation has two methods, ``create`` and ``acreate`` and so on.

    Args:
        api_key: The API key. Default: the first set of KEYWORDSAI_API_KEY,
            KEYWORDS_AI_API_KEY and RESPAN_API_KEY.
        base_url: Where the API is, with or without ``/api`` at its end. Default:
            the first set of KEYWORDSAI_BASE_URL, KEYWORDS_AI_BASE_URL and
            RESPAN_BASE_URL, else ``https://api.keywordsai.co/api``. A database such as
            ``sqlite:///logs.db`` takes the place of the service: no server and no
            key, but the extra ``keywordsai[server]``.
        timeout: Seconds for a whole call with all its attempts, or a `Timeout`.
            Default 30, 5 of them for a connection, 10 between reads.
        retry: How often a call is tried, or a `RetryPolicy`. Default 4.
        strict: Whether keys that the schema does not know are problems. Default
            False: they are sent as they are.
        enabled: False validates and sends nothing, and needs no key. Default:
            KEYWORDSAI_ENABLED, else True.
        headers: Further headers of every request.
        proxy: URL of an HTTP proxy; ``""`` for none. Default: HTTPS_PROXY,
            HTTP_PROXY or ALL_PROXY, unless NO_PROXY names the host.
        ca_bundle: File or folder of the PEM certificates to trust. Default:
            REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, SSL_CERT_FILE, else certifi's.
        transport: A transport, or a `requests.Session`, to send over. It is
            never closed by the client.
        async_transport: The same for ``acreate``, ``alist`` and ``aget``: a
            transport or an `aiohttp.ClientSession`. Default: ``transport``, if
            that serves both colours, as `MockTransport` does.
        block: Whether ``create`` waits for the service's answer. False: it keeps
            the log in a queue and returns at once; a thread delivers it, over
            ``transport`` if there is one. A log's own
            ``{"keywordsai_api_controls": {"block": False}}`` wins over this.
        spool: Folder of the queue; its logs outlive the process. ``""`` for memory.
            Default: KEYWORDSAI_SPOOL, else memory.
        on_drop: Called with each queued log that is given up, as the dict that
            would have been sent, and the reason (see `DeliveryStats`); on the
            thread that gives it up.
        concurrency: Most requests of the queue in flight. Default 16.
        bulk: Whether the queue sends up to 500 logs, or 5 MB, in one request.
        max_pending: Most logs that wait; newer ones are dropped. Default 100,000.
        max_pending_bytes: Most bytes of them. Default 2**30.
        max_age: Seconds after which a waiting log is dropped. Default 72 hours.
        exit_timeout: Seconds that ``close`` and the program's exit may take for
            what still waits, all clients together. Default 2.

    Raises:
        ConfigurationError: A setting is missing or wrong; it says which.

    Example:
        >>> from keywordsai import LogAPI, MockTransport
        >>> client = LogAPI(api_key="test", transport=MockTransport())
        >>> client.create({"model": "gpt-4", "prompt_tokens": 15})["message"]
        'log successful'
        >>> client.close()
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        timeout: float | Timeout | None = None,
        retry: int | RetryPolicy | None = None,
        strict: bool = False,
        enabled: bool | None = None,
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        ca_bundle: str | os.PathLike[str] | None = None,
        transport: SyncTransport | requests.Session | None = None,
        async_transport: AsyncTransport | aiohttp.ClientSession | None = None,
        block: bool = True,
        spool: str | os.PathLike[str] | None = None,
        on_drop: Callable[[dict[str, Any], str], object] | None = None,
        concurrency: int = 16,
        bulk: bool = False,
        max_pending: int = 100_000,
        max_pending_bytes: int = 2**30,
        max_age: float = 72 * 3600.0,
        exit_timeout: float = 2.0,
    ) -> None:
        self._settings = Settings.resolve(
            api_key=api_key,
            base_url=base_url,
            timeout=timeout,
            retry=retry,
            strict=strict,
            enabled=enabled,
            headers=headers,
            proxy=proxy,
            ca_bundle=ca_bundle,
        )
        database = self._settings.database
        self._options = DeliveryOptions.resolve(
            block=block,
            spool=spool,
            on_drop=on_drop,
            concurrency=concurrency,
            bulk=bulk or database is not None,  # one commit for many
            max_pending=max_pending,
            max_pending_bytes=max_pending_bytes,
            max_age=max_age,
            exit_timeout=exit_timeout,
        )
        self._endpoints = Endpoints(self._settings)
        self._queue: Delivery | None = None
        self._lock = threading.Lock()
        watch_forks(self)
        self._closed = False
        network = self._settings.network
        if async_transport is None and getattr(transport, "both_colours", False):
            async_transport = cast("AsyncTransport", transport)
        self._owns_sync, self._owns_async = transport is None, async_transport is None
        # Ours are made when they are first needed; what was handed in, looked at now.
        self._sync: SyncTransport | None = None
        self._async: AsyncTransport | None = None
        sessions = database is None
        if not self._owns_sync:
            self._sync = pick_sync(transport, network, sessions=sessions)
        if not self._owns_async:
            self._async = pick_async(async_transport, network, sessions=sessions)
        if database is not None and self._settings.enabled:
            self._embed(database.reveal())
        if self._settings.enabled and not block:
            self._delivery()  # imports; at the first log a fork could come in between

    def create(
        self,
        log: LogParams | LogParamsDict | Mapping[str, Any],
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Log one LLM call.

        Args:
            log: The call: a mapping, or `LogParams`, where every field is
                described. Keys the schema does not know are sent as they are;
                top-level keys whose value is None are not sent.
            idempotency_key: An id of yours for this log, so that sending it
                twice stores it once where the server honours that. Default: a
                new UUID; it is the same on every attempt of this call.

        Returns:
            The service's answer, as a rule ``{"message": "log successful"}``;
            ``{"message": "logging disabled"}`` when the client is disabled.
            Where it does not wait (see ``block``), ``{"message": "log queued"}``,
            or ``{"message": "log dropped: …"}`` if there was no room.

        Raises:
            InvalidLogError: The log is wrong; it names every problem.
            APIStatusError: The service refused it, or failed at every attempt.
            TransportError: The service could not be reached in time.
            ClosedError: The client was closed.
        """
        if not blocks(log, default=self._options.block):
            return self._put(log, idempotency_key)
        call = self._opened().create(log, idempotency_key)
        return self._run(call) if self._settings.enabled else _disabled()

    async def acreate(
        self,
        log: LogParams | LogParamsDict | Mapping[str, Any],
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """As `create`, for asynchronous code."""
        if not blocks(log, default=self._options.block):
            return self._put(log, idempotency_key)
        call = self._opened().create(log, idempotency_key)
        return await self._arun(call) if self._settings.enabled else _disabled()

    def list(
        self,
        page: int | None = None,
        page_size: int | None = None,
        sort_by: str | None = None,
        start_time: str | datetime | None = None,
        end_time: str | datetime | None = None,
        filters: Mapping[str, Any] | None = None,
        **query: Any,
    ) -> LogPage:
        """Read a page of logs.

        Args:
            page: Number of the page, from 1 on. Service default 1.
            page_size: Logs on a page, at most 1000. Service default 100.
            sort_by: A field such as ``timestamp`` or ``cost``; ``-`` before it
                sorts descending. Service default ``-id``.
            start_time: The earliest moment: a datetime or ISO 8601. Service
                default: one hour ago.
            end_time: The latest moment. Service default: now.
            filters: Conditions in the service's filter language, such as
                ``{"cost": {"operator": "gt", "value": [0.01]}}``.
            **query: Further parameters, such as ``environment="prod"``, or a
                field to be equal to, such as ``model="gpt-4"``.

        Returns:
            The page. A log just created takes some seconds to appear.

        Raises:
            ConfigurationError: An argument is wrong, or the client is disabled.
            APIStatusError: The service refused, or failed at every attempt.
            TransportError: The service could not be reached in time.
            ClosedError: The client was closed.
        """
        own = _page_query(page, page_size, sort_by, start_time, end_time)
        return self._run(self._readable().list(filters=filters, query={**own, **query}))

    async def alist(
        self,
        page: int | None = None,
        page_size: int | None = None,
        sort_by: str | None = None,
        start_time: str | datetime | None = None,
        end_time: str | datetime | None = None,
        filters: Mapping[str, Any] | None = None,
        **query: Any,
    ) -> LogPage:
        """As `list`, for asynchronous code."""
        own = _page_query(page, page_size, sort_by, start_time, end_time)
        call = self._readable().list(filters=filters, query={**own, **query})
        return await self._arun(call)

    def get(self, log_id: str) -> Log:
        """Read one log.

        Args:
            log_id: Its ``id`` or ``unique_id``.

        Raises:
            NotFoundError: There is none, or not yet: a log just created takes
                some seconds to appear.
            ConfigurationError: The id is empty, or the client is disabled.
            APIStatusError: The service refused, or failed at every attempt.
            TransportError: The service could not be reached in time.
            ClosedError: The client was closed.
        """
        return self._run(self._readable().get(log_id))

    async def aget(self, log_id: str) -> Log:
        """As `get`, for asynchronous code."""
        return await self._arun(self._readable().get(log_id))

    def update(self, *_args: object, **_options: object) -> NoReturn:
        """Logs are immutable: always raises NotImplementedError."""
        raise NotImplementedError("a log cannot be updated: logs are immutable")

    async def aupdate(self, *_args: object, **_options: object) -> NoReturn:
        """Logs are immutable: always raises NotImplementedError."""
        self.update()

    def delete(self, *_args: object, **_options: object) -> NoReturn:
        """Logs are immutable: always raises NotImplementedError."""
        raise NotImplementedError("a log cannot be deleted: logs are immutable")

    async def adelete(self, *_args: object, **_options: object) -> NoReturn:
        """Logs are immutable: always raises NotImplementedError."""
        self.delete()

    def flush(self, timeout: float | None = None) -> FlushResult:
        """Wait until what was queued is delivered.

        It covers the logs adopted from processes that died, too. It does not hurry
        a service that fails, and returns early when nothing more can happen in time.

        Args:
            timeout: Seconds at most. Default: the total of the client's timeout.

        Returns:
            What became of all logs so far; its ``pending`` is what is left.

        Raises:
            ConfigurationError: The timeout is no number of seconds.
            ClosedError: The client was closed.
        """
        queue = self._flushable(timeout)
        return FlushResult() if queue is None else queue.flush(timeout)

    async def aflush(self, timeout: float | None = None) -> FlushResult:
        """As `flush`, for asynchronous code: the event loop goes on."""
        queue = self._flushable(timeout)
        return FlushResult() if queue is None else await queue.aflush(timeout)

    def stats(self) -> DeliveryStats:
        """The numbers of what was queued, at this moment; after `close` too."""
        return DeliveryStats() if self._queue is None else self._queue.stats()

    def close(self) -> None:
        """Close the whole client, from any thread, inside a running loop too.

        What is queued is delivered first, for ``exit_timeout`` at most. Closing
        twice is fine; every other call after it raises `ClosedError`, but `stats`.
        """
        self._closed = True
        if self._queue is not None:
            self._queue.close()
        self._close_transports()

    def _close_transports(self) -> None:
        close_now = getattr(self._async, "close_from_sync", None)
        if self._owns_async and close_now is not None:
            close_now()
        if self._owns_sync and self._sync is not None:
            self._sync.close()

    async def aclose(self) -> None:
        """As `close`, and wait for this loop's connections to be closed."""
        self._closed = True
        if self._queue is not None:
            await self._queue.aclose()
        if self._owns_async and self._async is not None:
            await self._async.close()
        self._close_transports()

    def after_fork_in_child(self) -> None:
        """Take a new lock: another thread of the parent may hold the old one."""
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<LogAPI {self._settings.base_url} {state}>"

    def _opened(self) -> Endpoints:
        if self._closed:
            raise ClosedError("the client was closed; make a new one")
        return self._endpoints

    def _readable(self) -> Endpoints:
        endpoints = self._opened()
        if not self._settings.enabled:
            raise ConfigurationError(
                "the client is disabled, so there is nothing to read from: unset "
                "KEYWORDSAI_ENABLED, or pass enabled=True"
            )
        return endpoints

    def _exchange(self, call: Call[T]) -> Exchange:
        settings = self._settings
        return exchange(call.request, settings.retry, secret=settings.api_key.reveal())

    def _put(
        self, log: Mapping[str, Any] | LogParams, key: str | None
    ) -> dict[str, Any]:
        body = self._opened().encode(log, key)
        if not self._settings.enabled:
            return _disabled()
        return (self._queue or self._delivery()).put(body, key)

    def _flushable(self, timeout: float | None) -> Delivery | None:
        self._opened()
        check_flush_timeout(timeout)
        if not self._settings.enabled:
            return None
        return self._queue or self._delivery()

    def _delivery(self) -> Delivery:
        with importing:
            from keywordsai.delivery.client import Delivery  # noqa: PLC0415  sqlite3

        with self._lock:
            ours = self._owns_sync and self._settings.database is None
            given = None if ours else self._sync
            self._queue = self._queue or Delivery(self._endpoints, self._options, given)
            return self._queue

    def _embed(self, database: str) -> None:
        if self._owns_sync or self._owns_async:  # else nobody would use it
            sync, asynchronous = pick_embedded(database)
            self._sync = sync if self._owns_sync else self._sync
            self._async = asynchronous if self._owns_async else self._async

    def _run(self, call: Call[T]) -> T:
        with self._lock:
            if self._sync is None:
                self._sync = pick_sync(None, self._settings.network)
        return call.read(run(self._exchange(call), self._sync))

    async def _arun(self, call: Call[T]) -> T:
        with self._lock:
            if self._async is None:
                self._async = pick_async(None, self._settings.network)
        return call.read(await arun(self._exchange(call), self._async))


def create_log_client(
    api_key: str | None = None, base_url: str | None = None
) -> LogAPI:
    """Make a `LogAPI` with this key and URL, or those of the environment."""
    return LogAPI(api_key=api_key, base_url=base_url)


def _disabled() -> dict[str, Any]:
    return {"message": "logging disabled"}


def _page_query(
    page: int | None,
    page_size: int | None,
    sort_by: str | None,
    start_time: str | datetime | None,
    end_time: str | datetime | None,
) -> dict[str, Any]:
    for name, value in (("page", page), ("page_size", page_size)):
        if value is not None and not _counts(value):
            raise ConfigurationError(
                f"{name} must be a whole number from 1 on, got {excerpt(value)}"
            )
    return {
        "page": page,
        "page_size": page_size,
        "sort_by": sort_by,
        "start_time": start_time,
        "end_time": end_time,
    }


def _counts(value: Any) -> bool:
    """Whether it is a whole number, numpy's included, from 1 on."""
    try:
        return not isinstance(value, bool) and operator.index(value) >= 1
    except TypeError:
        return False
