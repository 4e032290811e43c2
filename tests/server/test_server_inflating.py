"""Compressed bodies: taken, bounded, and refused when they are broken."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zlib

import pytest
from server_tools import call, get, listed

from keywordsai.server.answers import Refusal
from keywordsai.server.app import serve_in_thread
from keywordsai.server.inflating import PIECE, inflater_of


@pytest.fixture(scope="module")
def shared_url():
    with serve_in_thread() as url:
        yield url


@pytest.fixture
def url():
    with serve_in_thread() as url:
        yield url


LIMIT = 20 * 1024**2
BODY = b'{"model": "m", "text": "' + bytes(range(97, 123)) * 5000 + b'"}'


def raw(data):
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


PACKED = {
    "gzip": gzip.compress(BODY, mtime=0),
    "x-gzip": gzip.compress(BODY, mtime=0),
    "GZip": gzip.compress(BODY[:100], mtime=0) + gzip.compress(BODY[100:], mtime=0),
    "deflate": zlib.compress(BODY),
    "Deflate": raw(BODY),
    "identity": BODY,
    "": BODY,
}


def post(url, body, coding, **options):
    path = f"{url}/api/request-logs/create/"
    return call(path, "POST", body, headers={"Content-Encoding": coding}, **options)


@pytest.mark.parametrize("coding", PACKED)
def test_packed_bodies_are_taken(shared_url, coding):
    answer = post(shared_url, PACKED[coding], coding)
    assert answer.status == 201, answer.body
    assert get(shared_url, answer.json["id"])["as_sent"]["text"][:3] == "abc"


def test_of_a_bulk_too(url):
    body = gzip.compress(b'{"logs": [{"n": 1}, {"n": 2}]}')
    answer = call(
        f"{url}/request-logs/bulk/", "POST", body, headers={"Content-Encoding": "gzip"}
    )
    assert answer.json["success_count"] == 2


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "nonsense"])
def test_other_codings_are_refused(shared_url, coding):
    answer = post(shared_url, PACKED["gzip"], coding)
    assert answer.status == 415
    assert answer.headers["Accept-Encoding"] == "gzip, deflate"
    assert "gzip" in answer.json["detail"]


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"no gzip"),
        ("gzip", b"\x1f"),
        ("gzip", PACKED["gzip"][:-1]),
        ("gzip", PACKED["gzip"][:40]),
        ("gzip", PACKED["gzip"] + b"\x00rest"),
        ("gzip", PACKED["gzip"][:-8] + b"\x00" * 8),
        ("gzip", PACKED["deflate"]),
        ("deflate", b"x"),
        ("deflate", b"no deflate"),
        ("deflate", PACKED["deflate"][:-1]),
        ("deflate", PACKED["deflate"] + b"rest"),
        ("deflate", raw(BODY)[:-5]),
        ("deflate", PACKED["gzip"]),
    ],
    ids=lambda value: value if isinstance(value, str) else str(len(value)),
)
def test_broken_bodies_are_refused(shared_url, coding, body):
    answer = post(shared_url, body, coding)
    assert (answer.status, list(answer.json)) == (400, ["detail"])


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, raw])
@pytest.mark.parametrize(("size", "status"), [(LIMIT, 201), (LIMIT + 1, 413)])
def test_what_it_inflates_to_is_bounded(url, pack, size, status):
    body = b'{"x": "' + b"a" * (size - 9) + b'"}'
    coding = "gzip" if pack is gzip.compress else "deflate"
    assert post(url, pack(body), coding).status == status
    assert listed(url)["count"] == (status == 201)


def bomb(size):
    """A few megabytes that inflate to many gigabytes."""
    deflate = zlib.compressobj(9, wbits=31)
    block = deflate.compress(b"\0" * 1024**2)
    return b"".join(
        [
            block,
            *(deflate.compress(b"\0" * 1024**2) for _ in range(size - 1)),
            deflate.flush(),
        ]
    )


MEASURED = """
import resource, sys
from server_tools import call
from keywordsai.server.app import serve_in_thread
bomb = sys.stdin.buffer.read()
with serve_in_thread() as url:
    call(f"{url}/healthz")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    headers = {"Content-Encoding": "gzip"}
    for path in ("create", "bulk"):
        answer = call(f"{url}/request-logs/{path}", "POST", bomb, headers=headers)
        print(answer.status)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_bomb_takes_no_more_memory_than_the_largest_body():
    body = bomb(2048)
    assert len(body) < 4 * 1024**2
    done = subprocess.run(
        [sys.executable, "-c", MEASURED],
        input=body,
        capture_output=True,
        check=True,
        timeout=60,
        cwd=__file__.rpartition("/")[0],
    )
    one, many, kilobytes = map(int, done.stdout.split())
    assert (one, many) == (413, 413)
    assert kilobytes < 260 * 1024, kilobytes  # the limit of a bulk, as it grows


def test_never_more_than_a_piece_at_a_time():
    inflater, longest, total = inflater_of("gzip"), 0, 0
    body = bomb(64)
    for start in range(0, len(body), 1000):
        for piece in inflater.feed(body[start : start + 1000]):
            longest, total = max(longest, len(piece)), total + len(piece)
    inflater.end()
    assert (longest, total) == (PIECE, 64 * 1024**2)


def test_in_the_smallest_of_pieces():
    for coding, body in PACKED.items():
        inflater = inflater_of(coding)
        if inflater is not None:
            pieces = [piece for byte in body for piece in inflater.feed(bytes([byte]))]
            inflater.end()
            assert b"".join(pieces) == BODY


def test_an_empty_body_is_no_packed_one():
    for coding in ("gzip", "deflate"):
        with pytest.raises(Refusal):
            inflater_of(coding).end()
