"""By which names the server may be asked for, against DNS rebinding.

A name that somebody else owns can be made to lead to this machine, and then that
site's page may read what the server says: to the browser it is one site. It still
asks for the server by that name, so other names than the server's are refused.
An address that is written in numbers leads nobody elsewhere.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from typing import TYPE_CHECKING

import attrs

from keywordsai._excerpt import excerpt
from keywordsai.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["HostRule", "check_name", "is_loopback"]

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::[0-9]{1,5})?", re.ASCII)
_NAME = re.compile(r"[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)*", re.ASCII)
_LONGEST = 253


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what has that name or address."""
    if host.lower() == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


@functools.lru_cache(maxsize=256)
def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def check_name(name: object) -> None:
    """Check that a name can be that of a host.

    Raises:
        ConfigurationError: It cannot; what an option ``allow_hosts`` is told.
    """
    if isinstance(name, str) and (_NAME.fullmatch(name) or _address(name)):
        return
    raise ConfigurationError(
        "allow_host: expected a name such as logs.example.com, without a scheme, "
        f"a port and a path, got {excerpt(name)}"
    )


@attrs.frozen
class HostRule:
    """Which ``Host`` a request may name.

    Attributes:
        names: Those allowed beside loopback's, in lower case.
        any_address: Whether every address in numbers is, as where the server
            listens on more than loopback.

    Example:
        >>> rule = HostRule.of("127.0.0.1", ["logs.example.com"])
        >>> [rule.admits(name) for name in ("localhost:8723", "evil.example")]
        [True, False]
    """

    names: frozenset[str] = frozenset()
    any_address: bool = False

    @classmethod
    def of(cls, host: str, allowed: Iterable[str] = ()) -> HostRule:
        """The rule for a server that listens on ``host``."""
        names = frozenset(name.lower() for name in (host, *allowed) if name)
        return cls(names, any_address=not is_loopback(host))

    def admits(self, host: str) -> bool:
        """Whether a request with that header ``Host`` is answered."""
        found = _HOST.fullmatch(host)
        if found is None or len(host) > _LONGEST + 6:
            return False
        if found[1].startswith("[") and ":" not in found[1]:
            return False  # brackets are for IPv6; no URL can be made of any other
        name = found[1].strip("[]").lower().removesuffix(".")
        if is_loopback(name) or name.endswith(".localhost") or name in self.names:
            return True
        return self.any_address and _address(name) is not None

    @staticmethod
    def refusal(host: str) -> str:
        """What whoever asked by another name is told."""
        name = host.partition(":")[0]
        if len(name) > _LONGEST or not _NAME.fullmatch(name):
            name = "NAME"
        return (
            "This server does not go by the name in the Host header. If it is meant "
            f"to, start it with --allow-host {name}"
        )
