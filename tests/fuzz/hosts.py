"""Fuzzes the hosts of recordings: arbitrary responses, and unusual ways to send a range of a real recording."""

from __future__ import annotations

import functools
import gzip
import zlib
from collections.abc import Iterator
from http import HTTPStatus
from typing import NamedTuple

import httpx
from hypothesis import strategies as st

from models.media.facts import MediaFacts
from tests.fuzz.facts import assert_plausible
from tests.fuzz.media import URL, File, probe_through
from tests.fuzz.samples import samples
from tests.fuzz.target import CANARY, FuzzTarget


class Host(NamedTuple):
    """Arbitrary responses (status, headers, body), in order; the last one is repeated."""

    responses: list[tuple[int, list[tuple[str, str]], bytes]]


class _ArbitraryHost(httpx.BaseTransport):
    def __init__(self, host: Host) -> None:
        self._responses = iter(host.responses)
        self._last = host.responses[-1]

    def handle_request(self, _request: httpx.Request) -> httpx.Response:
        status, headers, body = next(self._responses, self._last)
        return httpx.Response(status, headers=_encoded(headers), content=iter([body]))


class Quirk(NamedTuple):
    """One way to answer a range request.

    Attributes:
        status: The status; 206 and 200 have a body.
        part: The maximum number of bytes in a response; None: as requested.
        early: The number of bytes before the range that are sent, too.
        late: The number of bytes behind the range that are sent, too.
        content_range: The form of the header, with `first`, `last` and `size`; None: no header.
        coding: The Content-Encoding, also that of the body if it is known.
        cut: The connection fails after so many bytes; None: it does not.
        headers: More headers.
    """

    status: int = 206
    part: int | None = None
    early: int = 0
    late: int = 0
    content_range: str | None = "bytes {first}-{last}/{size}"
    coding: str | None = None
    cut: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


class QuirkyHost(NamedTuple):
    """A sample by its number, and the quirks of the responses, in order; the last one is repeated."""

    sample: int
    quirks: list[Quirk]


class _QuirkyTransport(httpx.BaseTransport):
    """Every body consists of true bytes of the sample, but lengths, headers and codings vary."""

    def __init__(self, data: bytes, quirks: list[Quirk]) -> None:
        self._data = data
        self._quirks = iter(quirks)
        self._last = quirks[-1]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        quirk = next(self._quirks, self._last)
        size = len(self._data)
        first, last, status = 0, size - 1, quirk.status
        headers = [*quirk.headers]
        if status == HTTPStatus.PARTIAL_CONTENT and "range" not in request.headers:
            status = HTTPStatus.OK
        elif status == HTTPStatus.PARTIAL_CONTENT:
            start, end = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
            first = max(start - quirk.early, 0)
            last = min(end + quirk.late, first + (quirk.part or size) - 1, size - 1)
            if quirk.content_range is not None:
                headers.append(("content-range", quirk.content_range.format(first=first, last=last, size=size)))
        if quirk.coding is not None:
            headers.append(("content-encoding", quirk.coding))
        has_body = status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}
        body = _coded(self._data[first : last + 1], quirk.coding) if has_body else b""
        return httpx.Response(status, headers=_encoded(headers), content=_chunks(body, quirk.cut))


def _chunks(body: bytes, cut: int | None) -> Iterator[bytes]:
    yield body[:cut]
    if cut is not None and cut < len(body):
        raise httpx.ReadError(f"cut at {URL}")


def _coded(body: bytes, coding: str | None) -> bytes:
    if coding == "gzip":
        return gzip.compress(body)
    return zlib.compress(body) if coding == "deflate" else body


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers]


def _check_arbitrary(case: Host) -> None:
    if (facts := probe_through(_ArbitraryHost(case))) is not None:
        assert_plausible(facts)


def _check_quirky(case: QuirkyHost) -> None:
    """However a host sends the bytes: a probe fails with an own error or returns the facts of these bytes."""
    number = case.sample % len(samples())
    facts = probe_through(_QuirkyTransport(samples()[number], case.quirks))
    assert facts is None or _without_etag(facts) == _sample_facts(number)


@functools.cache
def _sample_facts(number: int) -> MediaFacts | None:
    facts = probe_through(File(samples()[number]))
    return facts and _without_etag(facts)


def _prepare_ranges() -> None:
    for number in range(len(samples())):
        _sample_facts(number)


def _without_etag(facts: MediaFacts) -> MediaFacts:
    return facts.model_copy(update={"etag": None})


_sizes = [
    f"bytes 0-{last}/{size}" for last in (0, 19, 65535, 10**17) for size in (1, 20, 65536, 10**18 - 1, 10**30)
]
_urls = [
    URL,
    "http://h/",
    "https://h:0/",
    "//h/x?y",
    "?z",
    "https://u:p@h/",
    "https://[",
    "é",
    f"https://h/?{CANARY}",
]
_headers = st.tuples(st.just("content-range"), st.sampled_from(_sizes)) | st.tuples(
    st.sampled_from(
        [
            "location",
            "etag",
            "last-modified",
            "content-length",
            "retry-after",
            "x-ms-error-code",
            "content-encoding",
        ]
    ),
    st.sampled_from([*_urls, "20", "-1", "9" * 30, "gzip", "AccessDenied", ""]),
)
_bodies = st.sampled_from([b"", b"\0" * 20, b"<Code>ExpiredToken</Code>" + URL.encode()]) | st.binary(max_size=20)
_statuses = st.sampled_from([200, 204, 206, 206, 206, 301, 307, 308, 400, 403, 404, 408, 416, 429, 500, 503, 599])
_responses = st.lists(st.tuples(_statuses, st.lists(_headers, max_size=3), _bodies), min_size=1, max_size=4)

CONTENT_RANGES = [
    "bytes {first}-{last}/*",
    "bytes={first}-{last}/{size}",
    "BYTES  {first} - {last} / {size} ",
    "bytes 00{first}-{last}/{size}",
    "{first}-{last}/{size}",
    "bytes {first}-{last}",
    "bytes */{size}",
    "bytes {last}-{first}/{size}",
    "bytes {first}-{size}/{size}",
    "items {first}-{last}/{size}",
    "bytes {first}-{last}/{size}, bytes {first}-{last}/{size}",
    "",
]
_CODINGS = ["gzip", "deflate", "identity", "br", "zstd", "aws-chunked", "x, gzip", "", "é"]
_LENGTHS = [1, 2, 100, 1000, 4095, 4096, 4097, 16384, 65536]
_quirks = st.builds(
    Quirk,
    status=st.sampled_from([*[206] * 8, 200, 416, 429, 503]),
    part=st.sampled_from([None, None, *_LENGTHS]),
    early=st.sampled_from([0, 0, 0, 1, 5000]),
    late=st.sampled_from([0, 0, 0, 1, 5000]),
    content_range=st.just(Quirk().content_range)
    | st.just(Quirk().content_range)
    | st.sampled_from(CONTENT_RANGES)
    | st.none(),
    coding=st.none() | st.none() | st.sampled_from(_CODINGS),
    cut=st.none() | st.none() | st.sampled_from(_LENGTHS),
    headers=st.just(()) | st.just((("etag", '"1"'),)) | st.just((("etag", '"2"'),)),
)

HOSTS = FuzzTarget("hosts", st.builds(Host, _responses), _check_arbitrary)
RANGES = FuzzTarget(
    "ranges",
    st.builds(QuirkyHost, st.integers(0, 50), st.lists(_quirks, min_size=1, max_size=5)),
    _check_quirky,
    _prepare_ranges,
)
