"""What the server answers, without a network: a request in, an answer out.

`Handler.begin` reads a request and gives either its answer or what to do with
the store; `Operation.answer` makes the answer of what the store gave. Between
the two stands whoever drives: `Handler.handle` does it at once, the web server
waits for a commit that many creates share. Imports neither aiohttp nor a driver.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from urllib.parse import unquote, urlsplit

import attrs

from keywordsai.server.answers import Refusal, answer, to_json
from keywordsai.server.bodies import MAX_BODY, TOO_LARGE, check_log, parse_object
from keywordsai.server.ids import IdSource
from keywordsai.server.query import ListQuery, read_list_query
from keywordsai.server.rows import derived, detail, row
from keywordsai.server.store import Found, NewLog, StoredLog
from keywordsai.server.tables import attributes_of, columns_of
from keywordsai.server.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from keywordsai.transport.base import HTTPRequest, HTTPResponse

__all__ = ["CreateLog", "GetLog", "Handler", "ListLogs", "LogStore", "Operation"]

_BEARER = re.compile(r"Bearer +(\S.*)", re.IGNORECASE)
_READING = ("GET", "HEAD")
_UNKNOWN_KEY = (
    "Your API key is invalid or expired, please check your API key at the "
    "settings of this server"
)


class LogStore(Protocol):
    """What the handler needs of a store; `keywordsai.server.store.Store` is one."""

    def add(self, new: Sequence[NewLog]) -> list[str]:
        """Store logs and give the id that each is stored under."""
        ...

    def find_one(self, log_id: str) -> StoredLog | None:
        """The log of that id, None if there is none."""
        ...

    def find(self, query: ListQuery) -> Found:
        """A page of logs, and how many match."""
        ...


@attrs.frozen(kw_only=True)
class CreateLog:
    """A log is to be stored."""

    log: NewLog

    def answer(self, log_id: str) -> HTTPResponse:
        """The answer once it is committed under that id."""
        return answer(
            201, {"message": "log successful", "unique_id": log_id, "id": log_id}
        )

    def perform(self, store: LogStore) -> HTTPResponse:
        """Store it now, in a transaction of its own."""
        return self.answer(store.add([self.log])[0])


@attrs.frozen(kw_only=True)
class GetLog:
    """One log is asked for."""

    log_id: str

    def perform(self, store: LogStore) -> HTTPResponse:
        """Read it, with what was sent beside it."""
        found = store.find_one(self.log_id)
        if found is None:
            return Refusal(404, "Log not found").response()
        body = json.loads(found.body)
        shown = detail(found.body, body, log_id=found.id, timestamp=found.timestamp)
        return answer(200, shown)


@attrs.frozen(kw_only=True)
class ListLogs:
    """A page of logs is asked for."""

    query: ListQuery

    def perform(self, store: LogStore) -> HTTPResponse:
        """Read the page."""
        query = self.query
        found = store.find(query)
        more = query.offset + len(found.logs) < found.count and bool(found.logs)
        links = {
            "count": found.count,
            "next": query.link(query.page + 1) if more else None,
            "previous": query.link(query.page - 1) if query.page > 1 else None,
        }
        # Row by row, so that never more than one body is held as objects.
        rows = b", ".join(self._row(log) for log in found.logs)
        return answer(200, to_json(links)[:-1] + b', "results": [' + rows + b"]}")

    def _row(self, log: StoredLog) -> bytes:
        full = row(json.loads(log.body), log_id=log.id, timestamp=log.timestamp)
        wanted = self.query.include_fields
        if wanted is not None:
            full = {name: value for name, value in full.items() if name in wanted}
        return to_json(full)


Operation: TypeAlias = CreateLog | GetLog | ListLogs


@attrs.frozen
class _Route:
    """Where a path leads: an endpoint, its methods, the id in the path."""

    endpoint: str
    methods: tuple[str, ...]
    log_id: str = ""


def _route(path: str) -> _Route | None:
    """Find the endpoint, with ``/api`` before it or not, ``/`` after it or not."""
    if path.startswith("/api/"):
        path = path.removeprefix("/api")
    path = path.removesuffix("/")
    if path == "/healthz":
        return _Route("health", _READING)
    if path == "/request-logs/create":
        return _Route("create", ("POST",))
    if path == "/request-logs/list":
        return _Route("list", (*_READING, "POST"))
    one = re.fullmatch(r"/request-logs/([^/]+)", path)
    return None if one is None else _Route("get", _READING, unquote(one[1]))


def _header(headers: Mapping[str, str], name: str) -> str:
    for key, value in headers.items():
        if key.lower() == name:
            return value
    return ""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _now() -> int:
    return time.time_ns() // 1000


@attrs.frozen(kw_only=True)
class Handler:
    """Answers requests.

    Attributes:
        api_key: The one key taken, None for any.
        new_id: Gives a new id at every call.
        now: Gives the present instant, microseconds since 1970.
    """

    api_key: str | None = attrs.field(default=None, repr=False)
    new_id: Callable[[], str] = attrs.field(factory=IdSource, repr=False)
    now: Callable[[], int] = attrs.field(default=_now, repr=False)

    def handle(self, request: HTTPRequest, store: LogStore) -> HTTPResponse:
        """Answer a request, start to end.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The store failed.
        """
        begun = self.begin(request)
        if isinstance(begun, CreateLog | GetLog | ListLogs):
            return begun.perform(store)
        return begun

    def refusal(self, request: HTTPRequest) -> HTTPResponse | None:
        """What is wrong with a request that its body cannot put right, if any."""
        try:
            self._enter(request)
        except Refusal as refusal:
            return refusal.response()
        return None

    def begin(self, request: HTTPRequest) -> HTTPResponse | Operation:
        """Read a request: its answer, or the operation that leads to one."""
        try:
            route, key = self._enter(request)
            return self._begin(route, key, request)
        except Refusal as refusal:
            return refusal.response()

    def _begin(
        self, route: _Route, key: bytes, request: HTTPRequest
    ) -> HTTPResponse | Operation:
        if route.endpoint == "health":
            return answer(200, {"status": "ok"})
        if route.endpoint == "get":
            return GetLog(log_id=route.log_id.replace("-", "").lower())
        body = request.body or b""
        if len(body) > MAX_BODY:
            raise Refusal(413, TOO_LARGE)
        if route.endpoint == "list":
            return self._begin_list(request.method, request.url, body)
        return self._begin_create(body, request.headers, key)

    def _enter(self, request: HTTPRequest) -> tuple[_Route, bytes]:
        """Find where the request leads, and sign its sender in."""
        try:
            route = _route(urlsplit(request.url).path)
        except ValueError:
            raise Refusal(400, "Invalid request URL") from None
        if route is None:
            raise Refusal(404, "Not found")
        if request.method not in route.methods:
            raise Refusal(
                405,
                f"Method {request.method[:20]!r} not allowed",
                headers={"Allow": ", ".join(route.methods)},
            )
        if route.endpoint == "health":
            return route, b""
        return route, self._sign_in(request.headers)

    def _sign_in(self, headers: Mapping[str, str]) -> bytes:
        given = _BEARER.fullmatch(_header(headers, "authorization").strip())
        key = _bytes(given[1]) if given else b""
        right = self.api_key is None or hmac.compare_digest(key, _bytes(self.api_key))
        if not key or not right:
            raise Refusal(401, _UNKNOWN_KEY, headers={"WWW-Authenticate": "Bearer"})
        return key

    def _begin_list(self, method: str, url: str, raw: bytes) -> ListLogs:
        asked: dict[str, Any] = {}
        if method == "POST" and raw.strip():
            asked = parse_object(raw)[1]
        return ListLogs(query=read_list_query(url, asked, now=self.now()))

    def _begin_create(
        self, raw: bytes, headers: Mapping[str, str], key: bytes
    ) -> CreateLog:
        text, body = parse_object(raw)
        check_log(body)
        log_id, now = self.new_id(), self.now()
        sent = parse_time(body.get("timestamp"))
        timestamp = now if sent is None else sent
        full = derived(body, log_id=log_id, timestamp=timestamp)
        token = _header(headers, "idempotency-key").strip()
        return CreateLog(
            log=NewLog(
                id=log_id,
                created=now,
                timestamp=timestamp,
                body=text,
                columns=columns_of(full),
                attributes=attributes_of(full),
                idempotency=_digest(key, token) if token else None,
            )
        )


def _digest(key: bytes, token: str) -> str:
    """One text for an account's idempotency key; neither can be had back from it."""
    account = hashlib.sha256(key).digest()
    return hashlib.sha256(account + _bytes(token)).hexdigest()
