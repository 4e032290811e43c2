"""Which proxy and which certificates: resolved once, the same for both libraries.

requests and aiohttp read different variables at different times. Here the
environment is read once, at construction, and the result is handed to either
transport explicitly. Imports no HTTP library.
"""

from __future__ import annotations

import base64
import functools
import ipaddress
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import attrs

from keywordsai._excerpt import excerpt
from keywordsai.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

__all__ = [
    "Network",
    "is_host",
    "load_certificates",
    "no_certificates",
    "split_credentials",
]

_PORTS = {"http": 80, "https": 443}
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
        if ca_bundle is None and not cls(proxy=found).encrypts(base_url):
            return cls(proxy=found)
        return cls(proxy=found, ca_bundle=_ca_bundle(ca_bundle, environ))

    def encrypts(self, url: str) -> bool:
        """Whether anything on the way to a URL is encrypted."""
        return url.startswith("https://") or (
            self.proxy is not None and self.proxy.startswith("https://")
        )

    @property
    def trusted(self) -> str:
        """The file or folder of the certificates to trust."""
        if self.ca_bundle is not None:
            return self.ca_bundle
        import certifi  # noqa: PLC0415  comes with requests; needed for TLS only

        return certifi.where()


def is_host(text: str) -> bool:
    """Whether it is a host, and the same one, to both libraries.

    An address has to be written in full: the system takes 127.1 for one as well,
    aiohttp does not.
    """
    if not text or " " in text:
        return False
    if text.strip(".0123456789"):  # a name, or an IPv6 address
        return True
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


@functools.lru_cache(maxsize=16)
def split_credentials(proxy: str) -> tuple[str, Mapping[str, str]]:
    """A proxy's URL without the credentials in it, and the header that has them.

    They go apart because the libraries tell the URL in some of their errors.
    """
    url = urlsplit(proxy)
    userinfo, there, host = url.netloc.rpartition("@")
    if not there:
        return proxy, {}
    name, _, password = map(unquote, userinfo.partition(":"))
    pair = base64.b64encode(f"{name}:{password}".encode("latin-1")).decode()
    header = {"Proxy-Authorization": f"Basic {pair}"}
    return url._replace(netloc=host).geturl(), header


def load_certificates(path: str) -> ssl.SSLContext:
    """A context that trusts the certificates of a file or folder.

    Raises:
        ConfigurationError: There are none.
    """
    import ssl  # noqa: PLC0415  needed for TLS only

    folder = os.path.isdir(path)  # noqa: PTH112  pathlib costs import time
    try:
        if folder:
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except OSError as error:  # as are the errors of ssl
        raise no_certificates(path) from error


def no_certificates(path: str) -> ConfigurationError:
    """The error for a path that holds none: trying again would not help."""
    return ConfigurationError(
        f"no certificates can be loaded from {path!r}; point ca_bundle, or the "
        "variable that names it, at PEM certificates"
    )


def _proxy(base_url: str, given: str | None, environ: Mapping[str, str]) -> str | None:
    if given is not None:
        return None if given == "" else _checked_proxy(given, "proxy")
    url = urlsplit(base_url)
    for name in (f"{url.scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            # A CGI server sets HTTP_PROXY from the request's own "Proxy" header.
            if variable == "HTTP_PROXY" and "REQUEST_METHOD" in environ:
                continue
            value = environ.get(variable)
            if value:
                port = url.port or _PORTS.get(url.scheme)
                if _bypassed(url.hostname or "", port, environ):
                    return None
                if "://" not in value:
                    value = f"http://{value}"
                return _checked_proxy(value, variable)
    return None


def _checked_proxy(value: str, source: str) -> str:
    try:
        url = urlsplit(value)
        host = url.hostname or ""
        valid = url.scheme in _PORTS and is_host(host) and value.isprintable()
        _ = url.port
    except (ValueError, AttributeError, TypeError):
        valid = False
    if not valid:
        raise ConfigurationError(
            f"{source} must be an http:// or https:// proxy URL with a host "
            "(SOCKS proxies are not supported); change it, or pass proxy='' to "
            "connect without a proxy"
        )
    value = f"{url.scheme}{value.lstrip()[len(url.scheme) :]}"  # in small letters
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
        name, wanted = _host_and_port(entry.strip().lower())
        if wanted and wanted != str(port):
            continue
        if name == "*" or (name and _matches(host, name.lstrip("."))):
            return True
    return False


def _host_and_port(entry: str) -> tuple[str, str]:
    if entry.startswith("["):
        name, _, port = entry[1:].partition("]")
        return name, port.removeprefix(":")
    if entry.count(":") > 1:  # an IPv6 address without brackets, no port behind it
        return entry, ""
    name, _, port = entry.partition(":")
    return name, port


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
        if value not in (None, ""):
            try:
                path = os.fsdecode(value)
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
