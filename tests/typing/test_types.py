"""What type checkers say to programs that use the package. Checked, never run.

Each line that must be refused carries the ignore that refusing it needs; mypy
reports an ignore without need.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import requests

from keywordsai import (
    Customer,
    HTTPRequest,
    HTTPResponse,
    Log,
    LogAPI,
    LogPage,
    LogParams,
    Message,
    MockTransport,
    RetryPolicy,
    Timeout,
    create_log_client,
)
from keywordsai.transport import (
    AiohttpTransport,
    AsyncTransport,
    RequestsTransport,
    SyncTransport,
)
from keywordsai.types.log_types import KeywordsAILogParams, LogList

if TYPE_CHECKING:
    import aiohttp
    from typing_extensions import assert_type

    from keywordsai.logs.typed_dicts import LogParamsDict


def clients(session: requests.Session, other: aiohttp.ClientSession) -> None:
    LogAPI("key", "http://x")
    LogAPI(timeout=3, retry=1, proxy="", ca_bundle="x", headers={"X": "y"})
    LogAPI(timeout=Timeout(total=1.5), retry=RetryPolicy(attempts=2), enabled=False)
    LogAPI(transport=session, async_transport=other)
    LogAPI(transport=MockTransport(), async_transport=MockTransport())
    LogAPI(timeout="3")  # type: ignore[arg-type]
    LogAPI("key", "http://x", 3)  # type: ignore[call-arg]
    LogAPI(transport=other)  # type: ignore[arg-type]
    assert_type(create_log_client(api_key="k"), LogAPI)


async def operations(client: LogAPI) -> None:
    assert_type(client.create({"model": "gpt-4"}), dict[str, Any])
    assert_type(await client.acreate(LogParams(model="gpt-4")), dict[str, Any])
    assert_type(client.list(1, 10, model="gpt-4"), LogPage)
    assert_type(await client.alist(start_time=datetime.now(timezone.utc)), LogPage)
    assert_type(client.get("id"), Log)
    assert_type(await client.aget("id"), Log)
    client.get(5)  # type: ignore[arg-type]
    client.create(5)  # type: ignore[arg-type]
    with client as inside:
        assert_type(inside, LogAPI)
    async with client as inside:
        assert_type(inside, LogAPI)


def logs(client: LogAPI, anything: Mapping[str, Any]) -> None:
    client.create(anything)
    typed: LogParamsDict = {
        "model": "gpt-4",
        "prompt_messages": [{"role": "user", "content": "Hi"}, Message(role="user")],
        "customer_params": Customer(customer_identifier=7),
        "cost": Decimal("0.1"),
        "timestamp": datetime.now(timezone.utc),
        "metadata": {"any": object()},
    }
    client.create(typed)
    wrong: LogParamsDict = {"prompt_tokens": "15"}  # type: ignore[typeddict-item]
    typo: LogParamsDict = {"promt_tokens": 15}  # type: ignore[typeddict-unknown-key]
    client.create(wrong)
    client.create(typo)
    LogParams(model="gpt-4", prompt_messages=[{"role": "user"}], cost=0)
    LogParams(model=5)  # type: ignore[arg-type]
    Message(content="no role")  # type: ignore[call-arg]
    KeywordsAILogParams(model="gpt-4", input="a", output={"b": 1}, status_code=200)


def answers(page: LogList) -> None:
    for log in page:
        assert_type(log, Log)
        assert_type(log.model, str | None)
        assert_type(log.anything_else, Any)
        assert_type(log["key"], Any)
        assert_type(log.total_tokens, int | None)
    assert_type(page.results, list[Log])


class MySync:
    def send(self, request: HTTPRequest) -> HTTPResponse:
        return HTTPResponse(status=200)

    def sleep(self, seconds: float) -> None: ...

    def close(self) -> None: ...


class MyAsync:
    async def send(self, request: HTTPRequest) -> HTTPResponse:
        return HTTPResponse(status=200)

    async def sleep(self, seconds: float) -> None: ...

    async def close(self) -> None: ...


def transports() -> None:
    sync: list[SyncTransport] = [RequestsTransport(), MockTransport(), MySync()]
    asynchronous: list[AsyncTransport] = [
        AiohttpTransport(),
        MockTransport(),
        MyAsync(),
    ]
    bad: SyncTransport = MyAsync()  # type: ignore[assignment]
    worse: AsyncTransport = MySync()  # type: ignore[assignment]
    LogAPI(transport=MySync(), async_transport=MyAsync())
    request = HTTPRequest(method="GET", url="http://x")
    assert_type(sync[0].send(request), HTTPResponse)
    assert_type(asynchronous[0].send(request), Awaitable[HTTPResponse])
    LogAPI(transport=bad, async_transport=worse)
