"""A transport without a network, for the tests of programs that log.

One object serves both colours: what `MockTransport.send` gives is a response
that can also be awaited.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, TypeAlias

import attrs

from keywordsai.errors import ClosedError
from keywordsai.transport.base import HTTPRequest, HTTPResponse

__all__ = ["MockTransport"]

Reply: TypeAlias = HTTPResponse | Mapping[str, Any] | list[Any] | int | Exception


@attrs.frozen(kw_only=True, eq=False)
class _MockResponse(HTTPResponse):
    def __await__(self) -> Generator[Any, None, HTTPResponse]:
        return self
        yield  # what makes this a generator, as __await__ has to be


class _Nothing:
    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


class MockTransport:
    """Answers every request by a script, and remembers what was sent.

    Hand it to `LogAPI` as ``transport``; it then serves ``create`` and
    ``acreate`` alike, and waits between attempts take no time.

    Args:
        replies: What to answer: a function of the request; or a list, one for
            each request in turn, the last one from then on. A reply is an
            `HTTPResponse`, a status, a mapping or list (200 with it as JSON), or
            an exception to raise. By default every log
            succeeds, and there are none to read.

    Attributes:
        requests: The `HTTPRequest` of every attempt so far.
        sleeps: The seconds of every wait so far.
        closed: Whether it was closed. A client never closes what it was handed.

    Example:
        >>> from keywordsai import LogAPI
        >>> mock = MockTransport([503, {"message": "log successful"}])
        >>> with LogAPI(api_key="test", transport=mock) as client:
        ...     client.create({"model": "gpt-4"})
        {'message': 'log successful'}
        >>> mock.logs
        [{'model': 'gpt-4'}, {'model': 'gpt-4'}]
    """

    both_colours = True

    def __init__(
        self, replies: Callable[[HTTPRequest], Reply] | Iterable[Reply] | None = None
    ) -> None:
        self._script = [] if replies is None or callable(replies) else list(replies)
        self._reply = replies if callable(replies) else self._next
        self.requests: list[HTTPRequest] = []
        self.sleeps: list[float] = []
        self.closed = False

    @property
    def logs(self) -> list[Any]:
        """The decoded JSON body of every request that had one."""
        return [json.loads(sent.body) for sent in self.requests if sent.body]

    def send(self, request: HTTPRequest) -> _MockResponse:
        """Answer by the script."""
        if self.closed:
            raise ClosedError("this MockTransport was closed; make a new one")
        self.requests.append(request)
        reply = self._reply(request)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, HTTPResponse):
            return _MockResponse(
                status=reply.status, headers=reply.headers, body=reply.body
            )
        if isinstance(reply, int) and not isinstance(reply, bool):
            return _MockResponse(status=reply)
        if not isinstance(reply, Mapping | list):
            raise TypeError(
                "a MockTransport replies with an HTTPResponse, a status, a mapping, a "
                f"list or an exception, not with {type(reply).__name__}"
            )
        answer = reply if isinstance(reply, list) else dict(reply)
        return _MockResponse(status=200, body=json.dumps(answer).encode())

    def sleep(self, seconds: float) -> _Nothing:
        """Remember the wait; take no time."""
        self.sleeps.append(seconds)
        return _Nothing()

    def close(self) -> _Nothing:
        """Refuse further requests."""
        self.closed = True
        return _Nothing()

    def _next(self, request: HTTPRequest) -> Reply:
        if not self._script:
            return _by_default(request)
        return self._script.pop(0) if len(self._script) > 1 else self._script[0]


def _by_default(request: HTTPRequest) -> Reply:
    path = request.url.partition("?")[0].rstrip("/")
    if path.endswith("/list"):
        return {"results": [], "count": 0, "next": None, "previous": None}
    return {"message": "log successful"} if request.method == "POST" else 404
