"""Sizes, pixel aspects, rotations and colors."""

from __future__ import annotations

import struct

from tests.media.corpus.box_edits import TKHD_SIZE, box, edit_track, with_boxes_in_sample_entry, with_matrix
from tests.media.corpus.recording import DATASET, Recording
from tests.media.corpus.sources import H264
from tests.media.sample_files import overwrite

COPY = "-i {talk} -c copy"
HEVC10 = "-c:v libx265 -preset ultrafast -x265-params log-level=error:pools=1:frame-threads=1 -pix_fmt yuv420p10le"
BT2020 = "-color_primaries bt2020 -colorspace bt2020nc"

UNUSUAL = ("unusual-resolution",)


def sized(size: str, options: str = H264, *, seconds: int = 12, rate: str = "2") -> str:
    """Return the arguments for a recording of this size."""
    return (
        f"-f lavfi -i testsrc2=s={size}:r={rate}:d={seconds} -f lavfi -i sine=r=48000:d={seconds} {options}"
        " -c:a aac -b:a 32k"
    )


def dataset(size: str, options: str = H264) -> str:
    return sized(size, options, seconds=64, rate="1/4")


def clean_aperture(width: int, height: int) -> bytes:
    """Return a clap box that shows the middle of the picture."""
    return box(b"clap", struct.pack(">8I", width, 1, height, 1, 0, 1, 0, 1))


