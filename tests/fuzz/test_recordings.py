"""The samples of the fuzzed recordings, their changes, and the checks of the facts that are read from them."""

from __future__ import annotations

import io
import math
import struct
from itertools import pairwise
from typing import Any

import av
import pytest

from models.media.facts import MediaFacts
from tests.fuzz.boxes import FIELDS, KINDS, walk
from tests.fuzz.facts import assert_may_pass, assert_plausible, indexed_frames, lost_frames, video_frames
from tests.fuzz.recordings import BOX_OPERATIONS, RANGE_OPERATIONS, BoxChange, FieldChange, RangeChange, changed
from tests.fuzz.samples import BROWSER_FRAGMENTS, other_files, recordings, samples
from tests.media.sample_files import boxes

CODECS = {"h264", "hevc", "av1", "vp9", "prores", "mjpeg", "dnxhd", "cfhd", "mpeg4"}
PLAYABLE = {
    "size_bytes": 1000,
    "container": "mp4",
    "video_codec": "h264",
    "width": 64,
    "height": 64,
    "duration_seconds": 3.0,
    "frame_rate": 1.0,
    "has_audio": True,
}
MILLION = 1_000_000


def number_of(name: str) -> int:
    return list({**recordings(), **other_files()}).index(name)


def end_of(frame: int, name: str) -> int:
    """The end of a frame, in millionths of a sample, rounded up."""
    return -(-video_frames(number_of(name))[frame].end * MILLION // len(recordings()[name]))


def codec_of(data: bytes) -> str:
    with av.open(io.BytesIO(data), "r") as container:
        return container.streams.video[0].codec_context.codec.canonical_name


def test_samples_contain_every_codec() -> None:
    assert {codec_of(data) for data in recordings().values()} == CODECS


def test_samples_contain_every_box_with_fields() -> None:
    kinds = {box.kind for data in samples() for box in walk(data)}
    assert FIELDS.keys() - kinds == set()


def test_samples_are_smaller_than_what_one_request_reads_or_padded() -> None:
    sizes = [len(data) for data in samples()]
    assert max(size for size in sizes if size < 150_000) < 64 * 1024
    assert sum(size > 150_000 for size in sizes) == 3


@pytest.mark.parametrize("name", ["far index", "far pictures", "far fragments"])
def test_padded_sample_has_readable_frames(name: str) -> None:
    with av.open(io.BytesIO(recordings()[name]), "r") as container:
        assert [frame.pts is not None for frame in container.decode(video=0)] == [True] * 3


@pytest.mark.parametrize("name", ["h264", "dash", "encrypted"])
def test_walk_yields_nested_boxes_without_gaps(name: str) -> None:
    data = {**recordings(), **other_files()}[name]
    boxes = list(walk(data))
    top = [box for box in boxes if box.depth == 0]
    assert [box.end for box in top[:-1]] == [box.start for box in top[1:]]
    assert (top[0].start, top[-1].end) == (0, len(data))
    assert all(inner.start > outer.start for outer, inner in pairwise(boxes))


@pytest.mark.parametrize("operation", sorted(set(BOX_OPERATIONS)))
def test_box_change_changes_the_file(operation: str) -> None:
    data = recordings()["h264"]
    assert any(BoxChange(operation, box, 7, 5).apply(data) != data for box in range(10))


def test_inserted_box_lengthens_its_parents() -> None:
    data = recordings()["faststart"]
    kinds = [box.kind for box in walk(data)]
    longer = BoxChange("insert", kinds.index(b"mdhd"), KINDS.index(b"free"), 5).apply(data)
    moov, longer_moov = (next(box for box in walk(file) if box.kind == b"moov") for file in (data, longer))
    assert longer_moov.end - moov.end == 28
    assert sorted([*kinds, b"free"]) == sorted(box.kind for box in walk(longer))


def test_field_change_moves_one_number() -> None:
    data = recordings()["h264"]
    kinds = sorted({box.kind for box in walk(data) if box.kind in FIELDS})
    mvhd = next(box for box in walk(data) if box.kind == b"mvhd")
    moved = FieldChange(kinds.index(b"mvhd"), 0, 3, 0, -1, is_relative=True).apply(data)
    assert (
        struct.unpack_from(">I", moved, mvhd.body + 16)[0] == struct.unpack_from(">I", data, mvhd.body + 16)[0] - 1
    )
    assert sum(before != after for before, after in zip(data, moved, strict=True)) <= 4


def test_field_change_reaches_every_field() -> None:
    data = recordings()["reordered"]
    kinds = sorted({box.kind for box in walk(data) if box.kind in FIELDS})
    for number, kind in enumerate(kinds):
        files = [
            FieldChange(number, 0, field, 0, 1, is_relative=True).apply(data) for field in range(len(FIELDS[kind]))
        ]
        assert sum(file != data for file in files) >= len(files) - 1, kind


@pytest.mark.parametrize("operation", sorted(set(RANGE_OPERATIONS)))
def test_range_change_of_the_pictures_keeps_what_is_before(operation: str) -> None:
    data = recordings()["faststart"]
    (mdat,) = [box for box in walk(data) if box.kind == b"mdat"]
    damaged = RangeChange(operation, 200_000, 700_000, is_in_pictures=True).apply(data)
    assert damaged != data
    assert damaged[: mdat.body] == data[: mdat.body]


def test_changes_limit_the_size() -> None:
    copies = [BoxChange("copies", 0, 1199, 0)] * 3
    assert len(changed(recordings()["h264"], copies)) <= 1024 * 1024


@pytest.mark.parametrize("operation", ["cut", "zeros"])
@pytest.mark.parametrize("name", ["faststart", "dash", "hevc", "prores"])
def test_lost_frames_are_those_at_the_end(operation: str, name: str) -> None:
    number = number_of(name)
    lost = lost_frames(number, RangeChange(operation, end_of(1, name), MILLION, is_in_pictures=False))
    assert lost == video_frames(number)[2:]
    assert lost_frames(number, RangeChange(operation, end_of(2, name), MILLION, is_in_pictures=False)) == []


@pytest.mark.parametrize(
    ("name", "kind", "lost"),
    [
        (BROWSER_FRAGMENTS, b"mdat", 0),
        (BROWSER_FRAGMENTS, b"moof", 3),
        (BROWSER_FRAGMENTS, b"moov", 3),
        ("dash", b"mdat", 0),
        ("dash", b"sidx", 3),
        ("dash+global_sidx", b"mdat", 2),
    ],
)
def test_recording_cut_behind_a_box_loses_frames(name: str, kind: bytes, lost: int) -> None:
    """Only a recording that ends with the frames of a fragment, and has no index of all, can be a shorter one."""
    data = recordings()[name]
    end = next(end for found, _, _, end in boxes(data) if found == kind)
    change = RangeChange("cut", -(-end * MILLION // len(data)), MILLION, is_in_pictures=False)
    assert change.bounds(data)[0] == end
    assert len(lost_frames(number_of(name), change)) == lost


def test_recording_without_its_last_frame_may_not_pass() -> None:
    number, data = number_of("faststart"), recordings()["faststart"]
    change = RangeChange("zeros", end_of(1, "faststart"), MILLION, is_in_pictures=False)
    assert_may_pass(data, number, [])
    with pytest.raises(AssertionError, match="without its last frames"):
        assert_may_pass(change.apply(data), number, [change])


def test_recording_with_frames_behind_its_end_may_not_pass() -> None:
    data = recordings()["faststart"]
    cut = data[: indexed_frames(data)[-1].end - 1]
    with pytest.raises(AssertionError, match="behind the end"):
        assert_may_pass(cut, number_of("faststart"), [])


def test_plausible_facts_tell_whether_a_rule_passes() -> None:
    assert assert_plausible(MediaFacts.model_validate(PLAYABLE))
    for fact in ({"has_audio": False}, {"duration_seconds": 0.0}):
        assert not assert_plausible(MediaFacts.model_validate({**PLAYABLE, **fact}))


@pytest.mark.parametrize(
    "fact",
    [
        {"duration_seconds": math.inf},
        {"duration_seconds": math.nan},
        {"duration_seconds": -1.0},
        {"frame_rate": math.inf},
        {"size_bytes": 0},
        {"width": -64},
        {"height": 0},
    ],
)
def test_implausible_fact_fails(fact: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        assert_plausible(MediaFacts.model_construct(**{**PLAYABLE, **fact}))
