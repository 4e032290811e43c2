"""Signing in to the page: a key for a cookie, and nothing kept on the server.

The cookie says until when it holds and is signed with what is derived from the
key, so that several processes agree, a restart signs nobody out, and a key that
is taken away takes its cookies with it. Imports neither aiohttp nor a driver.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

import attrs

from keywordsai.server.headers import header
from keywordsai.transport.base import HTTPRequest, HTTPResponse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Attempts", "Session", "SignIn", "is_known", "local_path"]

_LIFE = 30 * 24 * 3600  # seconds that a cookie holds
_AT_ONCE = 5  # wrong keys that one address may try in a row
_EVERY = 5.0  # seconds for each after them
_MOST_ADDRESSES = 1000
_MOST_FIELDS = 10
_TOKEN = re.compile(r"1\.([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)
_LOCAL = re.compile(r"/(?!/)[!-\[\]-~]*", re.ASCII)
_OF_SIGN_IN = frozenset({"/sign-in", "/sign-out"})


@attrs.frozen(kw_only=True)
class Session:
    """Who looks at the page.

    Attributes:
        required: Whether one has to sign in here at all.
        signed_in: Whether this one did, or need not.
        next: Where the form leads to; a path of this server.
        message: Why the form is shown again; empty the first time.
    """

    required: bool = False
    signed_in: bool = True
    next: str = "/"
    message: str = ""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def is_known(given: bytes, keys: Iterable[str]) -> bool:
    """Whether it is one of the keys; takes the same time whichever, or none."""
    known = False
    for key in keys:
        known |= hmac.compare_digest(given, _bytes(key))
    return known


def local_path(path: str) -> str:
    """The path if a redirect may lead there, else ``/``.

    Example:
        >>> local_path("/logs?model=gpt-4"), local_path("//other.example")
        ('/logs?model=gpt-4', '/')
    """
    if _LOCAL.fullmatch(path) and urlsplit(path).path not in _OF_SIGN_IN:
        return path
    return "/"


@attrs.define
class Attempts:
    """How often wrong keys were tried from each address, of late.

    Kept in memory, by each process for itself: it slows guessing, no more.
    """

    _due: dict[str, float] = attrs.field(factory=dict)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, eq=False)

    def wait(self, address: str, now: float) -> float:
        """The seconds that the address has to wait; 0 for none."""
        with self._lock:
            ahead = self._due.get(address, now) - now
        return max(0.0, ahead - (_AT_ONCE - 1) * _EVERY)

    def wrong(self, address: str, now: float) -> None:
        """Count a wrong key."""
        with self._lock:
            self._due = {name: due for name, due in self._due.items() if due > now}
            if address not in self._due and len(self._due) >= _MOST_ADDRESSES:
                self._due.pop(next(iter(self._due)))
            self._due[address] = max(now, self._due.get(address, now)) + _EVERY


@attrs.frozen(kw_only=True)
class SignIn:
    """Gives cookies for keys, and knows them again.

    Attributes:
        keys: The keys that may be given; without any, nobody has to sign in.
        attempts: The wrong keys of late.
    """

    keys: Sequence[str] = attrs.field(default=(), repr=False)
    attempts: Attempts = attrs.field(factory=Attempts, repr=False)

    def session(self, headers: Mapping[str, str], *, now: float) -> Session:
        """Who sent a request with these headers."""
        if not self.keys:
            return Session()
        cookies = _cookies(header(headers, "cookie"))
        signed_in = False
        for key in self.keys:
            secret = _secret(key)
            token = cookies.get(_cookie_name(secret), "")
            signed_in |= _holds(token, secret, now)
        return Session(required=True, signed_in=signed_in)

    def enter(
        self, request: HTTPRequest, *, address: str, now: float
    ) -> HTTPResponse | tuple[int, Session]:
        """Take the form: a redirect with the cookie, or the form again.

        Returns:
            The answer; or the status of one that shows the form, with what the
            page needs to make it.
        """
        key, path = _form(request.body or b"")
        again = Session(required=True, signed_in=False, next=path)
        if not self.keys:
            return _redirect(path)
        if not is_same_site(request):
            return 403, attrs.evolve(again, message="The form came from another site.")
        wait = self.attempts.wait(address, now)
        if wait:
            message = f"Too many wrong keys: try again in {wait:.0f} seconds."
            return 429, attrs.evolve(again, message=message)
        given = _bytes(key)
        if not is_known(given, self.keys):
            self.attempts.wrong(address, now)
            return 403, attrs.evolve(again, message="That is not a key of this server.")
        secret = _secret(key)
        cookie = f"{_cookie_name(secret)}={_token(secret, now)}; Max-Age={_LIFE}"
        return _redirect(path, cookie=_cookie(cookie, request))

    def leave(self, request: HTTPRequest) -> HTTPResponse:
        """Sign out: a redirect that takes this browser's cookies away."""
        held = _cookies(header(request.headers, "cookie"))
        names = {_cookie_name(_secret(key)) for key in self.keys} & held.keys()
        if not names or not is_same_site(request):
            return _redirect("/sign-in" if self.keys else "/")
        # One answer carries one Set-Cookie; whoever has more signs out once more.
        again = "/sign-out" if len(names) > 1 else "/sign-in"
        cookie = _cookie(f"{min(names)}=; Max-Age=0", request)
        return _redirect(again, cookie=cookie)

    def form_for(self, path: str) -> HTTPResponse:
        """Send to the form, and back to that path from there."""
        path = local_path(path)
        if path == "/":
            return _redirect("/sign-in")
        return _redirect(f"/sign-in?next={quote(path, safe='/')}")


