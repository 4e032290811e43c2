"""Those who take a log and send it later: ours, and what it is compared with."""

from __future__ import annotations

import functools
import json
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs

from keywordsai import LogAPI
from keywordsai.logs.serialization import encode_log

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
except ImportError:
    TracerProvider = None

__all__ = [
    "Sender",
    "flush",
    "has_opentelemetry",
    "insert",
    "opentelemetry",
    "ours",
    "spool_folder",
]

_FLUSH = 120.0


@attrs.frozen
class Sender:
    """Somebody who takes a log and sends it later.

    Attributes:
        put: Gives it the log.
        settle: Waits until all that was given is delivered.
    """

    put: Callable[[], object]
    settle: Callable[[], object]


def ours(
    base: str, log: dict[str, Any], stack: ExitStack, *, bulk: bool = False
) -> Sender:
    client = LogAPI(
        api_key="benchmark",
        base_url=base,
        block=False,
        spool=spool_folder(stack),
        bulk=bulk,
    )
    stack.enter_context(client)
    put = functools.partial(client.create, log)
    return Sender(put, functools.partial(flush, client))


def flush(client: LogAPI) -> None:
    """Wait until all is delivered.

    Raises:
        RuntimeError: It was not, so that what was measured means nothing.
    """
    result = client.flush(_FLUSH)
    if result.delivered != result.accepted:
        raise RuntimeError(f"not all was delivered: {result}")


def has_opentelemetry() -> bool:
    """Whether there is one to compare with."""
    return TracerProvider is not None


def opentelemetry(base: str, log: dict[str, Any], stack: ExitStack) -> Sender:
    """A span with the log's fields as attributes, objects and lists as JSON."""
    provider = TracerProvider()
    stack.callback(provider.shutdown)
    exporter = OTLPSpanExporter(endpoint=f"{base}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("benchmark")

    def put() -> None:
        span = tracer.start_span("log")
        span.set_attributes(
            {
                name: json.dumps(value) if isinstance(value, dict | list) else value
                for name, value in log.items()
            }
        )
        span.end()

    def settle() -> None:
        if not provider.force_flush():
            raise RuntimeError("OpenTelemetry did not deliver all")

    return Sender(put, settle)


def insert(log: dict[str, Any], stack: ExitStack) -> Sender:
    """The least that keeps a log: its bytes, and one transaction of SQLite's."""
    path = Path(spool_folder(stack), "floor.db")
    db = sqlite3.connect(path, isolation_level=None)
    stack.callback(db.close)
    db.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; "
        "PRAGMA wal_autocheckpoint = 0; "
        "CREATE TABLE logs (id INTEGER PRIMARY KEY, body BLOB NOT NULL)"
    )

    def put() -> None:
        db.execute("INSERT INTO logs (body) VALUES (?)", (encode_log(log),))

    def settle() -> None:
        db.execute("DELETE FROM logs")
        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    return Sender(put, settle)


def spool_folder(stack: ExitStack) -> str:
    """A folder on disk that goes with the stack."""
    return stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-spool-"))
