"""The pytest plugin: fixtures for the tests of programs that log.

pytest loads it by itself where this package is installed, so it imports little; a
database and a server are imported by the fixtures that need them. Both fixtures point
the environment at themselves for the length of a test: a program that makes its own
``LogAPI()`` logs into them.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Sequence
from typing import overload

import pytest

from keywordsai.errors import ConfigurationError
from keywordsai.logs.answers import Log
from keywordsai.logs.api import LogAPI
from keywordsai.settings import (
    API_KEY_VARIABLES,
    BASE_URL_VARIABLES,
    ENABLED_VARIABLE,
)
from keywordsai.transport.base import HTTPRequest

__all__ = ["CapturedLogs", "KeywordsAIServer", "captured_logs", "keywordsai_server"]

_KEY = "key-of-the-test-server"
_SPOOL_VARIABLE = "KEYWORDSAI_SPOOL"
_FIRST, _LAST = "0001-01-02", "9999-12-30"  # of all times there may be
_PAGE = 1000


class CapturedLogs(Sequence[Log]):
    """The logs of a client, in the order they came, as a sequence of `Log`.

    It is read anew whenever it is looked at. What still waits in the queue of a
    client with ``block=False`` is not among them: flush or close that first.

    Args:
        client: Whose logs.

    Attributes:
        client: The same, to list and get, or to log by.
    """

    def __init__(self, client: LogAPI) -> None:
        self.client = client

    @overload
    def __getitem__(self, index: int) -> Log: ...
    @overload
    def __getitem__(self, index: slice) -> list[Log]: ...
    def __getitem__(self, index: int | slice) -> Log | list[Log]:
        return all_logs(self.client)[index]

    def __iter__(self) -> Iterator[Log]:
        return iter(all_logs(self.client))

    def __len__(self) -> int:
        return self.client.list(page_size=1, start_time=_FIRST, end_time=_LAST).count

    def __repr__(self) -> str:
        return f"<CapturedLogs of {len(self)} logs>"


class KeywordsAIServer:
    """A log server that runs for the length of a test.

    Args:
        url: Where it listens.
        api_key: The one key that it takes.

    Attributes:
        url: Where it listens, such as ``http://127.0.0.1:40123``.
        base_url: What to give `LogAPI` as its ``base_url``.
        api_key: The one key that it takes.
        client: A client of it.
    """

    def __init__(self, url: str, api_key: str) -> None:
        self.url = url
        self.base_url = f"{url}/api"
        self.api_key = api_key
        self.client = LogAPI(api_key, url, enabled=True, proxy="")

    def logs(self) -> list[Log]:
        """The logs it has, in the order they came.

        Raises:
            APIStatusError: A fault is in the way.
        """
        return all_logs(self.client)

    def fault(self, *faults: str) -> None:
        """Have things go wrong, in place of what went wrong before; none ends it.

        Args:
            faults: Such as ``"503 for 2s"``, ``"429 retry-after 2 first 3"``,
                ``"hang"``, ``"drop-response 0.1"``, ``"latency 200ms"``.

        Raises:
            ValueError: One of them is no fault; it says how one is written.
        """
        from keywordsai.transport.requests import RequestsTransport  # noqa: PLC0415  slow

        transport = RequestsTransport()
        try:
            answer = transport.send(
                HTTPRequest(
                    method="PUT",
                    url=f"{self.url}/_faults",
                    headers={"Authorization": f"Bearer {self.api_key}"},
                    body=json.dumps({"faults": faults}).encode(),
                )
            )
        finally:
            transport.close()
        if not answer.is_success:
            raise ValueError(json.loads(answer.body)["detail"])

    def __repr__(self) -> str:
        return f"<KeywordsAIServer {self.url}>"


def all_logs(client: LogAPI) -> list[Log]:
    """All logs of a server or a database, each as it was sent, in their order."""
    ids: list[str] = []
    page = 1
    while True:
        rows = client.list(page, _PAGE, "id", _FIRST, _LAST, include_fields="id")
        ids += [row.id for row in rows if row.id]
        if len(rows) < _PAGE:
            return [client.get(log_id) for log_id in ids]
        page += 1


@pytest.fixture
def captured_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[CapturedLogs]:
    """Whatever clients made from now on log, without a server: a `CapturedLogs`.

    Needs the extra ``keywordsai[server]``.

    Raises:
        ConfigurationError: It is not installed.
    """
    # A name, so that all clients of this process have the same memory.
    name = f"keywordsai-captured-{uuid.uuid4().hex}"
    base_url = f"sqlite:///file:{name}?mode=memory&uri=true"
    with LogAPI(base_url=base_url, enabled=True) as client:
        _set_environment(monkeypatch, base_url)
        yield CapturedLogs(client)


@pytest.fixture
def keywordsai_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeywordsAIServer]:
    """A server of its own, in memory, on a free port: a `KeywordsAIServer`.

    Needs the extra ``keywordsai[server]``.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        from keywordsai.server.serving import serve_in_thread  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the fixture keywordsai_server needs {error.name}: install the extra "
            "keywordsai[server]"
        ) from error
    with serve_in_thread(api_key=_KEY) as url:
        server = KeywordsAIServer(url, _KEY)
        _set_environment(monkeypatch, server.base_url, _KEY)
        with server.client:
            yield server


def _set_environment(
    monkeypatch: pytest.MonkeyPatch, base_url: str, api_key: str | None = None
) -> None:
    """Point programs, and those that they start, at a place of the test's own."""
    others = (*API_KEY_VARIABLES, *BASE_URL_VARIABLES)
    for variable in (*others, ENABLED_VARIABLE, _SPOOL_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(BASE_URL_VARIABLES[0], base_url)
    if api_key is not None:
        monkeypatch.setenv(API_KEY_VARIABLES[0], api_key)
        direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
        monkeypatch.setenv("no_proxy", ",".join(filter(None, [direct, "127.0.0.1"])))
