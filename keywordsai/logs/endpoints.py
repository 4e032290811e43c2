"""Every operation as a request to send and a way to read its response: pure.

The facade only chooses who sends: nothing here touches the network, so that an
operation is the same in both colours.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import attrs

from keywordsai._excerpt import cut
from keywordsai._version import version
from keywordsai.errors import ConfigurationError, InvalidLogError, ProtocolError
from keywordsai.logs.answers import Log, LogPage
from keywordsai.logs.schema import LogParams
from keywordsai.logs.serialization import decode_json, encode_json, encode_log
from keywordsai.settings import Settings
from keywordsai.transport.base import HTTPRequest, HTTPResponse

__all__ = ["Call", "Endpoints", "blocks"]

T = TypeVar("T")
_SUCCESS = "log successful"
_LONGEST_KEY = 255


@attrs.frozen(eq=False)
class Call(Generic[T]):
    """One operation: what to send, and what its response means."""

    request: HTTPRequest
    read: Callable[[HTTPResponse], T]


@attrs.frozen(eq=False)
class Endpoints:
    """The operations of one client. Its ``repr`` holds no key."""

    settings: Settings

    @functools.cached_property
    def _headers(self) -> dict[str, str]:
        """What every request carries, so that both libraries send the same."""
        given = self.settings.headers
        replaced = {name.lower() for name in given}
        defaults = {
            "User-Agent": f"keywordsai-python/{version()}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
        }
        return {
            **{
                name: defaults[name]
                for name in defaults
                if name.lower() not in replaced
            },
            **given,
            "Authorization": f"Bearer {self.settings.api_key.reveal()}",
        }

    @functools.cached_property
    def _headers_with_body(self) -> dict[str, str]:
        return {**self._headers, "Content-Type": "application/json"}

    def create(
        self, log: Mapping[str, Any] | LogParams, idempotency_key: str | None
    ) -> Call[dict[str, Any]]:
        """Log one call. The body is made here, once, for every attempt."""
        body = self.encode(log, idempotency_key)
        return Call(
            self.post_log(body, idempotency_key or _random_uuid()), read_created
        )

    def encode(
        self, log: Mapping[str, Any] | LogParams, idempotency_key: str | None
    ) -> bytes:
        """Check a log and its key, and make the log's bytes."""
        body = encode_log(log, strict=self.settings.strict)
        if idempotency_key is not None:
            _check_key(idempotency_key)
        return body

    def post_log(self, body: bytes, key: str) -> HTTPRequest:
        """The request that logs one call, of its bytes."""
        return self._post("/request-logs/create/", body, key)

    def post_logs(self, bodies: Sequence[bytes], key: str) -> HTTPRequest:
        """The request that logs many calls, of their bytes."""
        body = b'{"logs":[' + b",".join(bodies) + b"]}"
        return self._post("/request-logs/bulk/", body, key)

    def list(
        self, *, filters: Mapping[str, Any] | None, query: Mapping[str, Any]
    ) -> Call[LogPage]:
        """Read a page of logs: filters by POST, everything else in the query."""
        given = {name: value for name, value in query.items() if value is not None}
        text = urlencode({name: _query(name, value) for name, value in given.items()})
        path = f"/request-logs/list/{'?' if text else ''}{text}"
        if filters is None:
            return Call(self._get(path), read_page)
        if not isinstance(filters, Mapping):
            raise ConfigurationError(
                "filters must be a mapping of fields to conditions, such as "
                "{'cost': {'operator': 'gt', 'value': [0.01]}}, "
                f"got {type(filters).__name__}"
            )
        try:
            body = encode_json({"filters": filters})
        except InvalidLogError as error:
            raise ConfigurationError(str(error)) from None
        return Call(self._post(path, body), read_page)

    def get(self, log_id: str) -> Call[Log]:
        """Read one log."""
        if not isinstance(log_id, str) or not log_id.strip("./"):
            raise ConfigurationError(
                "log_id must be the id or unique_id of a log, a text that is not empty"
            )
        try:
            path = f"/request-logs/{quote(log_id, safe='')}/"
        except UnicodeEncodeError:
            raise ConfigurationError("log_id is no valid text") from None
        return Call(self._get(path), read_log)

    def _get(self, path: str) -> HTTPRequest:
        return HTTPRequest(
            method="GET",
            url=self.settings.api_url + path,
            headers=self._headers,
            timeout=self.settings.timeout,
        )

    def _post(self, path: str, body: bytes, key: str | None = None) -> HTTPRequest:
        headers = dict(self._headers_with_body)
        if key is not None:
            headers["Idempotency-Key"] = key
        return HTTPRequest(
            method="POST",
            url=self.settings.api_url + path,
            headers=headers,
            body=body,
            timeout=self.settings.timeout,
        )


