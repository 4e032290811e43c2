"""Both colours behind one face: a case is written once and runs over either."""

import asyncio
import contextlib
import gc
import inspect

import aiohttp
import requests

from keywordsai import HTTPRequest, LogAPI, RetryPolicy, Timeout
from keywordsai.transport.aiohttp import AiohttpTransport
from keywordsai.transport.requests import RequestsTransport

COLOURS = ("sync", "async")
SOON = Timeout(connect=0.2, read=0.2, total=0.4)
HEADERS = {
    "User-Agent": "tests",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Authorization": "Bearer key-of-tests",
}


def get(origin, path="/api/x/", **options):
    options.setdefault("timeout", Timeout(connect=2, read=2, total=4))
    return HTTPRequest(method="GET", url=origin + path, headers=HEADERS, **options)


def post(origin, path="/api/x/", body=b'{"secret": "payload-of-tests"}', **options):
    options.setdefault("timeout", Timeout(connect=2, read=2, total=4))
    headers = {**HEADERS, "Content-Type": "application/json"}
    return HTTPRequest(
        method="POST", url=origin + path, headers=headers, body=body, **options
    )


class Colour:
    """One of the two; what it makes is closed when the test ends."""

    def __init__(self, name):
        self.name = name
        self.loop = asyncio.new_event_loop() if name == "async" else None
        self._made = []

    @property
    def is_async(self):
        return self.loop is not None

    def run(self, thing):
        """The result, awaited on this colour's loop if there is anything to await."""
        if not self.is_async or not inspect.isawaitable(thing):
            return thing

        async def main():
            return await thing

        return self.loop.run_until_complete(main())

    def transport(self, network=None, session=None):
        kind = AiohttpTransport if self.is_async else RequestsTransport
        return self._keep(TransportFace(self, kind(network, session=session)))

    def client(self, origin, *, transport=None, **options):
        options.setdefault("retry", RetryPolicy(base=0.001, cap=0.002))
        options.setdefault("timeout", Timeout(connect=2, read=2, total=4))
        options.setdefault("api_key", "key-of-tests")
        if transport is not None:
            options["async_transport" if self.is_async else "transport"] = transport
        return self._keep(ClientFace(self, LogAPI(base_url=origin, **options)))

    def session(self, **options):
        """A session as a user would make it."""

        async def opened():
            return aiohttp.ClientSession(**options)

        if self.is_async:
            return self._keep(self.loop.run_until_complete(opened()))
        session = requests.Session()
        for name, value in options.items():
            setattr(session, name, value)
        return self._keep(session)

    def _keep(self, thing):
        self._made.append(thing)
        return thing

    def end(self):
        for thing in reversed(self._made):
            self.run(thing.close())
        self._made.clear()
        if self.is_async:
            with contextlib.closing(self.loop):
                self.loop.run_until_complete(self.loop.shutdown_asyncgens())
                self.loop.run_until_complete(self.loop.shutdown_default_executor())
        gc.collect()  # now, so that a warning is this test's and no other's


class TransportFace:
    def __init__(self, colour, transport):
        self.colour = colour
        self.real = transport

    def send(self, request):
        return self.colour.run(self.real.send(request))

    def close(self):
        self.colour.run(self.real.close())


class ClientFace:
    """`create`, `list`, `get` and `close`, which are `acreate` and so on."""

    def __init__(self, colour, client):
        self.colour = colour
        self.real = client

    def __getattr__(self, name):
        method = getattr(self.real, f"a{name}" if self.colour.is_async else name)
        return lambda *args, **options: self.colour.run(method(*args, **options))
