"""Fuzzes the box readers, the whole probe with FFmpeg in this process, and the probe with its child processes."""

from __future__ import annotations

import functools
import io
from typing import NamedTuple

import httpx
from hypothesis import strategies as st

from media.ffmpeg.inspection import Inspect
from media.ffmpeg.inspector import inspect
from media.mp4.boxes import find_layout
from media.mp4.fragments import measure_fragments
from media.mp4.index import read_index
from media.probe import probe
from models.media.facts import MediaFacts
from models.media.rules import MIB, MediaRole
from tests.fuzz.boxes import KINDS
from tests.fuzz.facts import assert_may_pass, assert_plausible
from tests.fuzz.mutations import Mutation, mutated, mutations
from tests.fuzz.recordings import Change, changed, changes, range_changes
from tests.fuzz.samples import recordings, samples
from tests.fuzz.target import CANARY, FuzzTarget, expect_own_errors

URL = f"https://videos.example/ada.mp4?X-Amz-Signature={CANARY}"
MAX_SAMPLES = 50


class Recording(NamedTuple):
    """A sample by its number, the changes of its boxes and ranges, and then those of any bytes."""

    sample: int
    changes: list[Change]
    mutations: list[Mutation]

    @property
    def sample_number(self) -> int:
        """The number of the sample."""
        return self.sample % len(samples())

    def data(self) -> bytes:
        """Return the file."""
        data = changed(samples()[self.sample_number], self.changes)
        # Without mutations it is not cut off at their limit.
        return mutated(data, self.mutations) if self.mutations else data


class ProbeCase(NamedTuple):
    """A recording, whether its host supports ranges, and by how many zeros it is longer."""

    recording: Recording
    ranges: bool
    extra_bytes: int

    def host(self) -> File:
        """Return a host of the recording."""
        return File(self.recording.data(), ranges=self.ranges, extra_bytes=self.extra_bytes)


class File(httpx.BaseTransport):
    """A host with one file, followed by `extra_bytes` zeros. Without `ranges` it sends the whole file."""

    def __init__(self, data: bytes, *, ranges: bool = True, extra_bytes: int = 0) -> None:
        self._data = data
        self._ranges = ranges
        self._size = len(data) + extra_bytes

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the requested range, or the whole file if none is requested."""
        if not self._ranges or "range" not in request.headers:
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


def probe_through(transport: httpx.BaseTransport, inspect: Inspect = inspect) -> MediaFacts | None:
    """Probe as the service does, by default with FFmpeg in this process; only our own errors are allowed."""
    call = functools.partial(
        probe, URL, MediaRole.DATASET, transport=transport, inspect=inspect, sleep=lambda _: None
    )
    result = expect_own_errors(call)
    return None if result is None else result.facts


def check_probe(case: ProbeCase, inspect: Inspect = inspect) -> None:
    """Probe a recording twice: the facts are plausible and the same, and only a complete recording passes."""
    host = case.host()
    facts = probe_through(host, inspect)
    assert probe_through(host, inspect) == facts, "the same bytes give other facts"
    if facts is not None and assert_plausible(facts) and not case.extra_bytes:
        recording = case.recording
        changes = [] if recording.mutations else recording.changes
        assert_may_pass(recording.data(), recording.sample_number, changes)


def prepare() -> None:
    """Probe every sample; all that a player shows must be readable."""
    for name, sample in recordings().items():
        assert probe_through(File(sample)), f"the sample {name} must be a readable recording"


_sample_numbers = st.integers(0, MAX_SAMPLES - 1)
damaged_recordings = st.builds(Recording, _sample_numbers, changes, st.just([]) | st.just([]) | mutations(KINDS))
_once_damaged = st.builds(Recording, _sample_numbers, st.lists(range_changes, min_size=1, max_size=1), st.just([]))
probe_cases = st.builds(
    ProbeCase,
    st.one_of(damaged_recordings, damaged_recordings, _once_damaged),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([0, 0, 0, 0, MIB, 10**17]),
)

BOXES = FuzzTarget("boxes", damaged_recordings, lambda case: read_boxes(case.data()), prepare)
PROBE = FuzzTarget("probe", probe_cases, check_probe, prepare)
