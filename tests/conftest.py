"""What every test stands on: a clean environment, and no warnings."""

import functools
import inspect
import os
import signal
from types import SimpleNamespace

import pytest
from aiohttp import ClientResponse
from aioresponses import aioresponses

_CERTIFICATES = (
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)

# A shell has what it runs in the background ignore Ctrl-C, and so all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_OURS = ("KEYWORDSAI_", "KEYWORDS_AI_", "RESPAN_")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path_factory):
    """No proxy, certificates, netrc or setting of the machine reaches a test."""
    for name in list(os.environ):
        if (
            name.lower().endswith("_proxy")
            or name in _CERTIFICATES
            or name in {"NETRC", "SSLKEYLOGFILE"}
            or name.startswith(_OURS)
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


_ARGUMENTS = inspect.signature(ClientResponse.__init__).parameters


class _Response(ClientResponse):
    """aioresponses 0.7 does not know of an argument that aiohttp 3.14 demands."""

    def __init__(self, *args, **options):
        if "stream_writer" in _ARGUMENTS:
            options.setdefault("stream_writer", SimpleNamespace(output_size=0))
        super().__init__(*args, **options)


@pytest.fixture
def mocked_aiohttp():
    """aioresponses, for the aiohttp of today."""
    with aioresponses() as mocked:
        mocked.add = functools.partial(mocked.add, response_class=_Response)
        yield mocked
