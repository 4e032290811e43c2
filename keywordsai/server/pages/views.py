"""What the page answers, without a network: a request in, HTML out.

`Pages` is mounted by `keywordsai.server.site`, which has signed the reader in and
says how browsers must treat the answer. Imports neither aiohttp nor a driver.
"""

from __future__ import annotations

import re
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

import attrs

from keywordsai.server.answers import Refusal
from keywordsai.server.bodies import read_json
from keywordsai.server.indexing import MARK
from keywordsai.server.pages.assets import asset, asset_url
from keywordsai.server.pages.charts import charts_of
from keywordsai.server.pages.conversation import FIRST, conversation_of
from keywordsai.server.pages.details import details_of, link_to
from keywordsai.server.pages.filters import (
    FIELDS,
    WINDOWS,
    Filters,
    canonical,
    read_filters,
)
from keywordsai.server.pages.rendering import render
from keywordsai.server.pages.shown import Cut, cut, cut_json, lay_out
from keywordsai.server.query import Condition, Selection
from keywordsai.server.rows import full_log
from keywordsai.transport.base import HTTPRequest, HTTPResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from keywordsai.server.pages.source import PageStore, Viewer
    from keywordsai.server.store import BriefLog

__all__ = ["Pages"]

_ROWS = 100  # logs on one page
_RELATED = 12  # logs of a thread or a trace
_LONGEST_RAW = 200_000  # characters of JSON within a page
_MOST_GROUPS = 50
_LONGEST_SAID = 4_000  # characters of an error or a warning
_ID = re.compile(r"/logs/([0-9A-Za-z-]{1,40})(/raw)?/?")
_STEPS = (  # seconds that a column of a chart may stand for
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800),
    *(21600, 43200, 86400, 2 * 86400, 7 * 86400, 30 * 86400, 365 * 86400),
)
_MOST_COLUMNS = 60
_FIGURES = (
    *("latency", "time_to_first_token", "total_request_tokens"),
    *("prompt_tokens", "completion_tokens", "cost"),
)
_SECOND = 1_000_000  # microseconds
_SANDBOX = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
}


def _now() -> int:
    return time.time_ns() // 1000


@attrs.frozen(kw_only=True)
class Pages:
    """Answers requests for pages.

    Attributes:
        now: Gives the present instant, microseconds since 1970.
    """

    now: Callable[[], int] = attrs.field(default=_now, repr=False)

    def handle(
        self, request: HTTPRequest, store: PageStore, *, session: Viewer
    ) -> HTTPResponse:
        """Answer a GET or HEAD of a page, for whom may see it.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The store failed.
        """
        parts = urlsplit(request.url)
        path = parts.path.removesuffix("/") or "/"
        common: dict[str, Any] = {"path": path, "session": session, "query": ""}
        try:
            if path.startswith("/_static/"):
                return asset(path) or _missing(common)
            if path == "/favicon.ico":
                return _redirect(asset_url("icon.svg"))
            if path == "/sign-in":
                return render("sign_in.html", **common)
            one = _ID.fullmatch(path)
            if path not in ("/", "/logs", "/overview") and one is None:
                return _missing(common)
            if one is not None and one[2]:
                return _raw(store, _id(one[1]), common)
            shortest = canonical(parts.query)
            if shortest is not None:
                return _redirect(f"{path}{shortest}")
            if one is not None:
                return self._log(store, _id(one[1]), parts.query, common)
            if path == "/overview":
                return self._overview(store, parts.query, common)
            base = f"{parts.scheme}://{parts.netloc}"
            return self._logs(store, parts.query, common, base)
        except Refusal as refusal:
            return render(
                "error.html",
                status=refusal.status,
                title="This filter cannot be used",
                message=str(refusal),
                advice="Correct the address, or start again without filters.",
                **common,
            )

    def failure(
        self, request: HTTPRequest, status: int, *, session: Viewer
    ) -> HTTPResponse:
        """The page that says that another cannot be made now."""
        later = status == HTTPStatus.SERVICE_UNAVAILABLE
        return render(
            "error.html",
            status=status,
            title="This page cannot be shown now",
            message="The server's database cannot be used now."
            if later
            else "The server failed, and its own log says why.",
            advice="Reload this page in a moment." if later else "Go on from the logs.",
            path=urlsplit(request.url).path,
            session=session,
            query="",
        )

    def _logs(
        self, store: PageStore, query: str, common: dict[str, Any], base: str
    ) -> HTTPResponse:
        filters = read_filters(query, now=self.now())
        common["query"] = filters.query()
        found = list(
            store.brief(
                filters.selection,
                before=filters.before or None,
                after=filters.after or None,
                limit=_ROWS + 1,
            )
        )
        more = len(found) > _ROWS
        if more and filters.after:
            found = found[1:]
        rows = found[:_ROWS]
        if "rows=1" in query.split("&"):
            return render("rows.html", rows=rows, query=filters.query())
        newest = not filters.before and not (filters.after and more)
        if filters.after and not more:  # the first page, be it not full
            return _redirect(f"{common['path']}{filters.query()}")
        older = more or bool(filters.after)
        return render(
            "logs.html",
            filters=filters,
            rows=rows,
            models=sorted(
                {it.model for it in rows if it.model and MARK not in it.model}
            ),
            newer=filters.query(after=rows[0].id) if rows and not newest else None,
            older=filters.query(before=rows[-1].id) if rows and older else None,
            live=not filters.before and not filters.after and not filters.end,
            windows=WINDOWS,
            base=base,
            **common,
        )

    def _log(
        self, store: PageStore, log_id: str, query: str, common: dict[str, Any]
    ) -> HTTPResponse:
        filters = read_filters(query, now=self.now())
        common["query"] = filters.query()
        found = store.find_one(log_id)
        if found is None:
            return _unknown(common)
        sent, full = read_json(found.body), full_log(found)
        newer = store.brief(filters.selection, before=None, after=found.id, limit=1)
        older = store.brief(filters.selection, before=found.id, after=None, limit=1)
        related = [
            (title, link_to(field, full[field]), others)
            for title, field in (
                ("Thread", "thread_identifier"),
                ("Trace", "trace_unique_id"),
            )
            if (others := _related(store, field, full.get(field), found.id))
        ]
        return render(
            "log.html",
            log=found,
            full=_head(full),
            failed=_failed(full),
            error=_said(full.get("error_message")),
            warnings=_said(full.get("warnings")),
            cost_derived=full.get("cost") is not None and sent.get("cost") is None,
            conversation=conversation_of(full),
            first=FIRST,
            details=details_of(full, sent),
            raw=lay_out(found.body, _LONGEST_RAW),
            newer=newer[0].id if newer else None,
            older=older[0].id if older else None,
            related=related,
            **common,
        )

    def _overview(
        self, store: PageStore, query: str, common: dict[str, Any]
    ) -> HTTPResponse:
        now = self.now()
        filters = read_filters(query, now=now, window="24h")
        common["query"] = filters.query()
        selection = filters.selection
        if selection.start is None:
            first = store.first_instant()
            began = now - 3600 * _SECOND if first is None else first
            selection = attrs.evolve(selection, start=began)
        start, end = selection.start or 0, selection.end or now
        step = _step(end - start)
        overview = store.overview(attrs.evolve(selection, end=end), step=step)
        return render(
            "overview.html",
            filters=filters,
            overview=overview,
            charts=charts_of(overview),
            fields=FIELDS,
            windows=WINDOWS,
            most_groups=_MOST_GROUPS,
            group_query=_group_query,
            **common,
        )


