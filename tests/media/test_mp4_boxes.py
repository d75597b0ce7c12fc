from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.mp4.boxes import MAX_BOXES, MAX_INDEX_BYTES, FileLayout, find_layout
from media.mp4.index import read_index
from models.errors import MediaRejected
from tests.media.mp4_boxes import box, ftyp


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


@given(st.lists(st.binary(max_size=24) | st.sampled_from([box(b"moov"), box(b"trak"), box(b"tkhd", bytes(84))])))
def test_random_boxes_raise_only_media_rejected(boxes: list[bytes]) -> None:
    data = ftyp() + b"".join(boxes)
    file = io.BytesIO(data)
    try:
        read_index(file, find_layout(file, len(data)).moov)
    except MediaRejected as rejected:
        assert rejected.rule_code  # noqa: PT017  # the only error that is allowed
