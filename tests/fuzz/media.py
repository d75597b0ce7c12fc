"""Fuzzes our box readers and the whole probe: recordings mutated box by box, and arbitrary hosts."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import NamedTuple

import httpx
from hypothesis import strategies as st

from media.mp4.boxes import find_layout
from media.mp4.fragments import measure_fragments
from media.mp4.tracks import read_index
from media.probe import probe
from models.media_checks import check_rules
from models.media_facts import MediaFacts
from models.media_rules import MIB, MediaRole
from tests.fuzz.mutations import Mutation, mutated, mutations
from tests.fuzz.recordings import KINDS, BoxMutation, changed, changes, samples
from tests.fuzz.target import CANARY, FuzzTarget, assert_no_secrets, expect_own_errors

URL = f"https://videos.example/ada.mp4?X-Amz-Signature={CANARY}"


class Recording(NamedTuple):
    """A sample by its number, the mutations of its boxes, and then those of its bytes."""

    sample: int
    changes: list[BoxMutation]
    mutations: list[Mutation]

    def data(self) -> bytes:
        """Return the file."""
        return mutated_large(changed(samples()[self.sample % len(samples())], self.changes), self.mutations)


def mutated_large(data: bytes, mutations: list[Mutation]) -> bytes:
    """Mutate the bytes. Without mutations they are returned as they are, because a recording may be large."""
    return mutated(data, mutations) if mutations else data


class File(httpx.BaseTransport):
    """A host with one file, followed by `extra_bytes` zeros. Without `ranges` it sends the whole file."""

    def __init__(self, data: bytes, *, ranges: bool = True, extra_bytes: int = 0) -> None:
        self._data = data
        self._ranges = ranges
        self._size = len(data) + extra_bytes

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the requested range."""
        if not self._ranges:
            return httpx.Response(200, headers={"content-length": str(len(self._data))}, content=iter([self._data]))
        first, last = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
        last = min(last, self._size - 1)
        if last < first:
            return httpx.Response(416)
        body = self._data[first : last + 1].ljust(last + 1 - first, b"\0")
        return httpx.Response(
            206, headers={"content-range": f"bytes {first}-{last}/{self._size}"}, content=iter([body])
        )


class _InMemoryFile(io.BytesIO):
    """A local file with the interface of a remote one."""

    def fetch(self, start: int, end: int, /) -> None:
        """Do nothing: all bytes are local."""


def read_boxes(data: bytes) -> None:
    """Run our box readers on any bytes: they return or raise MediaRejected."""
    file = _InMemoryFile(data)

    def read() -> None:
        moov = find_layout(file, len(data)).moov
        for track in measure_fragments(file, read_index(file, moov), moov, len(data)).tracks:
            assert track.seconds is None or track.seconds > 0
            assert track.bit_rate is None or track.bit_rate > 0

    expect_own_errors(read)


def probe_through(transport: httpx.BaseTransport) -> MediaFacts | None:
    """Probe as the service does, and check every rule against the facts; only our own errors are allowed."""
    result = expect_own_errors(lambda: probe(URL, MediaRole.DATASET, transport=transport, sleep=lambda _: None))
    if result is None:
        return None
    assert_no_secrets([result.facts.model_dump_json()])
    assert_no_secrets([check.model_dump_json() for check in check_rules(result.facts, MediaRole.DATASET)])
    return result.facts


class Host(NamedTuple):
    """Arbitrary responses (status, headers, body), in order; the last one is repeated."""

    responses: list[tuple[int, list[tuple[str, str]], bytes]]


class _ArbitraryHost(httpx.BaseTransport):
    def __init__(self, host: Host) -> None:
        self._responses = iter(host.responses)
        self._last = host.responses[-1]

    def handle_request(self, _request: httpx.Request) -> httpx.Response:
        status, headers, body = next(self._responses, self._last)
        return httpx.Response(
            status,
            headers=[(name.encode(), value.encode("latin-1", "replace")) for name, value in headers],
            content=_once(body),
        )


def _once(body: bytes) -> Iterator[bytes]:
    yield body


def _check_probe(case: tuple[Recording, bool, int]) -> None:
    recording, ranges, extra_bytes = case
    probe_through(File(recording.data(), ranges=ranges, extra_bytes=extra_bytes))


def _check_host(case: Host) -> None:
    probe_through(_ArbitraryHost(case))


_recordings = st.builds(Recording, st.integers(0, 20), changes, st.just([]) | st.just([]) | mutations(KINDS))
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


def _prepare() -> None:
    for sample in samples():
        assert probe_through(File(sample)), "every sample must be a readable recording"


BOXES = FuzzTarget("boxes", _recordings, lambda case: read_boxes(case.data()), _prepare)
PROBE = FuzzTarget(
    "probe",
    st.tuples(_recordings, st.sampled_from([True, True, True, False]), st.sampled_from([0, 0, 0, MIB, 10**17])),
    _check_probe,
    _prepare,
)
HOSTS = FuzzTarget(
    "hosts",
    st.builds(
        Host, st.lists(st.tuples(_statuses, st.lists(_headers, max_size=3), _bodies), min_size=1, max_size=4)
    ),
    _check_host,
)
