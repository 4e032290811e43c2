"""The pages behind the sign-in: who may see one, and how browsers must treat it.

Imports neither aiohttp nor a driver: a request in, an answer out, as the handler.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qs, urlsplit

import attrs

from keywordsai.server.answers import Refusal
from keywordsai.server.headers import header
from keywordsai.server.routes import find_route
from keywordsai.server.signin import Session, SignIn, local_path
from keywordsai.transport.base import HTTPRequest, HTTPResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from keywordsai.server.store import Store

__all__ = ["Pages", "Site"]

_PATHS = frozenset(
    {"/", "/logs", "/logs/", "/overview", "/overview/", "/favicon.ico"}
    | {"/sign-in", "/sign-out"}
)
_FOLDERS = ("/logs/", "/_static/")
_OPEN = ("/_static/", "/favicon.ico")  # to the form too
_MOST_FIELDS = 10
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: browsers would then hide where the sign-in form came from.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Pages(Protocol):
    """What makes the pages; called in several threads at a time."""

    def handle(
        self, request: HTTPRequest, store: Store, *, session: Session
    ) -> HTTPResponse:
        """Answer a GET or HEAD of a page.

        Of ``/sign-in`` the form: it posts ``key`` and ``next`` there. One signs
        out by a form that posts to ``/sign-out``.
        """
        ...

    def failure(
        self, request: HTTPRequest, status: int, *, session: Session
    ) -> HTTPResponse:
        """The page that says that another cannot be made now."""
        ...


@attrs.frozen(kw_only=True)
class Site:
    """The pages, for those who may see them.

    Attributes:
        pages: What makes them.
        sign_in: Who may see them.
        report_uri: Where browsers report what the policy kept out; for tests.
        now: The present moment, seconds since 1970.
    """

    pages: Pages
    sign_in: SignIn = attrs.field(factory=SignIn)
    report_uri: str = ""
    now: Callable[[], float] = attrs.field(default=time.time, repr=False)

    def has(self, path: str) -> bool:
        """Whether the path is that of a page, be there one or not."""
        return path in _PATHS or path.startswith(_FOLDERS)

    def takes(self, method: str, path: str, headers: Mapping[str, str]) -> bool:
        """Whether a page is the answer: a browser that is lost gets one too."""
        if self.has(path):
            return True
        lost = method in {"GET", "HEAD"} and find_route(path) is None
        return lost and "text/html" in header(headers, "accept")

    def is_open_to(self, request: HTTPRequest) -> bool:
        """Whether the sender may see what pages show."""
        return self.sign_in.session(request.headers, now=self.now()).signed_in

    def answer(
        self, request: HTTPRequest, store: Store, *, address: str
    ) -> HTTPResponse:
        """Answer a request that the site `takes`, from that address."""
        return self._guarded(self._answer(request, store, address))

    def failure(self, request: HTTPRequest, told: HTTPResponse) -> HTTPResponse:
        """The page that takes the place of one that failed, told in JSON before."""
        session = self.sign_in.session(request.headers, now=self.now())
        page = self.pages.failure(request, told.status, session=session)
        wait = {"Retry-After": told.header("retry-after")}
        headers = {name: value for name, value in wait.items() if value is not None}
        return self._guarded(attrs.evolve(page, headers={**page.headers, **headers}))

    def _guarded(self, response: HTTPResponse) -> HTTPResponse:
        """A response with what browsers are to know of it."""
        policy = _POLICY
        if self.report_uri:
            policy += f"; report-uri {self.report_uri}"
        headers = {"Content-Security-Policy": policy, **_SECURITY, **response.headers}
        if response.header("cache-control") is None:
            headers["Cache-Control"] = "no-store"
        return attrs.evolve(response, headers=headers)

    def _answer(self, request: HTTPRequest, store: Store, address: str) -> HTTPResponse:
        parts = urlsplit(request.url)
        path = parts.path
        now = self.now()
        if path == "/sign-out" and request.method in {"GET", "POST"}:
            return self.sign_in.leave(request)
        if path == "/sign-in" and request.method == "POST":
            entered = self.sign_in.enter(request, address=address, now=now)
            if isinstance(entered, HTTPResponse):
                return entered
            status, session = entered
            shown = attrs.evolve(request, method="GET", body=None)
            form = self.pages.handle(shown, store, session=session)
            return attrs.evolve(form, status=status)
        if request.method not in {"GET", "HEAD"}:
            refusal = Refusal(405, "Method not allowed", headers={"Allow": "GET, HEAD"})
            return refusal.response()
        session = self.sign_in.session(request.headers, now=now)
        if path == "/sign-in":
            session = attrs.evolve(session, next=_next(parts.query))
            if session.signed_in:
                return HTTPResponse(status=303, headers={"Location": session.next})
        elif not session.signed_in and not path.startswith(_OPEN):
            return self.sign_in.form_for(f"{path}?{parts.query}".removesuffix("?"))
        return self.pages.handle(request, store, session=session)


def _next(query: str) -> str:
    """The path that the form leads to, as the query has it."""
    try:
        given = parse_qs(query, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return "/"
    return local_path(given.get("next", ["/"])[0])
