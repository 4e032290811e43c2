"""The two colours, and the certificates of the loopback servers."""

import gc
import ssl
import sys

import pytest
import trustme
from contract.colours import COLOURS, Colour


def pytest_collection_modifyitems(items):
    """Python 3.10 warns of TLS transports that the other side has closed."""
    if sys.version_info >= (3, 11):
        return
    text = "ignore:.*_SSLProtocolTransport:pytest.PytestUnraisableExceptionWarning"
    for item in items:
        if "server_tls" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.filterwarnings(text))


@pytest.fixture(scope="session", autouse=True)
def _quick_collections():
    """What is there by now stays: a collection then looks at what a test made."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(params=COLOURS)
def colour(request):
    """Every case that takes this runs over requests and over aiohttp."""
    made = Colour(request.param)
    yield made
    made.end()


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture(scope="session")
def bundle(authority, tmp_path_factory):
    """The file of the authority's certificate."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def server_tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost", "::1").configure_cert(context)
    return context