def is_same_site(request: HTTPRequest) -> bool:
    """Whether no other site's page sent the request, going by what browsers say."""
    site = header(request.headers, "sec-fetch-site")
    if site:
        return site in {"same-origin", "none"}
    origin = header(request.headers, "origin")
    if not origin:
        return True  # no browser, or none of this decade
    try:
        return urlsplit(origin).netloc == urlsplit(request.url).netloc
    except ValueError:  # no browser wrote that
        return False


def _form(body: bytes) -> tuple[str, str]:
    """The key and the path in the form's body."""
    try:
        fields = parse_qs(
            body.decode("ascii"), strict_parsing=True, max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        return "", "/"
    return fields.get("key", [""])[0].strip(), local_path(fields.get("next", ["/"])[0])


def _redirect(path: str, *, cookie: str = "") -> HTTPResponse:
    headers = {"Location": path, "Cache-Control": "no-store"}
    if cookie:
        headers["Set-Cookie"] = cookie
    return HTTPResponse(status=303, headers=headers)


def _cookie(start: str, request: HTTPRequest) -> str:
    # A proxy's word on the scheme is not taken; the browser's own is: where the
    # form came from.
    secure = header(request.headers, "origin").startswith("https://")
    return f"{start}; Path=/; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}"


def _secret(key: str) -> bytes:
    return hmac.digest(_bytes(key), b"keywordsai page cookie", hashlib.sha256)


def _cookie_name(secret: bytes) -> str:
    """Of each key another: servers on other ports of a machine share its cookies."""
    return f"keywordsai_{hmac.digest(secret, b'name', hashlib.sha256).hex()[:8]}"


def _token(secret: bytes, now: float) -> str:
    until = int(now) + _LIFE
    return f"1.{until}.{_signature(secret, until)}"


def _signature(secret: bytes, until: int) -> str:
    return hmac.digest(secret, b"until %d" % until, hashlib.sha256).hex()


def _holds(token: str, secret: bytes, now: float) -> bool:
    found = _TOKEN.fullmatch(token)
    if found is None:
        return False
    until = int(found[1])
    right = hmac.compare_digest(found[2], _signature(secret, until))
    return right and now < until


def _cookies(header: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in header.split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}
