"""Recordings: real ones altered box by box, through our own readers and the whole probe; and odd hosts."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import NamedTuple

import httpx
from hypothesis import strategies as st

from clients.media_probe import probe
from clients.mp4_boxes import find_layout, read_index
from clients.mp4_fragments import first_fragment, fragmented_seconds
from models.media import MIB, MediaFacts, MediaRole, checks
from tests.fuzz.kinds import CANARY, Kind, assert_tells_nothing, ours
from tests.fuzz.mutations import Mutation, mutated, mutations
from tests.fuzz.recordings import KINDS, Change, changed, changes, samples

URL = f"https://videos.example/ada.mp4?X-Amz-Signature={CANARY}"


class Recording(NamedTuple):
    """A sample by its number, what is done to its boxes, and then to its bytes."""

    sample: int
    changes: list[Change]
    mutations: list[Mutation]

    def data(self) -> bytes:
        """Return the file."""
        return mutated_large(changed(samples()[self.sample % len(samples())], self.changes), self.mutations)


def mutated_large(data: bytes, mutations: list[Mutation]) -> bytes:
    """Return the bytes with the changes made, none where there are none: a recording may be large."""
    return mutated(data, mutations) if mutations else data


class File(httpx.BaseTransport):
    """A host with one file; `ranges` off: it answers with the whole. `more` bytes are claimed and are zeros."""

    def __init__(self, data: bytes, *, ranges: bool = True, more: int = 0) -> None:
        self._data = data
        self._ranges = ranges
        self._size = len(data) + more

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a range."""
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


class _Here(io.BytesIO):
    """A file that is all here."""

    def fetch(self, start: int, end: int, /) -> None:
        """Have it already."""


def read_boxes(data: bytes) -> None:
    """Our own readers: whatever the bytes, an index or MediaRejected."""
    file = _Here(data)

    def read() -> None:
        moov = find_layout(file, len(data)).moov
        tracks = read_index(file, moov).tracks
        first_fragment(file, moov, len(data))
        for track in list(tracks)[:3]:
            seconds = fragmented_seconds(file, moov, len(data), track)
            assert seconds is None or seconds >= 0

    ours(read)


def probe_through(transport: httpx.BaseTransport) -> MediaFacts | None:
    """Probe as the service does: facts that every rule can be held against, or one of our errors."""
    found = ours(lambda: probe(URL, MediaRole.DATASET, transport=transport, sleep=lambda _: None))
    if found is None:
        return None
    assert_tells_nothing([found.facts.model_dump_json()])
    assert_tells_nothing([check.model_dump_json() for check in checks(found.facts, MediaRole.DATASET)])
    return found.facts


class Host(NamedTuple):
    """What a host answers, in turn, the last one for ever: statuses, headers and bodies of any kind."""

    answers: list[tuple[int, list[tuple[str, str]], bytes]]


class _Odd(httpx.BaseTransport):
    def __init__(self, host: Host) -> None:
        self._answers = iter(host.answers)
        self._last = host.answers[-1]

    def handle_request(self, _request: httpx.Request) -> httpx.Response:
        status, headers, body = next(self._answers, self._last)
        return httpx.Response(
            status, headers=[(n.encode(), v.encode("latin-1", "replace")) for n, v in headers], content=_once(body)
        )


def _once(body: bytes) -> Iterator[bytes]:
    yield body


def _check_probe(case: tuple[Recording, bool, int]) -> None:
    recording, ranges, more = case
    probe_through(File(recording.data(), ranges=ranges, more=more))


def _check_host(case: Host) -> None:
    probe_through(_Odd(case))


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
        assert probe_through(File(sample)), "each sample is a recording that can be read"


BOXES = Kind("boxes", _recordings, lambda case: read_boxes(case.data()), _prepare)
PROBE = Kind(
    "probe",
    st.tuples(_recordings, st.sampled_from([True, True, True, False]), st.sampled_from([0, 0, 0, MIB, 10**17])),
    _check_probe,
    _prepare,
)
HOSTS = Kind(
    "hosts",
    st.builds(
        Host, st.lists(st.tuples(_statuses, st.lists(_headers, max_size=3), _bodies), min_size=1, max_size=4)
    ),
    _check_host,
)
