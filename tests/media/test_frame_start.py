"""The start of a frame of H.264 or HEVC, as FFmpeg accepts it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.ffmpeg.frame_start import end_last_nal_unit

AVCC = b"\x01\x64\x00\x1e\xff"


def units(data: bytes) -> list[bytes]:
    """Split a frame into its NAL units, which must fill it."""
    found = []
    while data:
        length = int.from_bytes(data[:4])
        assert 4 + length <= len(data)
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1), st.data())
def test_cut_frame_has_the_same_units_up_to_its_end(whole: list[bytes], data: st.DataObject) -> None:
    frame = b"".join(len(unit).to_bytes(4) + unit for unit in whole)
    cut = units(end_last_nal_unit(frame[: data.draw(st.integers(0, len(frame)))], "h264", AVCC))
    assert cut[:-1] == whole[: len(cut)][:-1]
    assert not cut or whole[len(cut) - 1].startswith(cut[-1])


def test_length_of_nal_units_has_the_size_of_the_configuration() -> None:
    assert end_last_nal_unit(b"\x00\x09abc", "h264", b"\x01\x64\x00\x1e\xfd") == b"\x00\x03abc"
    assert end_last_nal_unit(b"\x09abc", "hevc", b"\x01" + bytes(20) + b"\xfc") == b"\x03abc"


@pytest.mark.parametrize(
    ("codec", "configuration"), [("vp9", AVCC), (None, AVCC), ("h264", None), ("h264", b"\x01")]
)
def test_other_frames_stay_as_they_are(codec: str | None, configuration: bytes | None) -> None:
    assert end_last_nal_unit(b"\0\0\0\x63abc", codec, configuration) == b"\0\0\0\x63abc"
