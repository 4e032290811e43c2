"""What the server answers, without a network: a request in, an answer out.

`Handler.begin` reads a request and gives either its answer or what to do with
the store; `Operation.answer` makes the answer of what the store gave. Between
the two stands whoever drives: `Handler.handle` does it at once, the web server
waits for a commit that many creates share. Imports neither aiohttp nor a driver.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import attrs

from keywordsai.server.answers import Refusal, answer, disk_full
from keywordsai.server.bodies import (
    BULK_BODY,
    LOG_BODY,
    BodyLimit,
    check_log,
    parse_object,
)
from keywordsai.server.bulk import read_bulk
from keywordsai.server.headers import header
from keywordsai.server.ids import IdSource
from keywordsai.server.operations import (
    CreateLog,
    CreateLogs,
    GetLog,
    ListLogs,
    LogStore,
    Operation,
    counts,
)
from keywordsai.server.query import read_list_query
from keywordsai.server.rows import derived
from keywordsai.server.signin import is_known
from keywordsai.server.store import NewLog, StoreFull
from keywordsai.server.tables import attributes_of, columns_of
from keywordsai.server.times import parse_time
from keywordsai.transport.base import HTTPRequest, HTTPResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Handler"]

_BEARER = re.compile(r"Bearer +(\S.*)", re.IGNORECASE)
_READING = ("GET", "HEAD")
_UNKNOWN_KEY = (
    "Your API key is invalid or expired, please check your API key at the "
    "settings of this server"
)


@attrs.frozen
class _Route:
    """Where a path leads: an endpoint, its methods, its bodies, the id in the path."""

    endpoint: str
    methods: tuple[str, ...]
    log_id: str = ""
    limit: BodyLimit = LOG_BODY


def _route(path: str) -> _Route | None:
    """Find the endpoint, with ``/api`` before it or not, ``/`` after it or not."""
    if path.startswith("/api/"):
        path = path.removeprefix("/api")
    path = path.removesuffix("/")
    if path == "/healthz":
        return _Route("health", _READING)
    if path == "/request-logs/create":
        return _Route("create", ("POST",))
    if path == "/request-logs/bulk":
        return _Route("bulk", ("POST",), limit=BULK_BODY)
    if path == "/request-logs/list":
        return _Route("list", (*_READING, "POST"))
    one = re.fullmatch(r"/request-logs/([^/]+)", path)
    return None if one is None else _Route("get", _READING, unquote(one[1]))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _now() -> int:
    return time.time_ns() // 1000


@attrs.frozen(kw_only=True)
class Handler:
    """Answers requests.

    Attributes:
        api_keys: The keys taken; without any, every key that is not empty.
        new_id: Gives a new id at every call.
        now: Gives the present instant, microseconds since 1970.
    """

    api_keys: Sequence[str] = attrs.field(default=(), repr=False)
    new_id: Callable[[], str] = attrs.field(factory=IdSource, repr=False)
    now: Callable[[], int] = attrs.field(default=_now, repr=False)

    def handle(self, request: HTTPRequest, store: LogStore) -> HTTPResponse:
        """Answer a request, start to end.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The store failed.
        """
        begun = self.begin(request)
        try:
            return begun if isinstance(begun, HTTPResponse) else begun.perform(store)
        except StoreFull:
            return disk_full()

    def admit(self, request: HTTPRequest) -> HTTPResponse | BodyLimit:
        """Look at a request without its body: how large that may be, or a refusal."""
        try:
            return self._enter(request)[0].limit
        except Refusal as refusal:
            return refusal.response()

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
        if len(body) > route.limit.size:
            raise route.limit.refusal()
        if route.endpoint == "list":
            return self._begin_list(request.method, request.url, body)
        token = header(request.headers, "idempotency-key").strip()
        if route.endpoint == "bulk":
            return self._begin_bulk(body, key, token)
        return self._begin_create(body, key, token)

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
        given = _BEARER.fullmatch(header(headers, "authorization").strip())
        key = _bytes(given[1]) if given else b""
        right = not self.api_keys or is_known(key, self.api_keys)
        if not key or not right:
            raise Refusal(401, _UNKNOWN_KEY, headers={"WWW-Authenticate": "Bearer"})
        return key

    def _begin_list(self, method: str, url: str, raw: bytes) -> ListLogs:
        asked: dict[str, Any] = {}
        if method == "POST" and raw.strip():
            asked = parse_object(raw)[1]
        return ListLogs(query=read_list_query(url, asked, now=self.now()))

    def _begin_create(self, raw: bytes, key: bytes, token: str) -> CreateLog:
        text, body = parse_object(raw)
        check_log(body)
        return CreateLog(log=self._new_log(text, body, _digest(key, token)))

    def _begin_bulk(self, raw: bytes, key: bytes, token: str) -> CreateLogs:
        accepted: list[NewLog] = []
        errors: list[dict[str, Any]] = []
        places = zip(read_bulk(raw), _digests(key, token), strict=False)
        for index, (entry, digest) in enumerate(places):
            if entry.problem:
                errors.append({"index": index, "error": entry.problem})
            else:
                accepted.append(self._new_log(entry.text, entry.body, digest))
        if not accepted:
            raise Refusal(400, "None of the logs was accepted", **counts(0, errors))
        return CreateLogs(logs=accepted, errors=errors)

    def _new_log(self, text: str, body: dict[str, Any], digest: str | None) -> NewLog:
        """Make a log that has been checked ready to be stored."""
        log_id, now = self.new_id(), self.now()
        sent = parse_time(body.get("timestamp"))
        timestamp = now if sent is None else sent
        full = derived(body, log_id=log_id, timestamp=timestamp)
        return NewLog(
            id=log_id,
            created=now,
            timestamp=timestamp,
            body=text,
            columns=columns_of(full),
            attributes=attributes_of(full),
            idempotency=digest,
        )


def _digest(key: bytes, token: str) -> str | None:
    """One text for an account's idempotency key; neither can be had back from it."""
    if not token:
        return None
    account = hashlib.sha256(key).digest()
    return hashlib.sha256(account + _bytes(token)).hexdigest()


def _digests(key: bytes, token: str) -> Iterator[str | None]:
    """The like for every place in a bulk: never what a single log has of that key.

    They differ at their end, so that in an index they are neighbours.
    """
    if not token:
        return itertools.repeat(None)
    account = hashlib.sha256(key).digest()
    bulk = hmac.digest(account, b"bulk " + _bytes(token), "sha256").hex()
    return (f"{bulk[:-4]}{index:04x}" for index in itertools.count())
