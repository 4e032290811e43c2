"""The server for programs: what is imported from here stays where it is."""

from __future__ import annotations

from keywordsai.server.mounting import LogServer
from keywordsai.server.options import ServerOptions
from keywordsai.server.serving import running, serve_in_thread

__all__ = ["LogServer", "ServerOptions", "running", "serve_in_thread"]
