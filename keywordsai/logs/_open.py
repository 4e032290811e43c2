"""What the classes of the schema share: open keywords, a discreet repr."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, TypeVar

import attrs

__all__ = ["OpenObject", "open_keywords"]

T = TypeVar("T", bound=attrs.AttrsInstance)


def open_keywords(cls: type[T]) -> type[T]:
    """Let the class take keywords that its schema does not know.

    They are kept in the field ``extra``, beside what the caller gives as
    ``extra=`` (a keyword wins over the same key there, so that `attrs.evolve`
    can change it). Type checkers still see the signature that attrs made: the
    open door is there at run time only.

    Args:
        cls: An attrs class, keyword-only, with a field ``extra``.

    Returns:
        The same class, with its ``__init__`` wrapped. It raises TypeError when
        ``extra`` is no mapping, and ValueError when ``extra`` holds the name of
        a field: that field has a keyword of its own.
    """
    generated = vars(cls)["__init__"]
    fields = frozenset(field.name for field in attrs.fields(cls)) - {"extra"}

    @functools.wraps(generated)
    def init(self: T, **keywords: Any) -> None:
        if keywords.keys() <= fields:
            generated(self, **keywords)
            return
        extra = keywords.pop("extra", {})
        if not isinstance(extra, Mapping):
            raise TypeError(f"extra must be a mapping, got {type(extra).__name__}")
        taken = fields.intersection(extra)
        if taken:
            names = ", ".join(sorted(taken))
            raise ValueError(
                f"extra must not hold fields of {cls.__name__}: "
                f"give {names} as a keyword instead"
            )
        unknown = {key: keywords.pop(key) for key in keywords.keys() - fields}
        generated(self, **keywords, extra={**extra, **unknown})

    type.__setattr__(cls, "__init__", init)
    return cls


class OpenObject:
    """Base of the schema's classes: how they look, and when they are equal.

    Written once here rather than made for each class, since what attrs makes is
    compiled on import. Like a dict, an object of these cannot be hashed.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """The class and the names of the fields that are set; never their values."""
        names = [name for name, value in _values(self) if value is not None]
        if not getattr(self, "extra", None):
            names.remove("extra")
        return f"{type(self).__name__}({', '.join(names)})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return _values(self) == _values(other)

    # How Python itself spells "cannot be hashed"; typeshed says otherwise.
    __hash__ = None  # type: ignore[assignment]


def _values(instance: Any) -> list[tuple[str, Any]]:
    fields = attrs.fields(type(instance))
    return [(field.name, getattr(instance, field.name)) for field in fields]
