"""Durations, frame rates, frame orders and edit lists."""

from __future__ import annotations

import struct

from tests.media.corpus.box_edits import edit_track
from tests.media.corpus.recording import DATASET, Edit, Recording
from tests.media.corpus.sources import BOTH, H264, SOUND
from tests.media.sample_files import overwrite, replace_box, with_edits

COPY = "-i {talk} -c copy"
ENCODE = f"{BOTH} {H264} -c:a aac"


def at_rate(rate: str, seconds: str = "12", options: str = "") -> str:
    """Return the arguments for a recording with this frame rate."""
    return (
        f"-f lavfi -i testsrc2=s=160x90:r={rate}:d={seconds} -f lavfi -i sine=r=48000:d={seconds} {H264}"
        f" {options} -c:a aac -b:a 32k"
    )


def edited(*edits: tuple[int, int]) -> Edit:
    return lambda data: with_edits(data, edits)


def with_frozen_edit(data: bytes) -> bytes:
    """Show the first frame for twelve seconds: an edit with the rate 0."""
    return replace_box(with_edits(data, [(12_000, 0)]), "moov.trak.edts.elst", overwrite(16, bytes(4)))


def with_wide_edits(data: bytes) -> bytes:
    """Give the first track a 64-bit edit list of 8 seconds from second 2."""
    entry = struct.pack(">QqI", 8_000, 2 * 16_384, 0x10000)
    elst = struct.pack(">II", 1 << 24, 1) + entry
    return replace_box(with_edits(data, [(8_000, 0)]), "moov.trak.edts.elst", lambda _: elst)


def with_wide_header(body: bytes) -> bytes:
    """Convert an mdhd box to version 1."""
    created, modified, scale, duration = struct.unpack_from(">4I", body, 4)
    return struct.pack(">IQQIQ", 1 << 24, created, modified, scale, duration) + body[20:]


