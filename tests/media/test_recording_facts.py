from __future__ import annotations

import struct

import pytest

from media.facts.recording_facts import MAX_FIRST_FRAME_BYTES, MAX_HEADER_PIXELS, displayed_size
from media.ffmpeg.inspection import VideoStream
from media.ffmpeg.inspector import inspect
from media.mp4.sample_entries import SampleEntry
from media.mp4.samples import Samples
from media.mp4.tracks import VIDEO, Track
from media.remote.remote_file import READ_AHEAD_BYTES
from models.errors import MediaRejected
from models.media.facts import MediaFacts
from tests.media.inspected_files import STBL, encode, whole
from tests.media.mp4_boxes import box
from tests.media.sample_files import enable_tracks, encode_video, overwrite, pad_fragments, replace_box, with_edits
from tests.media.test_probe import probe_bytes, rejection_code


def facts(data: bytes) -> MediaFacts:
    return probe_bytes(data, inspect=inspect).facts


def track(width: int = 0, height: int = 0, *, is_rotated: bool = False) -> Track:
    return Track(
        id=1,
        handler=VIDEO,
        is_enabled=True,
        width=width,
        height=height,
        is_rotated=is_rotated,
        entry=SampleEntry(),
        timescale=1,
        edits=(),
        samples=Samples(),
    )


@pytest.mark.parametrize(
    ("coded", "aspect", "header", "is_rotated", "displayed"),
    [
        ((960, 720), (4, 3), (1280, 720), False, (1280, 720)),
        ((1440, 1080), (4, 3), (1920, 1080), True, (1080, 1920)),
        ((1440, 1080), (4, 3), (0, 0), False, (1920, 1080)),
        ((720, 576), (16, 15), (768, 576), False, (768, 576)),
        ((1280, 720), (1, 2), (640, 720), False, (640, 720)),
        ((1280, 720), (1, 1), (1280, 720), False, (1280, 720)),
        ((1280, 720), None, (1280, 720), True, (720, 1280)),
        ((0, 0), None, (640, 480), False, (640, 480)),
        ((1280, 720), (9, 16), (MAX_HEADER_PIXELS + 1, 720), False, (1280, 720)),
        ((1280, 720), (1, 2**31), (1280, 720), False, (1280, 720)),
        ((1280, 720), (2**31, 1), (1280, 720), True, (720, 1280)),
    ],
)
def test_displayed_size_follows_pixel_aspect_and_rotation(
    coded: tuple[int, int],
    aspect: tuple[int, int] | None,
    header: tuple[int, int],
    displayed: tuple[int, int],
    *,
    is_rotated: bool,
) -> None:
    stream = VideoStream(index=0, id=1, width=coded[0], height=coded[1], sample_aspect_ratio=aspect)
    assert displayed_size(stream, track(*header, is_rotated=is_rotated)) == displayed


def move_pictures(data: bytes, distance: int) -> bytes:
    """Insert a box before the picture data."""
    start = data.index(b"mdat") - 4
    for number in range(2):  # each frame is a chunk
        (offset,) = struct.unpack_from(">I", data, data.index(b"stco") + 12 + 4 * number)
        moved = struct.pack(">I", offset + distance)
        data = replace_box(data, f"{STBL}.stco", overwrite(8 + 4 * number, moved))
    return data[:start] + struct.pack(">I4s", distance, b"free") + bytes(distance - 8) + data[start:]


@pytest.mark.parametrize("distance", [8, READ_AHEAD_BYTES])
@pytest.mark.parametrize(
    ("codec", "pixel_format", "options"),
    [
        ("libx264", "yuv420p10le", (("qp", "4"), ("color_trc", "arib-std-b67"))),
        ("libx264", "yuv422p", (("qp", "4"), ("slices", "4"))),
        ("libx265", "yuv420p10le", (("x265-params", "qp=4"),)),
        ("libvpx-vp9", "yuv444p", (("crf", "1"), ("b", "100M"))),
        ("mjpeg", "yuvj444p", (("q", "1"),)),
    ],
)
def test_pixel_format_of_a_large_first_frame_is_known(
    codec: str, pixel_format: str, options: tuple[tuple[str, str], ...], distance: int
) -> None:
    data = encode(codec, width=512, height=512, pixel_format=pixel_format, options=options)
    assert len(data) > 2 * MAX_FIRST_FRAME_BYTES  # it has two frames
    result = probe_bytes(move_pictures(data, distance), inspect=inspect)
    assert result.facts.pixel_format == pixel_format
    assert result.facts.color_transfer == dict(options).get("color_trc")
    assert result.bytes_fetched < 5 * READ_AHEAD_BYTES


def test_sound_is_measured_apart_from_the_pictures() -> None:
    measured = facts(with_edits(encode_video(40), [(12_000, 0)]))
    assert measured.duration_seconds == pytest.approx(12)
    assert measured.audio_seconds == pytest.approx(40, abs=0.2)
    assert measured.audio_bit_rate is not None
    assert 100 < measured.audio_bit_rate < 10_000  # silence


