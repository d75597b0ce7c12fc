"""Containers: brands, positions of the index, options of the muxer, and boxes around the recording."""

from __future__ import annotations

import struct
import zlib

from tests.media.corpus.box_edits import box, insert_before_moov, moov_bytes
from tests.media.corpus.recording import DATASET, Recording
from tests.media.corpus.sources import BOTH, H264
from tests.media.sample_files import boxes, replace_box

COPY = "-i {talk} -c copy"


def without_file_type(data: bytes) -> bytes:
    return data.replace(b"ftyp", b"free", 1)


def only_3gp(data: bytes) -> bytes:
    """Remove the compatible brands of MP4."""
    return data.replace(b"isomiso2avc1", b"3gp63gp53gp4", 1)


def with_last_length_zero(data: bytes) -> bytes:
    """Give the last box the length 0, which stands for the rest of the file."""
    *_, (_, start, _, _) = boxes(data)
    return data[:start] + bytes(4) + data[start + 4 :]


def with_wide_length(data: bytes) -> bytes:
    """Give the picture data a 64-bit length, in the room of the free box before it."""
    start = data.index(b"\x00\x00\x00\x08free")
    (length,) = struct.unpack_from(">I", data, start + 8)
    return data[:start] + struct.pack(">I4sQ", 1, b"mdat", length + 8) + data[start + 16 :]


def with_compressed_index(data: bytes) -> bytes:
    """Compress the index at the end of the file, as QuickTime does for movies on the web."""
    moov = moov_bytes(data)
    compressed = box(b"dcom", b"zlib") + box(b"cmvd", struct.pack(">I", len(moov)) + zlib.compress(moov))
    return data[: data.index(moov)] + box(b"moov", box(b"cmov", compressed))


def with_large_user_data(data: bytes) -> bytes:
    return replace_box(data, "moov", lambda body: body + box(b"udta", box(b"meta", bytes(300_000))))


RECORDINGS = (
    Recording("dataset mp4", "-i {film} -c copy", role=DATASET),
    Recording("dataset mp4 faststart", "-i {film} -c copy -movflags faststart", role=DATASET),
    Recording("dataset mov", "-i {film} -c copy", "mov", role=DATASET),
    Recording("dataset mov faststart", "-i {film} -c copy -movflags faststart", "mov", role=DATASET),
    Recording("consent mp4", COPY),
    Recording("consent mov", COPY, "mov"),
    # Brands
    Recording("m4v", f"{COPY} -f ipod", "m4v"),
    Recording("ismv", COPY, "ismv", reasons=("wrong-container",)),
    # ffmpeg declares that these are MP4 files, too.
    Recording("3gp", f"{COPY} -f 3gp", "3gp"),
    Recording("3g2", f"{COPY} -f 3g2", "3g2"),
    Recording("3gp only", f"{COPY} -f 3gp", "3gp", edit=only_3gp, reasons=("wrong-container",)),
    Recording("f4v", f"{COPY} -f f4v", "f4v"),
    Recording("psp", f"{COPY} -f psp"),
    Recording("brand mp42", f"{COPY} -brand mp42"),
    Recording("brand mp41", f"{COPY} -brand mp41"),
    Recording("brand iso2", f"{COPY} -brand iso2"),
    Recording("brand iso6", f"{COPY} -brand iso6"),
    Recording("brand avc1", f"{COPY} -brand avc1"),
    Recording("brand dash", f"{COPY} -brand dash"),
    Recording("brand XAVC", f"{COPY} -brand XAVC"),
    Recording("brand unknown", f"{COPY} -brand zzzz"),
    Recording("mov without file type", COPY, "mov", edit=without_file_type),
    # Options of the muxer
    Recording("space for the index", f"{COPY} -moov_size 20000"),
    Recording("tags of the user", f"{COPY} -movflags use_metadata_tags -metadata location=52.5+13.4"),
    Recording("unicode title", f"{COPY} -metadata title=Äß漢字🎬 -metadata artist=O'Neill".replace("'", "\\'")),
    Recording("long comment", f"{COPY} -metadata comment={'x' * 60_000}"),
    Recording("mov with tags", f"{COPY} -metadata title=Ada -metadata make=Camera", "mov"),
    Recording("no names of handlers", f"{COPY} -empty_hdlr_name 1"),
    Recording("bit rate box", f"{COPY} -write_btrt 1"),
    Recording("initial object descriptor", f"{COPY} -skip_iods 0"),
    Recording("movie time scale 1", f"{COPY} -movie_timescale 1"),
    Recording("movie time scale 90000", f"{COPY} -movie_timescale 90000"),
    Recording("track time scale 2", f"{COPY} -video_track_timescale 2"),
    Recording("track time scale 90000", f"{COPY} -video_track_timescale 90000"),
    Recording("track time scale 10000000", f"{COPY} -video_track_timescale 10000000"),
    Recording("track ids from 256", f"{COPY} -use_stream_ids_as_track_ids 1 -streamid 0:256 -streamid 1:257"),
    Recording("track ids reversed", f"{COPY} -use_stream_ids_as_track_ids 1 -streamid 0:9 -streamid 1:3"),
    Recording("hint tracks", f"{COPY} -movflags rtphint"),
    Recording("no chapter box", f"{COPY} -movflags disable_chpl"),
    Recording("mov gamma and color", f"{COPY} -movflags write_colr+write_gama -mov_gamma 2.2", "mov"),
    Recording("negative composition offsets", f"{BOTH} {H264} -bf 2 -c:a aac -movflags negative_cts_offsets"),
    Recording("language", f"{COPY} -metadata:s:v language=deu -metadata:s:a language=jpn"),
    # Boxes around the recording
    Recording("64-bit length", COPY, edit=with_wide_length),
    Recording("index up to the end", COPY, edit=with_last_length_zero),
    Recording("data up to the end", f"{COPY} -movflags faststart", edit=with_last_length_zero),
    Recording("free box before the index", COPY, edit=insert_before_moov(b"free", 5000)),
    Recording("large free box before the index", COPY, edit=insert_before_moov(b"free", 2_000_000)),
    *(
        Recording(
            f"{kind} of {size} bytes before a late index",
            "-i {film} -c copy",
            edit=insert_before_moov(kind.encode(), size),
            role=DATASET,
        )
        for kind, size in (("free", 8), ("free", 50), ("free", 40_000), ("skip", 50), ("wide", 0), ("mdat", 50))
    ),
    Recording("unknown box before the index", COPY, edit=insert_before_moov(b"zzzz", 100)),
    Recording("uuid box before the index", COPY, edit=insert_before_moov(b"uuid", 4000)),
    Recording("second picture data box", COPY, edit=insert_before_moov(b"mdat", 4000)),
    Recording("empty picture data box", COPY, edit=insert_before_moov(b"mdat", 0)),
    Recording("free box at the end", COPY, edit=lambda data: data + box(b"free", bytes(9000))),
    Recording("metadata box at the end", COPY, edit=lambda data: data + box(b"meta", bytes(900))),
    Recording("zeros at the end", COPY, edit=lambda data: data + bytes(4096)),
    Recording("noise at the end", COPY, edit=lambda data: data + b"\xa5\x5a" * 3000),
    Recording("three bytes at the end", COPY, edit=lambda data: data + b"\r\n\0"),
    Recording("large user data", COPY, edit=with_large_user_data),
    Recording("compressed index", COPY, "mov", edit=with_compressed_index, reasons=("unreadable",)),
)
