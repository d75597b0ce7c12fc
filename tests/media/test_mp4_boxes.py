from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.mp4.boxes import MAX_BOXES, MAX_INDEX_BYTES, FileLayout, Track, find_layout, read_index
from models.errors import MediaRejected

NOT_ROTATED = (1, 0, 0, 0, 1, 0, 0, 0, 1)
ROTATED_90 = (0, 1, 0, -1, 0, 0, 0, 0, 1)
ROTATED_180 = (-1, 0, 0, 0, -1, 0, 0, 0, 1)


def box(kind: bytes, body: bytes = b"", *, length: int | None = None, wide: bool = False) -> bytes:
    """Return a box that claims `length`, by default its real length."""
    header = 16 if wide else 8
    claimed = len(body) + header if length is None else length
    if wide:
        return struct.pack(">I4sQ", 1, kind, claimed) + body
    return struct.pack(">I4s", claimed, kind) + body


def ftyp(major: bytes = b"isom", *others: bytes) -> bytes:
    return box(b"ftyp", major + bytes(4) + b"".join(others))


def tkhd(track_id: int, width: int, height: int, matrix: tuple[int, ...], *, wide: bool = False) -> bytes:
    times = struct.pack(">QQiI Q" if wide else ">IIiI I", 0, 0, track_id, 0, 0)
    body = bytes([wide, 0, 0, 7]) + times + bytes(16) + struct.pack(">9i", *(value << 16 for value in matrix))
    return box(b"tkhd", body + struct.pack(">II", width << 16, height << 16))


def layout_of(data: bytes) -> FileLayout:
    return find_layout(io.BytesIO(data), len(data))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ftyp(), b""),
        (ftyp(), box(b"mdat", bytes(100))),
        (ftyp() + box(b"mdat", bytes(100)), b""),
        (ftyp() + box(b"mdat", bytes(100), wide=True), box(b"free")),
        (ftyp() + box(b"free", bytes(9)) + box(b"mdat", bytes(3)), b"junk"),
        (ftyp(), box(b"mdat", length=0)),
        (box(b"wide") + box(b"mdat", bytes(5)), b""),
        (b"", box(b"mdat", bytes(5))),
    ],
)
def test_index_is_found_at_any_position(before: bytes, after: bytes) -> None:
    moov = box(b"moov", bytes(40))
    result = layout_of(before + moov + after).moov
    assert (result.start, result.body, result.end) == (len(before), len(before) + 8, len(before) + len(moov))


def test_index_of_length_zero_reaches_the_end() -> None:
    data = ftyp() + box(b"moov", bytes(40), length=0)
    assert layout_of(data).moov.end == len(data)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (ftyp(b"isom", b"isom", b"avc1"), "mp4"),
        (ftyp(b"mp42"), "mp4"),
        (ftyp(b"M4V "), "mp4"),
        (ftyp(b"XAVC", b"XAVC", b"mp42"), "mp4"),
        (ftyp(b"3gp4", b"isom"), "mp4"),
        (ftyp(b"qt  ", b"qt  "), "mov"),
        (ftyp(b"qt  ", b"isom"), "mov"),
        (ftyp(b"CAEP", b"qt  "), "mov"),
        (b"", "mov"),
        (ftyp(b"3gp5"), "3gp5"),
        (ftyp(b"M4A "), "M4A"),
        (box(b"ftyp"), ""),
    ],
)
def test_container_is_the_declared_brand(head: bytes, expected: str) -> None:
    assert layout_of(head + box(b"moov", bytes(8))).container == expected


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"<!DOCTYPE html><html></html>", "not-a-video"),
        (b'\xef\xbb\xbf \r\n{"error": "expired"}', "not-a-video"),
        (b'[{"a": 1}]', "not-a-video"),
        (b"\x1aE\xdf\xa3" + bytes(60), "wrong-container"),
        (b"RIFF\x00\x00\x00\x00AVI ", "wrong-container"),
        (b"\x00\x00\x00\x0cjP  ....", "not-a-video"),
        (b"short", "not-a-video"),
        (b"", "empty-file"),
        (ftyp(), "missing-moov"),
        (ftyp() + box(b"mdat", length=0), "missing-moov"),
        (ftyp() + box(b"mdat", bytes(100), length=0) + box(b"moov"), "missing-moov"),
        (ftyp() + box(b"mdat", length=5000), "truncated"),
        (ftyp() + box(b"mdat", length=2**63, wide=True), "truncated"),
        (ftyp() + box(b"moov", bytes(10), length=5000), "truncated"),
        (ftyp() + box(b"mdat", length=7) + box(b"moov"), "unreadable"),
        (ftyp() + box(b"mdat", length=15, wide=True) + box(b"moov"), "unreadable"),
        (ftyp() + box(b"free") * MAX_BOXES + box(b"moov"), "unreadable"),
    ],
)
def test_file_without_usable_index_is_rejected(data: bytes, rule: str) -> None:
    with pytest.raises(MediaRejected) as rejected:
        layout_of(data)
    assert rejected.value.rule_code == rule
    assert rejected.value.hint


