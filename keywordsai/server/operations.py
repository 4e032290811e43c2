"""What a request wants of the store, and the answer made of what the store gave.

An operation is a value: `keywordsai.server.handler` makes it of a request, and
whoever drives performs it, or gives a create what it was committed under. Imports
neither aiohttp nor a driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import attrs

from keywordsai.server.aggregates import Figures, Overview
from keywordsai.server.answers import Refusal, answer, to_json
from keywordsai.server.intake import changed
from keywordsai.server.newlogs import NewLog, PostedLog
from keywordsai.server.query import ListQuery, Selection
from keywordsai.server.rows import detail, row
from keywordsai.server.store import BriefLog, Found, StoredLog
from keywordsai.transport.base import HTTPResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "BATCH",
    "BULK",
    "BulkForm",
    "ChangeLog",
    "CreateLog",
    "CreateLogs",
    "GetLog",
    "ListLogs",
    "LogStore",
    "Operation",
    "RemoveLog",
    "SummarizeLogs",
]


class LogStore(Protocol):
    """What the handler needs of a store; `keywordsai.server.store.Store` is one."""

    def add_posted(self, posted: Sequence[PostedLog]) -> list[str]:
        """Store logs and give the id that each is stored under."""
        ...

    def find_one(self, log_id: str) -> StoredLog | None:
        """The log of that id, None if there is none."""
        ...

    def find(self, query: ListQuery) -> Found:
        """A page of logs, and how many match."""
        ...

    def brief(
        self, selection: Selection, *, before: str | None, after: str | None, limit: int
    ) -> Sequence[BriefLog]:
        """The newest logs, in brief."""
        ...

    def summarize(self, selection: Selection) -> Figures:
        """Sums and means over logs."""
        ...

    def change(self, log_id: str, edit: Callable[[StoredLog], NewLog]) -> bool:
        """Store what is made of a log in its place; whether there is such a log."""
        ...

    def remove(self, log_id: str) -> bool:
        """Remove a log; whether there was such a log."""
        ...

    def overview(self, selection: Selection, *, step: int) -> Overview:
        """Figures over logs by time and by what they share."""
        ...


@attrs.frozen(kw_only=True)
class CreateLog:
    """A log is to be stored."""

    log: PostedLog

    def answer(self, log_id: str) -> HTTPResponse:
        """The answer once it is committed under that id."""
        return answer(
            201, {"message": "log successful", "unique_id": log_id, "id": log_id}
        )

    def perform(self, store: LogStore) -> HTTPResponse:
        """Store it now, in a transaction of its own."""
        return self.answer(store.add_posted([self.log])[0])


@attrs.frozen(kw_only=True)
class BulkForm:
    """One of the two forms in which many logs are sent at once.

    Attributes:
        most_logs: Of one request.
        payload: Makes the answer of the ids of the logs that were stored, and of
            each of the others its place and what is wrong.
    """

    most_logs: int
    payload: Callable[[Sequence[str], Sequence[Mapping[str, Any]]], dict[str, Any]]


def _counts(ids: Sequence[str], errors: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "success_count": len(ids),
        "error_count": len(errors),
        "errors": list(errors),
    }


def _results(ids: Sequence[str], errors: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    wrong = {error["index"]: error for error in errors}
    stored = iter(ids)
    return {
        "results": [
            {"index": index, "status": "error", "error": wrong[index]["error"]}
            if index in wrong
            else {"id": next(stored), "status": "success"}
            for index in range(len(ids) + len(errors))
        ]
    }


BULK = BulkForm(most_logs=500, payload=_counts)
"""The newer form, which counts."""

BATCH = BulkForm(most_logs=5000, payload=_results)
"""The older form, which tells of every log."""


@attrs.frozen(kw_only=True)
class CreateLogs:
    """The logs of a bulk are to be stored, all of them or none.

    Attributes:
        logs: Those that can be stored, at least one.
        errors: Of each of the others its place in the bulk and what is wrong.
        form: The form of the answer.
    """

    logs: Sequence[PostedLog]
    errors: Sequence[Mapping[str, Any]]
    form: BulkForm

    def answer(self, ids: Sequence[str]) -> HTTPResponse:
        """The answer once they are committed, each under its id."""
        return answer(201, self.form.payload(ids, self.errors))

    def perform(self, store: LogStore) -> HTTPResponse:
        """Store them now, in a transaction of their own."""
        return self.answer(store.add_posted(self.logs))


def _unknown() -> HTTPResponse:
    return Refusal(404, "Log not found").response()


@attrs.frozen(kw_only=True)
class GetLog:
    """One log is asked for."""

    log_id: str

    def perform(self, store: LogStore) -> HTTPResponse:
        """Read it, with what was sent beside it."""
        found = store.find_one(self.log_id)
        return _unknown() if found is None else answer(200, detail(found))


@attrs.frozen(kw_only=True)
class ChangeLog:
    """Fields of a log are to have other values.

    Attributes:
        log_id: Its id.
        asked: The changes, checked.
    """

    log_id: str
    asked: dict[str, Any] = attrs.field(repr=False)

    def perform(self, store: LogStore) -> HTTPResponse:
        """Change it, and read it."""
        if self.asked and not store.change(self.log_id, self._edit):
            return _unknown()
        return GetLog(log_id=self.log_id).perform(store)

    def _edit(self, log: StoredLog) -> NewLog:
        return changed(log, self.asked)


@attrs.frozen(kw_only=True)
class RemoveLog:
    """A log is to be removed."""

    log_id: str

    def perform(self, store: LogStore) -> HTTPResponse:
        """Remove it."""
        return HTTPResponse(status=204) if store.remove(self.log_id) else _unknown()


@attrs.frozen(kw_only=True)
class SummarizeLogs:
    """Sums and means over many logs are asked for."""

    selection: Selection

    def perform(self, store: LogStore) -> HTTPResponse:
        """Work them out."""
        figures = store.summarize(self.selection)
        summary: dict[str, Any] = {
            "number_of_requests": figures.requests,
            "total_cost": figures.cost,
            "total_tokens": figures.tokens,
            "total_prompt_tokens": figures.prompt_tokens,
            "total_completion_tokens": figures.completion_tokens,
            "avg_latency": figures.latency,
            "avg_tps": figures.tokens_per_second,
            "avg_ttft": figures.time_to_first_token,
            "scores": {},
        }
        return answer(200, summary)


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
        full = row(log)
        wanted = self.query.include_fields
        if wanted is not None:
            full = {name: value for name, value in full.items() if name in wanted}
        return to_json(full)


Operation: TypeAlias = (
    CreateLog | CreateLogs | GetLog | ListLogs | SummarizeLogs | ChangeLog | RemoveLog
)