def blocks(log: Any, *, default: bool) -> bool:
    """Whether to wait for the service's answer: the log's own word, else the default.

    The key is the service's own, and is sent as it is; what is wrong with it is told
    when the log is checked.
    """
    if isinstance(log, LogParams):
        controls: Any = log.keywordsai_api_controls
    elif isinstance(log, Mapping):
        controls = log.get("keywordsai_api_controls")
    else:
        return default
    if controls is None:
        return default
    if isinstance(controls, Mapping):
        block = controls.get("block")
    else:
        block = getattr(controls, "block", None)
    return block if isinstance(block, bool) else default


def read_created(response: HTTPResponse) -> dict[str, Any]:
    """The decoded object as it came; any 2xx is a success, whatever it holds."""
    try:
        answer = decode_json(response.body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return {"message": _SUCCESS}
    answer.setdefault("message", _SUCCESS)
    return answer


def read_page(response: HTTPResponse) -> LogPage:
    """A page; the service has been seen to answer a bare list of rows too."""
    answer = _decoded(response)
    if isinstance(answer, list):
        answer = {"results": answer}
    rows = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        raise _unexpected("a list of logs")
    count = answer.get("count")
    return LogPage(
        results=[Log.from_row(row) for row in rows if isinstance(row, dict)],
        count=count if isinstance(count, int) else len(rows),
        next=answer.get("next"),
        previous=answer.get("previous"),
    )


def read_log(response: HTTPResponse) -> Log:
    """One log, as it was sent and changed where the server says so.

    Our own does, under ``as_sent`` and ``as_changed``.
    """
    row = _decoded(response)
    if not isinstance(row, dict):
        raise _unexpected("a log")
    sent = row.pop("as_sent", None)
    if not isinstance(sent, dict):
        return Log.from_row(row)
    changed = row.pop("as_changed", None)
    return Log.from_row(
        row, sent=sent, changed=changed if isinstance(changed, dict) else ()
    )


def _decoded(response: HTTPResponse) -> Any:
    try:
        return decode_json(response.body)
    except ValueError:
        raise _unexpected("JSON") from None


def _unexpected(wanted: str) -> ProtocolError:
    return ProtocolError(
        f"the answer is not {wanted}; is base_url that of the API?", request_sent=True
    )


def _query(name: str, value: Any) -> str:
    """A query parameter's value as the service reads it."""
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(_query(name, item) for item in value)
    try:
        text = encode_json(value).decode()
        plain = decode_json(text.encode())
        if isinstance(plain, str):
            plain.encode()  # the query is UTF-8
            return plain
    except (InvalidLogError, UnicodeEncodeError):
        plain = None
    if isinstance(plain, int | float):  # or a bool: true and false, as in JSON
        return text
    raise ConfigurationError(
        f"{cut(name)} must be text, a number, a bool, a datetime or a list of these; "
        "conditions go into filters="
    )


def _random_uuid() -> str:
    """The text of a random UUID (version 4), in a fifth of the time of `uuid4`."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return (
        f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-"
        f"{variant}{digits[17:20]}-{digits[20:]}"
    )


def _check_key(key: Any) -> None:
    valid = isinstance(key, str) and key.isascii() and key.isprintable()
    if not valid or not key.strip() or len(key) > _LONGEST_KEY:
        raise ConfigurationError(
            "idempotency_key must be printable ASCII text of 1 to 255 characters"
        )
