"""Templates to answers. Everything is escaped; nothing marks itself as safe."""

from __future__ import annotations

import functools
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from keywordsai.server.pages import formats
from keywordsai.server.pages.assets import asset_url
from keywordsai.server.pages.shown import visible
from keywordsai.transport.base import HTTPResponse

__all__ = ["render"]


def _finalize(value: Any) -> Any:
    """Whatever a template puts out: what could hide in it is shown."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return visible(value)


def _as_it_is(value: str) -> Markup:
    """For the value of a form's field, which comes back: escaped, and no more."""
    return escape(value)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        finalize=_finalize,
        loader=PackageLoader(__package__),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    for name in set(formats.__all__) - {"NOTHING"}:
        environment.filters[name] = getattr(formats, name)
    environment.filters["as_it_is"] = _as_it_is
    environment.globals["asset"] = asset_url
    return environment


def render(template: str, *, status: int = 200, **values: Any) -> HTTPResponse:
    """An answer made of a template, which must be given every value it names."""
    text = _environment().get_template(template).render(values)
    return HTTPResponse(
        status=status,
        headers={"Content-Type": "text/html; charset=utf-8"},
        body=text.encode("utf-8", "replace"),
    )
