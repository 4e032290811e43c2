"""What the server answers, without a network: a request in, an answer out.

`Handler.begin` reads a request and gives either its answer or what to do with
the store; `Operation.answer` makes the answer of what the store gave. Between
the two stands whoever drives: `Handler.handle` does it at once, the web server
waits for a commit that many creates share. Imports neither aiohttp nor a driver.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

from keywordsai.server.answers import Refusal, answer, disk_full
from keywordsai.server.bodies import BodyLimit, parse_object
from keywordsai.server.bulk import read_bulk
from keywordsai.server.changes import check_changes
from keywordsai.server.headers import bearer, header
from keywordsai.server.intake import Intake, digest_of, digests_of
from keywordsai.server.openapi import described
from keywordsai.server.operations import (
    BATCH,
    BULK,
    BulkForm,
    ChangeLog,
    CreateLog,
    CreateLogs,
    GetLog,
    ListLogs,
    LogStore,
    Operation,
    RemoveLog,
    SummarizeLogs,
)
from keywordsai.server.query import ListQuery, read_list_query
from keywordsai.server.routes import Route, find_route
from keywordsai.server.signin import is_known
from keywordsai.server.store import StoreFull
from keywordsai.server.validation import check_log
from keywordsai.transport.base import HTTPRequest, HTTPResponse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from keywordsai.server.newlogs import PostedLog

__all__ = ["Admission", "Handler"]

_ID = re.compile("[0-9a-f]{32}")
_UNKNOWN_KEY = (
    "Your API key is invalid or expired, please check your API key at the "
    "settings of this server"
)
_FORMS = {"bulk": BULK, "batch": BATCH}


@attrs.frozen
class Admission:
    """A request that may come in.

    Attributes:
        route: Where it leads.
        log_id: The log that its path names; empty where it names none.
        key: The API key that it came with.
    """

    route: Route
    log_id: str
    key: bytes = attrs.field(repr=False)

    @property
    def limit(self) -> BodyLimit:
        """How large its body may be."""
        return self.route.limit


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        raise Refusal(400, "Invalid request URL") from None


@attrs.frozen(kw_only=True)
class Handler:
    """Answers requests.

    Attributes:
        api_keys: The keys taken; without any, every key that is not empty.
        intake: Gives what was posted its id and its instant.
        window: How far back a list goes that names no start, microseconds; None
            for all logs.
    """

    api_keys: Sequence[str] = attrs.field(default=(), repr=False)
    intake: Intake = attrs.field(factory=Intake)
    window: int | None = None

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

    def admit(
        self, method: str, path: str, headers: Mapping[str, str]
    ) -> HTTPResponse | Admission:
        """Look at a request without its body: a refusal, or where it leads."""
        try:
            return self._enter(method, path, headers)
        except Refusal as refusal:
            return refusal.response()

    def begin(
        self, request: HTTPRequest, admission: Admission | None = None
    ) -> HTTPResponse | Operation:
        """Read a request: its answer, or the operation that leads to one.

        Args:
            request: The request.
            admission: What `admit` gave for it, if that was asked before.
        """
        try:
            if admission is None:
                path = _path(request.url)
                admission = self._enter(request.method, path, request.headers)
            return self._begin(admission, request)
        except Refusal as refusal:
            return refusal.response()

    def _begin(
        self, admission: Admission, request: HTTPRequest
    ) -> HTTPResponse | Operation:
        route, log_id, key = admission.route, admission.log_id, admission.key
        endpoint = route.endpoints[request.method]
        body = request.body or b""
        if len(body) > route.limit.size:
            raise route.limit.refusal()
        token = header(request.headers, "idempotency-key").strip()
        if endpoint == "create":
            return self._begin_create(body, digest_of(key, token))
        if endpoint in _FORMS:
            return self._begin_bulk(_FORMS[endpoint], body, key, token)
        if endpoint == "list":
            return ListLogs(query=self._query(request))
        if endpoint == "summary":
            return SummarizeLogs(selection=self._query(request).selection)
        if endpoint == "get":
            return GetLog(log_id=log_id)
        if endpoint == "change":
            return self._begin_change(log_id, body)
        if endpoint == "remove":
            return RemoveLog(log_id=log_id)
        if endpoint == "describe":
            return answer(200, described())
        return answer(200, {"status": "ok"})

    def _enter(self, method: str, path: str, headers: Mapping[str, str]) -> Admission:
        """Find where the request leads, and sign its sender in."""
        found = find_route(path)
        if found is None:
            raise Refusal(404, "Not found")
        route, log_id = found
        if method not in route.endpoints:
            raise Refusal(
                405,
                f"Method {method[:20]!r} not allowed",
                headers={"Allow": ", ".join(route.methods)},
            )
        key = self._sign_in(headers) if route.needs_key else b""
        log_id = log_id.replace("-", "").lower()
        if log_id and _ID.fullmatch(log_id) is None:
            raise Refusal(404, "Log not found")
        return Admission(route, log_id, key)

    def _sign_in(self, headers: Mapping[str, str]) -> bytes:
        key = bearer(headers)
        right = not self.api_keys or is_known(key, self.api_keys)
        if not key or not right:
            raise Refusal(401, _UNKNOWN_KEY, headers={"WWW-Authenticate": "Bearer"})
        return key

    def _query(self, request: HTTPRequest) -> ListQuery:
        asked: dict[str, Any] = {}
        if request.method == "POST" and request.body and request.body.strip():
            asked = parse_object(request.body)[1]
        now = self.intake.now()
        return read_list_query(request.url, asked, now=now, window=self.window)

    def _begin_create(self, raw: bytes, digest: str | None) -> CreateLog:
        text, body = parse_object(raw)
        check_log(body)
        return CreateLog(log=self.intake.posted(text, digest))

    def _begin_bulk(
        self, form: BulkForm, raw: bytes, key: bytes, token: str
    ) -> CreateLogs:
        accepted: list[PostedLog] = []
        errors: list[dict[str, Any]] = []
        entries = read_bulk(raw, most=form.most_logs)
        places = zip(entries, digests_of(key, token), strict=False)
        for index, (entry, digest) in enumerate(places):
            if entry.problem:
                errors.append({"index": index, "error": entry.problem})
            else:
                accepted.append(self.intake.posted(entry.text, digest))
        if not accepted:
            none = form.payload([], errors)
            raise Refusal(400, "None of the logs was accepted", **none)
        return CreateLogs(logs=accepted, errors=errors, form=form)

    def _begin_change(self, log_id: str, raw: bytes) -> ChangeLog:
        asked = parse_object(raw)[1]
        check_changes(asked)
        return ChangeLog(log_id=log_id, asked=asked)
