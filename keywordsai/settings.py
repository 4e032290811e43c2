"""What a client is told, validated once: argument, then environment, then default."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

import attrs

from keywordsai._excerpt import cut, excerpt
from keywordsai.errors import ConfigurationError
from keywordsai.transport.base import Timeout
from keywordsai.transport.databases import absolute, is_database, shown
from keywordsai.transport.network import Network, is_host
from keywordsai.transport.retry import RetryPolicy

__all__ = ["Secret", "Settings"]

API_KEY_VARIABLES = ("KEYWORDSAI_API_KEY", "KEYWORDS_AI_API_KEY", "RESPAN_API_KEY")
BASE_URL_VARIABLES = ("KEYWORDSAI_BASE_URL", "KEYWORDS_AI_BASE_URL", "RESPAN_BASE_URL")
ENABLED_VARIABLE = "KEYWORDSAI_ENABLED"
DEFAULT_BASE_URL = "https://api.keywordsai.co/api"
_EMBEDDED_URL = "http://embedded/api"  # where requests go that leave no process

_SWITCH = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_NAME_SIGNS = str.maketrans("", "", "!#$%&'*+.^_`|~-")
_OWN_HEADERS = frozenset(
    {
        *("authorization", "idempotency-key", "host", "content-type"),
        *("content-length", "transfer-encoding", "connection", "expect"),
    }
)


class Secret:
    """A text that shows itself only when asked to: not in repr, vars or a pickle.

    Example:
        >>> Secret("key")
        Secret('***')
        >>> Secret("key").reveal()
        'key'
    """

    __slots__ = ("_reveal",)

    _reveal: Callable[[], str]

    def __init__(self, text: str) -> None:
        # Held by a closure, so that no look at the attributes shows it.
        self._reveal = lambda: text

    def reveal(self) -> str:
        """The text itself."""
        return self._reveal()

    def __repr__(self) -> str:
        return "Secret('***')"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an API key is not pickled: make a client in each process that needs one"
        )

    def __bool__(self) -> bool:
        return bool(self._reveal())


@attrs.frozen(kw_only=True, eq=False)
class Settings:
    """A client's settings, complete and valid.

    Attributes:
        api_key: Sent as the bearer token; hidden. Empty when disabled, and with a
            database, which needs none.
        base_url: Ends in exactly one ``/api``; or a database's URL, without what is
            secret in it.
        enabled: False sends nothing.
        strict: Whether keys that the schema does not know are problems.
        timeout: The limits of each call, in seconds.
        retry: When a call is tried again.
        network: Proxy and certificates.
        headers: Further headers of every request.
        database: The whole URL of the database that takes the place of a server;
            hidden. None for a server.
    """

    api_key: Secret
    base_url: str
    enabled: bool
    strict: bool
    timeout: Timeout
    retry: RetryPolicy
    network: Network
    headers: Mapping[str, str] = attrs.field(repr=lambda headers: repr(list(headers)))
    database: Secret | None = None

    @property
    def api_url(self) -> str:
        """What the URL of every request begins with."""
        return self.base_url if self.database is None else _EMBEDDED_URL

    @classmethod
    def resolve(
        cls,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float | Timeout | None = None,
        retry: int | RetryPolicy | None = None,
        strict: bool = False,
        enabled: bool | None = None,
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        ca_bundle: str | os.PathLike[str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Settings:
        """Settle every setting; the arguments are those of `LogAPI`.

        Args:
            api_key: Else KEYWORDSAI_API_KEY, KEYWORDS_AI_API_KEY, RESPAN_API_KEY.
            base_url: Else KEYWORDSAI_BASE_URL, KEYWORDS_AI_BASE_URL,
                RESPAN_BASE_URL, else ``https://api.keywordsai.co/api``. With a
                database the key, proxy and certificates are not looked at.
            timeout: Seconds in all, or a `Timeout`.
            retry: A number of attempts, or a `RetryPolicy`.
            strict: Whether unknown keys are problems.
            enabled: Else KEYWORDSAI_ENABLED, else True.
            headers: Further headers of every request.
            proxy: See `Network.resolve`.
            ca_bundle: See `Network.resolve`.
            environ: The environment; by default that of the process.

        Raises:
            ConfigurationError: Names the argument or variable that is wrong.
        """
        environ = os.environ if environ is None else environ
        on = _enabled(enabled, environ)
        url, database = _base_url(base_url, environ)
        if not isinstance(strict, bool):
            raise ConfigurationError(
                f"strict must be True or False, got {excerpt(strict)}"
            )
        return cls(
            api_key=(
                _api_key(api_key, environ, required=on)
                if database is None
                else Secret("")
            ),
            base_url=url,
            enabled=on,
            strict=strict,
            timeout=Timeout.of(timeout),
            retry=RetryPolicy.of(retry),
            network=(
                Network.resolve(url, proxy=proxy, ca_bundle=ca_bundle, environ=environ)
                if database is None
                else Network()
            ),
            headers=_headers(headers),
            database=database,
        )


def _first(
    argument: str, given: Any, variables: tuple[str, ...], environ: Mapping[str, str]
) -> tuple[str, Any]:
    """The first value that is there, and the name it came by."""
    if given not in (None, ""):
        return argument, given
    for variable in variables:
        if environ.get(variable):
            return variable, environ[variable]
    return "", ""


def _api_key(
    given: str | None, environ: Mapping[str, str], *, required: bool
) -> Secret:
    source, key = _first("api_key", given, API_KEY_VARIABLES, environ)
    if not source:
        if required:
            raise ConfigurationError(
                "no API key: pass api_key=, or set KEYWORDSAI_API_KEY "
                "(KEYWORDSAI_ENABLED=0 turns logging off, without a key)"
            )
        return Secret("")
    if not isinstance(key, str) or not _is_visible(key):
        raise ConfigurationError(
            f"{source} is no API key: it must be text without spaces, line breaks, "
            "control or non-ASCII characters; check how it was read or pasted"
        )
    return Secret(key)


def _base_url(
    given: str | None, environ: Mapping[str, str]
) -> tuple[str, Secret | None]:
    """The base URL to show, and the database if it is one."""
    source, value = _first("base_url", given, BASE_URL_VARIABLES, environ)
    if not source:
        return DEFAULT_BASE_URL, None
    text = value.strip() if isinstance(value, str) else ""
    if is_database(text):
        whole = absolute(text)
        return shown(whole), Secret(whole)
    try:
        url = urlsplit(text)
        valid = (
            url.scheme in {"http", "https"}
            and is_host(url.hostname or "")
            and url.username is None
            and not url.query
            and not url.fragment
            and _is_visible(text)
            and url.port != 0
        )
    except ValueError:
        valid = False
    if not valid:
        raise ConfigurationError(
            f"{source} must be an http:// or https:// URL with a host (a name, or an "
            "address in full), and without credentials, query or fragment, such as "
            f"{DEFAULT_BASE_URL}; or a database, such as sqlite:///logs.db"
        )
    segments = [part for part in url.path.split("/") if part]
    while segments and segments[-1] == "api":
        segments.pop()
    path = "/" + "/".join([*segments, "api"])
    return urlunsplit((url.scheme, url.netloc, path, "", "")), None


def _enabled(given: bool | None, environ: Mapping[str, str]) -> bool:  # noqa: FBT001  a value, no flag
    if isinstance(given, bool):
        return given
    if given is not None:
        raise ConfigurationError(
            f"enabled must be True, False or None, got {excerpt(given)}"
        )
    value = environ.get(ENABLED_VARIABLE) or "1"
    switch = _SWITCH.get(value.strip().lower())
    if switch is None:
        raise ConfigurationError(
            f"{ENABLED_VARIABLE} must be 1 or 0 (true, false, yes, no, on, off)"
        )
    return switch


def _headers(given: Mapping[str, str] | None) -> Mapping[str, str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigurationError("headers must be a mapping of names to texts")
    seen: set[str] = set()
    for name, value in given.items():
        if not isinstance(name, str) or not _is_header_name(name):
            raise ConfigurationError("headers: a name is no valid header name")
        if name.lower() in _OWN_HEADERS:
            raise ConfigurationError(
                f"headers: {cut(name)} is set by the client itself"
            )
        if name.lower() in seen:
            raise ConfigurationError(f"headers: {cut(name)} is given twice")
        seen.add(name.lower())
        if not isinstance(value, str) or not _is_printable(value):
            raise ConfigurationError(
                f"headers: the value of {cut(name)} must be printable ASCII text"
            )
    return dict(given)


# str methods: compiling three patterns was a tenth of the package's import time.
def _is_printable(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _is_visible(text: str) -> bool:
    return bool(text) and _is_printable(text) and " " not in text


def _is_header_name(text: str) -> bool:
    letters = text.translate(_NAME_SIGNS)
    return bool(text) and text.isascii() and (not letters or letters.isalnum())
