"""What must hold for the facts about any recording, and which recordings must not pass a check.

The second part does not use our own parsers: it compares with FFmpeg's index of the whole recording, and with the
place of the damage.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
from typing import NamedTuple

import av
from av.container import InputContainer

from models.media.checks import check_rules
from models.media.facts import MediaFacts
from models.media.report import RuleResult
from models.media.rules import RULES
from tests.fuzz.recordings import Change, RangeChange
from tests.fuzz.samples import samples
from tests.fuzz.target import assert_no_secrets
from tests.media.sample_files import boxes

_READ_FRAGMENTS = 2


class ByteRange(NamedTuple):
    """The bytes of one frame."""

    start: int
    end: int


def assert_plausible(facts: MediaFacts) -> bool:
    """Assert what holds for all facts, check them against the rules of each role, and return whether one passes."""
    assert_no_secrets([facts.model_dump_json()])
    assert facts.size_bytes > 0
    assert min(facts.width or 0, facts.height or 0) >= 0
    for number in (facts.duration_seconds, facts.frame_rate):
        assert number is None or (math.isfinite(number) and number >= 0)
    passes = [role for role in RULES if _is_accepted(check_rules(facts, role))]
    for role in passes:
        assert facts.video_codec is not None, f"{role}: a recording without a picture passes"
        assert facts.duration_seconds, f"{role}: a recording of no duration passes"
        assert facts.width, f"{role}: a picture of no width passes"
        assert facts.height, f"{role}: a picture of no height passes"
    return bool(passes)


def _is_accepted(results: list[RuleResult]) -> bool:
    assert_no_secrets([result.model_dump_json() for result in results])
    return all(result.passed for result in results if result.enforced)


def assert_may_pass(data: bytes, sample: int, changes: list[Change]) -> None:
    """Assert that an accepted recording has all its frames.

    Args:
        data: The recording.
        sample: The number of the sample that it was made of.
        changes: The changes that were made.
    """
    # Of fragments, the first and the last are read: reading all would download the whole recording.
    if data.count(b"moof") <= _READ_FRAGMENTS:
        ends = [frame.end for frame in indexed_frames(data)]
        assert max(ends, default=0) <= len(data), "frames behind the end of the file pass"
    if len(changes) == 1 and isinstance(change := changes[0], RangeChange):
        assert not lost_frames(sample, change), f"a recording without its last frames passes: {change}"


def indexed_frames(data: bytes) -> list[ByteRange]:
    """Return the frames in FFmpeg's index, if the recording has one picture track, or none."""
    with (
        contextlib.suppress(av.FFmpegError),
        av.open(io.BytesIO(data), format="mov", metadata_errors="replace") as container,
    ):
        if len(container.streams.video) == 1:
            entries = container.streams.video[0].index_entries
            return [ByteRange(entry.pos, entry.pos + entry.size) for entry in entries]
    return []


def lost_frames(sample: int, change: RangeChange) -> list[ByteRange]:
    """Return the frames at the end of a sample of which a change keeps nothing, or which it moves."""
    data = samples()[sample]
    start, end = change.bounds(data)
    frames = video_frames(sample)
    if change.operation == "cut":
        return [] if _ends_with_fragment(data[:start]) else [frame for frame in frames if frame.end > start]
    if change.operation == "zeros" and frames and start <= frames[-1].start and frames[-1].end <= end:
        return [frames[-1]]
    return []


def _ends_with_fragment(data: bytes) -> bool:
    """Return whether a recording can end so: a browser that is closed leaves the fragments that it has written.

    The last box has the frames of a fragment, or is empty. An index of several segments names missing ones.
    """
    top = list(boxes(data))
    kind, start, _, _ = top[-1] if top else (b"", 0, 0, 0)
    end = start + int.from_bytes(data[start : start + 4])
    is_whole = end <= len(data) and not any(data[end:])  # the first bytes of the next box may be zeros
    segments = max((_segment_count(data[body:]) for name, _, body, _ in top if name == b"sidx"), default=1)
    return is_whole and b"mvex" in data and kind in {b"mdat", b"free"} and segments == 1


def _segment_count(sidx: bytes) -> int:
    """Return the number of segments in the body of a segment index (ISO/IEC 14496-12, section 8.16.3)."""
    offset = 30 if sidx[:1] == b"\1" else 22
    return int.from_bytes(sidx[offset : offset + 2])


def _open(data: bytes) -> InputContainer:
    return av.open(io.BytesIO(data), "r", format="mov", metadata_errors="replace")


@functools.cache
def video_frames(sample: int) -> list[ByteRange]:
    """Return the frames of the first picture track of a sample, in the order of their bytes."""
    with _open(samples()[sample]) as container:
        packets = container.demux(container.streams.video[0])
        return sorted(
            ByteRange(packet.pos, packet.pos + packet.size) for packet in packets if packet.pos is not None
        )