def test_first_pictures_apart_from_the_sound_are_decoded() -> None:
    movflags = "frag_keyframe+empty_moov+default_base_moof+separate_moof"
    measured = facts(encode_video(12, movflags=movflags, keyframes=2, sound_first=True))
    assert measured.video_codec == "h264"
    assert measured.pixel_format == "yuv420p"
    assert measured.duration_seconds == 12.0


def test_first_pictures_that_are_zeros_are_found_apart_from_the_sound() -> None:
    movflags = "frag_keyframe+empty_moov+default_base_moof+separate_moof"
    data = encode_video(12, movflags=movflags, keyframes=2, sound_first=True)
    start = data.index(b"mdat", data.index(b"mdat") + 4) + 4
    assert rejection_code(data[:start] + bytes(1000) + data[start + 1000 :], inspect=inspect) == "unreadable"


def test_large_fragments_take_few_requests() -> None:
    movflags = "frag_keyframe+empty_moov+default_base_moof+skip_trailer"
    data = pad_fragments(encode_video(75, movflags=movflags, keyframes=2, sound=0), 100_000)
    result = probe_bytes(data, inspect=inspect)
    assert result.facts.duration_seconds == 75.0
    assert result.requests <= 5
    assert result.bytes_fetched <= 400 * 1024


def test_disabled_tracks_count_if_all_are_disabled() -> None:
    assert facts(enable_tracks(encode_video(12), enabled=False)).duration_seconds == 12.0


def test_keys_explain_pictures_that_cannot_be_read() -> None:
    data = encode_video(12)
    start = data.index(b"mdat") + 4
    damaged = data[:start] + b"\xa5" * 3000 + data[start + 3000 :]
    keys = b"\0\0\0\x20pssh" + bytes(24)
    assert rejection_code(damaged, inspect=inspect) == "unreadable"
    assert rejection_code(replace_box(damaged, "moov", lambda moov: moov + keys), inspect=inspect) == "encrypted"
    assert facts(replace_box(data, "moov", lambda moov: moov + keys)).duration_seconds == 12.0


def with_data_in(data: bytes, *entries: tuple[bytes, int, bytes]) -> bytes:
    """Return a video whose samples are at the start of the files that these data references name."""
    dref = b"".join(box(kind, struct.pack(">I", flags) + location) for kind, flags, location in entries)
    data = replace_box(data, "moov.trak.mdia.minf.dinf.dref", lambda _: struct.pack(">II", 0, len(entries)) + dref)
    return replace_box(data, f"{STBL}.stco", lambda table: table[:8] + bytes(len(table) - 8))


@pytest.mark.parametrize(
    ("entry", "is_external"),
    [
        ((b"alis", 0, bytes(100) + b"/movies/frames.jpg"), True),
        ((b"url ", 0, b"file:///frames.mp4\0"), True),
        ((b"url ", 0, b"\0"), False),
        ((b"url ", 1, b""), False),
        ((b"alis", 1, bytes(100) + b"/movies/frames.jpg"), False),
    ],
)
def test_pictures_in_another_file_are_named(entry: tuple[bytes, int, bytes], *, is_external: bool) -> None:
    with pytest.raises(MediaRejected) as rejected:
        facts(with_data_in(encode_video(12, sound=0), entry))
    assert rejected.value.rule_code == "unreadable"
    assert ("in other files" in str(rejected.value)) == is_external
    assert ("self-contained" in str(rejected.value.hint)) == is_external


def test_data_reference_of_pictures_that_are_here_is_ignored() -> None:
    data = encode_video(12, sound=0)
    dref = struct.pack(">II", 0, 1) + box(b"url ", bytes(4) + b"elsewhere.mp4")
    assert facts(replace_box(data, "moov.trak.mdia.minf.dinf.dref", lambda _: dref)).duration_seconds == 12.0


def test_last_picture_far_from_both_ends_is_checked() -> None:
    """What is read for other reasons ends two blocks before the picture, or begins two blocks behind it."""
    apart = bytes(2 * READ_AHEAD_BYTES)
    data = move_pictures(encode("libx264"), len(apart))
    start, end = data.index(b"mdat") - 4, data.index(b"moov") - 4
    pictures = data[start + 8 : end]
    data = data[: start - len(apart)] + box(b"mdat", apart + pictures + apart) + data[end:]
    last = inspect(whole(data)).videos[0].last
    assert last is not None
    damaged = data[: last.position] + bytes(last.size) + data[last.position + last.size :]
    assert rejection_code(damaged, inspect=inspect) == "truncated"
    assert facts(data).duration_seconds == 2.0


def test_sample_in_the_index_is_unreadable() -> None:
    data = encode_video(12, sound=0)
    moov = data.index(b"moov")
    damaged = replace_box(data, "moov.trak.mdia.minf.stbl.stco", overwrite(8, moov.to_bytes(4)))
    assert rejection_code(damaged, inspect=inspect) == "unreadable"