RECORDINGS = (
    # Sizes within and beyond the rules of dataset recordings
    Recording("dataset of 1280x720", dataset("1280x720"), role=DATASET),
    Recording("dataset of 720x1280", dataset("720x1280"), role=DATASET),
    Recording("dataset of 1920x1080", dataset("1920x1080"), role=DATASET),
    Recording("dataset of 3840x2160", dataset("3840x2160"), role=DATASET),
    Recording("dataset of 2160x3840", dataset("2160x3840"), role=DATASET),
    Recording("dataset of 1278x720", dataset("1278x720"), role=DATASET, warnings=UNUSUAL),
    Recording("dataset of 1280x718", dataset("1280x718"), role=DATASET, warnings=UNUSUAL),
    Recording("dataset of 1080x1080", dataset("1080x1080"), role=DATASET, warnings=UNUSUAL),
    Recording("dataset of 720x960", dataset("720x960"), role=DATASET, warnings=UNUSUAL),
    Recording("dataset of 4096x2160", dataset("4096x2160"), role=DATASET, warnings=UNUSUAL),
    Recording("dataset of 640x360", dataset("640x360"), role=DATASET, reasons=("resolution-too-low",)),
    Recording("dataset of 854x480", dataset("854x480"), role=DATASET, reasons=("resolution-too-low",)),
    Recording(
        "dataset of 5120x2880",
        dataset("5120x2880"),
        role=DATASET,
        reasons=("resolution-too-high",),
    ),
    Recording("dataset of 960x720 at 4:3", dataset("960x720", f"-vf setsar=4/3 {H264}"), role=DATASET),
    Recording("dataset of 1440x1080 at 4:3", dataset("1440x1080", f"-vf setsar=4/3 {H264}"), role=DATASET),
    # Odd sizes
    Recording("2x2", sized("2x2")),
    Recording("16x16", sized("16x16")),
    Recording("322x182", sized("322x182")),
    Recording(
        "321x181, 4:4:4",
        sized("321x181", "-c:v libx264 -preset ultrafast -pix_fmt yuv444p"),
        warnings=("uncommon-codec",),
    ),
    Recording("1918x1078", sized("1918x1078")),
    Recording("1920x8", sized("1920x8")),
    Recording("8x1920", sized("8x1920")),
    # Pixel aspects
    *(
        Recording(f"pixel aspect {aspect}", sized("320x180", f"-vf setsar={aspect.replace(':', '/')} {H264}"))
        for aspect in ("4:3", "3:4", "16:15", "64:45", "1:1", "40:33", "9:1")
    ),
    Recording("pixel aspect in a mov", sized("320x180", f"-vf setsar=4/3 {H264}"), "mov"),
    Recording("pixel aspect in the container only", f"{COPY} -aspect 4:3"),
    Recording(
        "pixel aspect and a quarter turn", sized("320x180", f"-vf setsar=4/3 {H264}"), edit=with_matrix(0, 1, -1, 0)
    ),
    Recording(
        "pixel aspect of H.265",
        sized("320x180", f"-vf setsar=4/3 {HEVC10} -tag:v hvc1"),
        warnings=("uncommon-codec",),
    ),
    # Rotations
    Recording("turned by 90", COPY, edit=with_matrix(0, 1, -1, 0)),
    Recording("turned by 180", COPY, edit=with_matrix(-1, 0, 0, -1)),
    Recording("turned by 270", COPY, edit=with_matrix(0, -1, 1, 0)),
    Recording("mirrored", COPY, edit=with_matrix(-1, 0, 0, 1)),
    Recording("upside down", COPY, edit=with_matrix(1, 0, 0, -1)),
    Recording("mirrored and turned by 90", COPY, edit=with_matrix(0, 1, 1, 0)),
    Recording("turned by 45", COPY, edit=with_matrix(0.7071, 0.7071, -0.7071, 0.7071)),
    Recording(
        "turned by 90, fragmented",
        f"{COPY} -movflags frag_keyframe+empty_moov+omit_tfhd_offset+default_base_moof",
        edit=with_matrix(0, 1, -1, 0),
    ),
    Recording("matrix of zeros", COPY, edit=with_matrix(0, 0, 0, 0)),
    Recording("matrix of twice the size", COPY, edit=with_matrix(2, 0, 0, 2)),
    # Headers
    Recording(
        "track header of another aspect",
        COPY,
        edit=edit_track(b"vide", "tkhd", overwrite(TKHD_SIZE, struct.pack(">II", 240 << 16, 180 << 16))),
    ),
    Recording(
        "track header of twice the size",
        COPY,
        edit=edit_track(b"vide", "tkhd", overwrite(TKHD_SIZE, struct.pack(">II", 640 << 16, 360 << 16))),
    ),
    Recording("track header without size", COPY, edit=edit_track(b"vide", "tkhd", overwrite(TKHD_SIZE, bytes(8)))),
    Recording("clean aperture", COPY, edit=with_boxes_in_sample_entry(clean_aperture(300, 160))),
    # Colors
    Recording("BT.709", sized("320x180", f"{H264} -color_trc bt709 -color_primaries bt709 -colorspace bt709")),
    Recording(
        "BT.601", sized("320x180", f"{H264} -color_trc smpte170m -color_primaries smpte170m -colorspace smpte170m")
    ),
    Recording("full range", sized("320x180", "-c:v libx264 -preset ultrafast -pix_fmt yuvj420p -color_range pc")),
    Recording("sRGB transfer", sized("320x180", f"{H264} -color_trc iec61966-2-1")),
    Recording(
        "HLG",
        sized("320x180", f"{HEVC10} -tag:v hvc1 -color_trc arib-std-b67 {BT2020}"),
        warnings=("uncommon-codec",),
    ),
    Recording(
        "PQ", sized("320x180", f"{HEVC10} -tag:v hvc1 -color_trc smpte2084 {BT2020}"), warnings=("uncommon-codec",)
    ),
    Recording(
        "HLG in H.264", sized("320x180", f"{H264} -color_trc arib-std-b67 {BT2020}"), warnings=("uncommon-codec",)
    ),
    Recording(
        "HLG in a mov",
        sized("320x180", f"{HEVC10} -tag:v hvc1 -color_trc arib-std-b67 {BT2020}"),
        "mov",
        warnings=("uncommon-codec",),
    ),
    Recording(
        "PQ in ProRes",
        sized("320x180", f"-c:v prores_ks -color_trc smpte2084 {BT2020} -movflags write_colr"),
        "mov",
        warnings=("uncommon-codec",),
    ),
    Recording(
        "color box of another transfer",
        f"{COPY} -color_trc arib-std-b67 {BT2020} -movflags write_colr",
        warnings=("uncommon-codec",),
    ),
)
