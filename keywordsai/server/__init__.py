"""The local log server: the hosted service's API for logs, on your own machine.

Needs the extra ``keywordsai[server]``. Start it by ``keywordsai serve``, or from
a program by `keywordsai.server.app.serve_in_thread`.
"""

from __future__ import annotations

__all__ = ["DEFAULT_DATABASE", "DEFAULT_PORT"]

DEFAULT_DATABASE = "sqlite:///keywordsai.db"
DEFAULT_PORT = 8723
