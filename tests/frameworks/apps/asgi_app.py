"""An ASGI application that logs one call for each request."""

import json
import os

from logging_app import client, log_soon, mark


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    answer = await log_soon(scope["path"][1:])
    told = json.dumps({"pid": os.getpid(), "answer": answer}).encode()
    length = (b"content-length", str(len(told)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": told})


async def _live(receive, send):
    await receive()
    mark("ready")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    mark("exiting")
    if "CLOSE_AT_SHUTDOWN" in os.environ:
        await client.aclose()
    await send({"type": "lifespan.shutdown.complete"})