RECORDINGS = (
    # Limits of the rules
    Recording("60 seconds", "-i {film} -t 60 -c copy", role=DATASET),
    Recording("58 seconds", "-i {film} -t 58 -c copy", role=DATASET, reasons=("duration-too-short",)),
    Recording("30 seconds", at_rate("2", "30")),
    Recording("31 seconds", at_rate("2", "31"), reasons=("duration-too-long",)),
    Recording("half a second", at_rate("4", "0.5")),
    # Frame rates
    Recording("24000/1001 frames per second", at_rate("24000/1001")),
    Recording("25 frames per second", at_rate("25")),
    Recording("30000/1001 frames per second", at_rate("30000/1001")),
    Recording("60 frames per second", at_rate("60", "3")),
    Recording("240 frames per second", at_rate("240", "2")),
    Recording("a frame per four seconds", at_rate("1/4", "20")),
    Recording("a single frame for 20 seconds", at_rate("1/20", "20")),
    Recording("variable frame rate", at_rate("10", options=r"-vf select=not(mod(n\\,7)) -fps_mode vfr")),
    Recording(
        "variable frame rate in bursts",
        at_rate("10", options=r"-vf select=lt(mod(n\\,40)\\,9) -fps_mode vfr"),
        warnings=("audio-longer-than-video",),
    ),
    Recording(
        "variable frame rate in a mov", at_rate("10", options=r"-vf select=not(mod(n\\,3)) -fps_mode vfr"), "mov"
    ),
    # Orders of frames
    Recording("three frames out of order", f"{ENCODE} -bf 3"),
    Recording("frames out of order in a mov", f"{ENCODE} -bf 3", "mov"),
    Recording("frames out of order without edit lists", f"{ENCODE} -bf 3 -use_editlist 0"),
    Recording("pyramid of frames", f"{ENCODE} -bf 7 -b-pyramid normal -g 24"),
    Recording("keyframes only", f"{ENCODE} -g 1"),
    Recording("one keyframe", f"{ENCODE} -g 1000"),
    Recording("open groups of pictures", f"{ENCODE} -bf 3 -flags -cgop -g 8 -x264-params open-gop=1"),
    # Starts and cuts, written by ffmpeg
    Recording("picture starts 4 seconds late", "-i {talk} -itsoffset 4 -i {talk} -map 1:v -map 0:a -c copy"),
    Recording("sound starts 4 seconds late", "-i {talk} -itsoffset 4 -i {talk} -map 0:v -map 1:a -c copy"),
    Recording("everything starts late", "-itsoffset 3 -i {talk} -c copy"),
    Recording("cut at the start", "-ss 4 -i {talk} -c copy"),
    Recording("cut between keyframes", "-ss 5 -i {talk} -c copy"),
    Recording("cut between keyframes in a mov", "-ss 5 -i {talk} -c copy", "mov"),
    Recording("cut between frames", "-ss 5.3 -i {talk} -c copy"),
    Recording("cut at both ends", "-ss 3 -t 5 -i {talk} -c copy"),
    Recording("cut without edit lists", "-ss 5 -i {talk} -c copy -use_editlist 0"),
    Recording("timestamps from an hour", f"{COPY} -output_ts_offset 3600"),
    # Edit lists of other tools
    Recording("edit to 8 seconds", COPY, edit=edited((8_000, 0)), warnings=("audio-longer-than-video",)),
    Recording("edit from second 2", COPY, edit=edited((10_000, 2 * 16_384)), warnings=("audio-longer-than-video",)),
    Recording("64-bit edit list", COPY, edit=with_wide_edits, warnings=("audio-longer-than-video",)),
    Recording(
        "two edits", COPY, edit=edited((3_000, 0), (4_000, 6 * 16_384)), warnings=("audio-longer-than-video",)
    ),
    Recording("edits in reverse order", COPY, edit=edited((4_000, 8 * 16_384), (8_000, 0))),
    Recording(
        "edit list that repeats",
        COPY,
        edit=edited((12_000, 0), (12_000, 0)),
        facts={"duration_seconds": 24.0},
        because="A player shows the part twice that two edits name; ffprobe counts it once.",
    ),
    Recording("empty edit first", COPY, edit=edited((4_000, -1), (12_000, 0))),
    Recording(
        "empty edit in the middle",
        COPY,
        edit=edited((4_000, 0), (3_000, -1), (8_000, 4 * 16_384)),
        facts={"duration_seconds": 15.0},
        because="A player shows nothing for three seconds between two edits; ffprobe leaves them out.",
    ),
    Recording(
        "empty edit last",
        COPY,
        edit=edited((12_000, 0), (5_000, -1)),
        facts={"duration_seconds": 17.0},
        because="A player waits for five seconds after the last frame; ffprobe leaves them out.",
    ),
    Recording("edit longer than the track", COPY, edit=edited((60_000, 0))),
    Recording(
        "edit beyond the track",
        COPY,
        edit=edited((12_000, 2**31 - 1)),
        reasons=("unknown-duration",),
        facts={"duration_seconds": None},
        because="A player shows nothing of an edit that begins behind the last frame; ffprobe ignores it.",
    ),
    Recording(
        "edit of no duration",
        COPY,
        edit=edited((0, 0)),
        reasons=("unknown-duration",),
        facts={"duration_seconds": None},
        because="A duration of zero is none.",
    ),
    Recording("frozen edit", COPY, edit=with_frozen_edit),
    Recording("edit list without entries", COPY, edit=edited()),
    # Headers
    Recording("64-bit media header", COPY, edit=edit_track(b"vide", "mdia.mdhd", with_wide_header)),
    Recording(
        "media header of duration 0",
        COPY,
        edit=edit_track(b"vide", "mdia.mdhd", overwrite(16, bytes(4))),
        facts={"duration_seconds": 12.0},
        because="The frames last for 12 seconds; ffprobe repeats the header, which some recorders leave at 0.",
    ),
    Recording(
        "media header of maximum duration", COPY, edit=edit_track(b"vide", "mdia.mdhd", overwrite(16, b"\xff" * 4))
    ),
    Recording(
        "media header of twice the duration",
        COPY,
        edit=edit_track(b"vide", "mdia.mdhd", overwrite(16, struct.pack(">I", 24 * 16_384))),
    ),
    Recording("track header of duration 0", COPY, edit=edit_track(b"vide", "tkhd", overwrite(20, bytes(4)))),
    Recording(
        "movie header of duration 0",
        COPY,
        edit=lambda data: replace_box(data, "moov.mvhd", overwrite(16, bytes(4))),
    ),
    Recording(
        "sound of 15 seconds with a picture of 12",
        "-i {talk} -f lavfi -i sine=d=15 -map 0:v -map 1:a -c:v copy -c:a aac",
        warnings=("audio-longer-than-video",),
    ),
    Recording(
        "sound of a minute with a picture of 12 seconds",
        "-i {talk} -f lavfi -i sine=d=62 -map 0:v -map 1:a -c:v copy -c:a aac",
        warnings=("audio-longer-than-video",),
    ),
    Recording("sound of 5 seconds", "-i {talk} -f lavfi -i sine=d=5 -map 0:v -map 1:a -c:v copy -c:a aac"),
    Recording(
        "still picture with sound",
        f"-f lavfi -i color=s=320x180:r=1:d=1 {SOUND} {H264} -c:a aac",
        warnings=("audio-longer-than-video",),
    ),
)