def test_oversized_index_is_rejected() -> None:
    data = ftyp() + box(b"moov", length=MAX_INDEX_BYTES + 1)
    with pytest.raises(MediaRejected) as rejected:
        find_layout(io.BytesIO(data), len(data) + MAX_INDEX_BYTES)
    assert rejected.value.rule_code == "unreadable"


def test_wrong_container_is_named_in_the_error() -> None:
    with pytest.raises(MediaRejected, match="Matroska or WebM"):
        layout_of(b"\x1aE\xdf\xa3" + bytes(60))


def index_of(*boxes: bytes) -> bytes:
    return ftyp() + box(b"moov", b"".join(boxes))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(("matrix", "is_rotated"), [(NOT_ROTATED, False), (ROTATED_90, True), (ROTATED_180, False)])
def test_track_headers_give_size_and_rotation(matrix: tuple[int, ...], *, is_rotated: bool, wide: bool) -> None:
    data = index_of(
        box(b"mvhd", bytes(100)),
        box(b"trak", tkhd(7, 1280, 720, matrix, wide=wide) + box(b"mdia")),
        box(b"trak", tkhd(8, 0, 0, NOT_ROTATED)),
    )
    index = read_index(io.BytesIO(data), layout_of(data).moov)
    assert index.tracks == {7: Track(1280, 720, is_rotated=is_rotated), 8: Track(0, 0, is_rotated=False)}
    assert not index.is_fragmented


def test_track_is_cut_off_at_the_end_of_the_index() -> None:
    track = box(b"trak", tkhd(-1, 640, 480, NOT_ROTATED), length=10**6)
    data = index_of(track)
    index = read_index(io.BytesIO(data), layout_of(data).moov)
    assert index.tracks == {-1: Track(640, 480, is_rotated=False)}


def test_mvex_box_marks_a_fragmented_file() -> None:
    data = index_of(box(b"mvex"))
    assert read_index(io.BytesIO(data), layout_of(data).moov).is_fragmented


@pytest.mark.parametrize(
    "track", [box(b"tkhd", bytes(83)), box(b"tkhd", b"\x01" + bytes(94)), box(b"tkhd", length=4)]
)
def test_broken_track_header_is_rejected(track: bytes) -> None:
    data = index_of(box(b"trak", track))
    with pytest.raises(MediaRejected) as rejected:
        read_index(io.BytesIO(data), layout_of(data).moov)
    assert rejected.value.rule_code == "unreadable"


@given(st.lists(st.binary(max_size=24) | st.sampled_from([box(b"moov"), box(b"trak"), box(b"tkhd", bytes(84))])))
def test_random_boxes_raise_only_media_rejected(boxes: list[bytes]) -> None:
    data = ftyp() + b"".join(boxes)
    file = io.BytesIO(data)
    try:
        read_index(file, find_layout(file, len(data)).moov)
    except MediaRejected as rejected:
        assert rejected.rule_code  # noqa: PT017  # the only error that is allowed


@pytest.mark.parametrize(
    "track", [box(b"trak"), box(b"trak", tkhd(0, 1, 1, NOT_ROTATED)), box(b"trak", tkhd(-1, 1, 1, NOT_ROTATED))]
)
def test_fragmented_tracks_need_valid_ids(track: bytes) -> None:
    data = index_of(box(b"trak", tkhd(1, 640, 480, NOT_ROTATED)), track, box(b"mvex"))
    with pytest.raises(MediaRejected) as rejected:
        read_index(io.BytesIO(data), layout_of(data).moov)
    assert rejected.value.rule_code == "unreadable"
