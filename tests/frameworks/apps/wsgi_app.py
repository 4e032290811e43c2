"""A WSGI application that logs one call for each request."""

import json
import os
import sys

from logging_app import log, mark_the_exit

if "LOG_AT_IMPORT" in os.environ:
    log("at import")
    mark_the_exit()


def application(environ, start_response):
    answer = log(environ["PATH_INFO"][1:])
    mark_the_exit()
    body = json.dumps(
        {
            "pid": os.getpid(),
            "answer": answer,
            "over": sorted({"aiohttp", "requests"} & set(sys.modules)),
        }
    ).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
