"""How Sphinx builds these pages: offline, with every warning an error (-n -W)."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "keywordsai"
author = "the keywordsai developers"
project_copyright = author
release = installed_version("keywordsai")
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    # No intersphinx: a build must not depend on other sites being up.
]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"keywordsai {release}"

# Headings can be linked to as page.md#heading.
myst_heading_anchors = 3

# Docstrings name objects in single backticks.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# As a list below the class: an entry for each would repeat what attrs declares.
napoleon_use_ivar = True

# The examples in docstrings use these without importing them.
doctest_global_setup = """
from keywordsai import *
from keywordsai.logs.serialization import encode_log
from keywordsai.server.app import serve_in_thread
from keywordsai.settings import Secret
from keywordsai.transport import AiohttpTransport, RequestsTransport
"""

nitpicky = True
nitpick_ignore_regex = [
    # Other projects' names: there is nothing here to link to.
    (
        r"py:.*",
        r"(aiohttp|requests|collections|datetime|decimal|os|typing|attrs)(\..*)?",
    ),
    # The same, as they are spelt inside annotations that stay text.
    (r"py:.*", r"(Any|Awaitable|Callable|Iterable|Iterator|Mapping|NoReturn|Self)"),
    (r"py:.*", r"(Sequence|PathLike|date|optional)"),
    # Type variables and aliases, which autodoc writes by their private names.
    (r"py:.*", r"(.*\.)?(ResponseT_co|NothingT_co|T|Reply|_MockResponse|_Nothing)"),
    # Aliases: described in words where they are used.
    (r"py:.*", r"(.*\.)?(Number|Identifier|Timestamp|SyncTransport|AsyncTransport)"),
    # Modules named in docstrings for readers of the code; they have no page.
    (r"py:.*", r"keywordsai\.(logs|transport|settings|server)(\.[a-z_]+)*"),
    # Fields are listed with their class and are no link targets of their own.
    (r"py:obj", r"(total_tokens|Timeout\.total|status_error)"),
]
