from __future__ import annotations

import pytest

from media.mp4.sample_checks import is_plausible_picture, is_plausible_sound
from media.mp4.sample_entries import SampleEntry

AVC = SampleEntry(b"avc1", nal_length_size=4)
HEVC = SampleEntry(b"hvc1", nal_length_size=2)
SLICE = b"\0\0\0\5\x41abcd"


@pytest.mark.parametrize(
    ("entry", "data"),
    [
        (AVC, SLICE),
        (AVC, SLICE * 3),
        (AVC, SLICE + b"\0\0\0"),
        (AVC, SLICE + bytes(100)),
        (AVC, SLICE + b"\xff"),
        (AVC, b"\0\0\0\1\x09"),
        (AVC, b"\0\0\0\1\x65\x88\x84"),
        (AVC, b"\0\0\1\x65\x88\x84"),
        (HEVC, b"\0\3\x40ab\0\2\x02c"),
        (SampleEntry(b"avc1"), b"\xff" * 20),
        (SampleEntry(b"mp4v"), b"\xff" * 31),
        (SampleEntry(b"mp4v"), b"\xff" * 99 + b"\1"),
        (SampleEntry(b"raw "), b"\xff" * 100),
        (SampleEntry(b"av01"), b"\x12\0\x0a\x0b"),
        (SampleEntry(b"av01"), b"\x32\x10"),
        (SampleEntry(b"apch"), b"\0\0\1\0icpf"),
        (SampleEntry(b"jpeg"), b"\0\0\xff\xd8\xff"),
        (SampleEntry(b"vp09"), b"\x82\x49\x83\x42"),
        (SampleEntry(b"vp09"), b"\x88"),
        (SampleEntry(b"raw "), bytes(100)),
        (SampleEntry(b"r210"), bytes(100)),
        (SampleEntry(b"AVrp"), bytes(100)),
        (SampleEntry(b"Y41P"), bytes(100)),
        (SampleEntry(b"zzzz"), b"\1"),
        (SampleEntry(), bytes(99) + b"\1"),
    ],
)
def test_sample_of_a_recorder_is_plausible(entry: SampleEntry, data: bytes) -> None:
    assert is_plausible_picture(entry, data, len(data))


@pytest.mark.parametrize(
    ("entry", "data"),
    [
        (AVC, bytes(100)),
        (AVC, b"\0\0\0\5\xc1abcd"),
        (AVC, b"\0\0\0\x99\x41abcd"),
        (AVC, SLICE + b"\0\0\0\5\x41abc"),
        (AVC, b"\xa5" * 100),
        (HEVC, b"\0\3\xc0ab"),
        (SampleEntry(b"av01"), b"\x92\0"),
        (SampleEntry(b"av01"), b"\0\x12"),
        (SampleEntry(b"vp09"), b"\xff" * 100),
        (SampleEntry(b"vp09"), b"\x49\x83\x42"),
        (SampleEntry(b"apcn"), b"\1" * 100),
        (SampleEntry(b"jpeg"), b"\1" * 100),
        (SampleEntry(b"zzzz"), bytes(100)),
        (SampleEntry(b"mp4v"), bytes(100)),
        (SampleEntry(b"mp4v"), b"\xff" * 100),
        (SampleEntry(b"zzzz"), b"\xa5" * 32),
    ],
)
def test_sample_without_a_picture_is_recognized(entry: SampleEntry, data: bytes) -> None:
    assert not is_plausible_picture(entry, data, len(data))


def test_unit_may_be_longer_than_the_bytes_checked() -> None:
    assert is_plausible_picture(AVC, b"\0\x01\0\0\x41abcd", 70_000)
    assert not is_plausible_picture(AVC, b"\0\x02\0\0\x41abcd", 70_000)


@pytest.mark.parametrize(
    ("kind", "size", "plausible"), [(b"mp4a", 100, False), (b"mp4a", 6, True), (b"sowt", 100, True)]
)
@pytest.mark.parametrize("fill", [b"\0", b"\xff"])
def test_equal_bytes_are_sound_only_without_compression(
    kind: bytes, size: int, fill: bytes, *, plausible: bool
) -> None:
    assert is_plausible_sound(SampleEntry(kind), fill * size) is plausible
    assert is_plausible_sound(SampleEntry(kind), fill * size + b"\1")
