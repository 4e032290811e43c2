"""What a server is started with, checked before anything is opened.

Every message names the option as a program gives it, which is also its name on
the command line, with dashes. Imports neither aiohttp nor a driver.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from keywordsai._excerpt import excerpt
from keywordsai.errors import ConfigurationError
from keywordsai.server import DEFAULT_DATABASE, DEFAULT_PORT
from keywordsai.server.faults import parse_fault
from keywordsai.server.hosts import check_name, is_loopback

__all__ = ["ServerOptions"]

_LONGEST = 1e10  # seconds: more would leave the calendar


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


def _usable_key(key: Any) -> bool:
    return isinstance(key, str) and bool(key) and key.isprintable() and " " not in key


def _check_keys(_instance: object, _attribute: object, keys: tuple[Any, ...]) -> None:
    if not all(map(_usable_key, keys)):
        raise ConfigurationError(
            "api_key: expected a text without blanks and control characters"
        )


def _check_names(_instance: object, _attribute: object, names: tuple[Any, ...]) -> None:
    for name in names:
        check_name(name)


def _check_faults(
    _instance: object, _attribute: object, texts: tuple[Any, ...]
) -> None:
    for text in texts:
        parse_fault(text)


def _check_seconds(
    _instance: object, attribute: attrs.Attribute[Any], value: Any
) -> None:
    if value is None:
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and 0 < value <= _LONGEST):
        raise ConfigurationError(
            f"{attribute.name}: expected a number of seconds above 0, "
            f"got {excerpt(value)}"
        )


@attrs.frozen(kw_only=True)
class ServerOptions:
    """What a server is started with.

    Attributes:
        host: The address to listen on; without a key only loopback will do.
        port: The port, 0 for any free one.
        database: A URL, ``sqlite://`` for memory. Not in ``repr``.
        api_keys: The keys taken; without any, every key that is not empty. Not in
            ``repr``.
        window: How far back lists go that name no start, in seconds; None for all.
        keep: How long logs are kept, in seconds; None for ever.
        allow_hosts: Names by which requests may ask for the server, beside those
            of loopback and `host`.
        faults: What goes wrong on demand, see `keywordsai.server.faults`.
        access_log: Whether every request is logged, without what it holds.

    Raises:
        ConfigurationError: One of them is not usable; the message names it.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    database: str = attrs.field(default=DEFAULT_DATABASE, repr=False)
    api_keys: tuple[str, ...] = attrs.field(
        default=(), converter=_texts, validator=_check_keys, repr=False
    )
    window: float | None = attrs.field(default=None, validator=_check_seconds)
    keep: float | None = attrs.field(default=None, validator=_check_seconds)
    allow_hosts: tuple[str, ...] = attrs.field(
        default=(), converter=_texts, validator=_check_names
    )
    faults: tuple[str, ...] = attrs.field(
        default=(), converter=_texts, validator=_check_faults
    )
    access_log: bool = False

    def __attrs_post_init__(self) -> None:
        if not self.api_keys and not is_loopback(self.host):
            raise ConfigurationError(
                f"host: {self.host!r} can be reached from other machines, which "
                "needs an API key; without one, listen on 127.0.0.1"
            )
