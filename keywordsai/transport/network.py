"""Which proxy and which certificates: resolved once, the same for both libraries.

requests and aiohttp read different variables at different times. Here the
environment is read once, at construction, and the result is handed to either
transport explicitly. Imports no HTTP library.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import attrs

from keywordsai._excerpt import excerpt
from keywordsai.errors import ConfigurationError

__all__ = ["Network"]

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def _hide_userinfo(url: str | None) -> str:
    if url is None:
        return "None"
    scheme, _, rest = url.partition("://")
    return repr(f"{scheme}://{rest.rpartition('@')[2]}")


@attrs.frozen(kw_only=True)
class Network:
    """The way to one base URL.

    Attributes:
        proxy: The proxy's URL, or None to connect directly. Its credentials are
            not in ``repr``.
        ca_bundle: A file or folder of certificates to trust, or None for those
            of certifi.
    """

    proxy: str | None = attrs.field(default=None, repr=_hide_userinfo)
    ca_bundle: str | None = None

    @classmethod
    def resolve(
        cls,
        base_url: str,
        *,
        proxy: str | None = None,
        ca_bundle: str | os.PathLike[str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Network:
        """Settle both from the arguments, else from the environment.

        Args:
            base_url: Where the requests go; ``NO_PROXY`` is matched against it.
            proxy: An ``http://`` or ``https://`` URL; ``""`` turns proxies off.
            ca_bundle: A file or folder of PEM certificates.
            environ: The environment; by default that of the process.

        Raises:
            ConfigurationError: The proxy is no HTTP proxy, or there are no
                certificates where the argument or variable says.
        """
        environ = os.environ if environ is None else environ
        found = _proxy(base_url, proxy, environ)
        if ca_bundle is None and "https://" not in (base_url[:8], (found or "")[:8]):
            return cls(proxy=found)  # nothing here is encrypted
        return cls(proxy=found, ca_bundle=_ca_bundle(ca_bundle, environ))


def _proxy(base_url: str, given: str | None, environ: Mapping[str, str]) -> str | None:
    if given is not None:
        return _checked_proxy(given, "proxy") if given else None
    url = urlsplit(base_url)
    for name in (f"{url.scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            # A CGI server sets HTTP_PROXY from the request's own "Proxy" header.
            if variable == "HTTP_PROXY" and "REQUEST_METHOD" in environ:
                continue
            value = environ.get(variable)
            if value:
                if _bypassed(url.hostname or "", url.port, environ):
                    return None
                if "://" not in value:
                    value = f"http://{value}"
                return _checked_proxy(value, variable)
    return None


def _checked_proxy(value: str, source: str) -> str:
    try:
        url = urlsplit(value)
        valid = url.scheme in {"http", "https"} and bool(url.hostname)
        _ = url.port
    except (ValueError, AttributeError, TypeError):
        valid = False
    if not valid:
        raise ConfigurationError(
            f"{source} must be an http:// or https:// proxy URL with a host "
            "(SOCKS proxies are not supported); change it, or pass proxy='' to "
            "connect without a proxy"
        )
    if url.username is None:
        return value
    if not _is_latin(unquote(f"{url.username}{url.password or ''}")):
        raise ConfigurationError(f"{source}: the credentials must be Latin-1 text")
    if url.password is None:
        # requests would send no credentials at all, aiohttp an empty password.
        name, _, rest = value.rpartition("@")
        return f"{name}:@{rest}"
    return value


def _is_latin(text: str) -> bool:
    return all(ord(character) < 256 for character in text)


def _bypassed(host: str, port: int | None, environ: Mapping[str, str]) -> bool:
    """Whether NO_PROXY names the host: exact, as a suffix, or as a network."""
    for entry in (environ.get("no_proxy") or environ.get("NO_PROXY") or "").split(","):
        name, _, wanted = entry.strip().lower().partition(":")
        if entry.count(":") > 1:  # an IPv6 address, no port behind it
            name, wanted = entry.strip().lower().strip("[]"), ""
        if wanted and wanted != str(port):
            continue
        if name == "*" or (name and _matches(host, name.lstrip("."))):
            return True
    return False


def _matches(host: str, name: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return host == name or host.endswith(f".{name}")


def _ca_bundle(
    given: str | os.PathLike[str] | None, environ: Mapping[str, str]
) -> str | None:
    for source, value in (
        ("ca_bundle", given),
        *((name, environ.get(name)) for name in _CA_VARIABLES),
    ):
        if value:
            try:
                path = os.fspath(value)
            except TypeError:
                raise ConfigurationError(
                    f"{source} must be a path, got {excerpt(value)}"
                ) from None
            if not os.path.exists(path):  # noqa: PTH110  pathlib costs import time
                raise ConfigurationError(
                    f"{source} names no file or folder: {path!r}; "
                    "point it at PEM certificates, or unset it"
                )
            return path
    return None