def _id(text: str) -> str:
    return unquote(text).replace("-", "").lower()


def _group_query(filters: Filters, field: str, value: str) -> str:
    """The logs of a group, within the overview's own window."""
    changes = {field: value}
    if filters.window in WINDOWS:
        changes["time"] = filters.window
    return filters.query(**changes)


def _step(span: int) -> int:
    """How long each column is so that there are not too many, microseconds."""
    for seconds in _STEPS:
        if span <= seconds * _SECOND * _MOST_COLUMNS:
            return seconds * _SECOND
    return max(_SECOND, -(-span // _MOST_COLUMNS))


def _related(
    store: PageStore, field: str, value: Any, log_id: str
) -> Sequence[BriefLog]:
    """The newest logs with the same value, if there are any beside this one."""
    if not isinstance(value, str | int) or value == "":
        return ()
    condition = Condition(field=field, values=(str(value),))
    alike = Selection(conditions=(condition,))
    found = store.brief(alike, before=None, after=None, limit=_RELATED)
    return found if any(other.id != log_id for other in found) else ()


def _head(full: dict[str, Any]) -> dict[str, Any]:
    """The fields that the page of a log begins with, None where there is none."""
    texts = {
        name: None if full.get(name) in (None, "") else _said(full[name]).text[:200]
        for name in ("model", "status", "status_code")
    }
    return {**{name: full.get(name) for name in _FIGURES}, **texts}


def _said(value: Any) -> Cut:
    """A message of the log, whatever it is made of."""
    if value in (None, "", [], {}):
        return Cut("")
    return (
        cut(value, _LONGEST_SAID)
        if isinstance(value, str)
        else cut_json(value, _LONGEST_SAID)
    )


def _failed(full: dict[str, Any]) -> bool:
    code = full.get("status_code")
    return (isinstance(code, int | float) and code >= 400) or full.get("status") in (
        "failed",
        "error",
    )


def _raw(store: PageStore, log_id: str, common: dict[str, Any]) -> HTTPResponse:
    """The log as it was sent, for nobody to take for anything but JSON."""
    found = store.find_one(log_id)
    if found is None:
        return _unknown(common)
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Content-Disposition": f'inline; filename="log-{found.id}.json"',
        **_SANDBOX,
    }
    return HTTPResponse(status=200, headers=headers, body=found.body.encode())


def _redirect(path: str) -> HTTPResponse:
    return HTTPResponse(
        status=303, headers={"Location": quote(path, safe="/?&=%[]:-._~")}
    )


def _unknown(common: dict[str, Any]) -> HTTPResponse:
    return render(
        "error.html",
        status=404,
        title="There is no log with this id",
        message="It may have been removed, or the address is not complete.",
        advice="Look for it among all logs.",
        **common,
    )


def _missing(common: dict[str, Any]) -> HTTPResponse:
    return render(
        "error.html",
        status=404,
        title="There is no such page",
        message="This server has the pages Logs and Overview.",
        advice="Go on from the logs.",
        **common,
    )
