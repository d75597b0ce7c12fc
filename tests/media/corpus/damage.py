"""Damaged recordings: cut, zero-filled, overwritten and changed in transfer, with the codes that they must have."""

from __future__ import annotations

import base64
import gzip
import hashlib
import struct

from tests.media.corpus.box_edits import box, edit_track, handler_of, moov_bytes, top_level
from tests.media.corpus.recording import DATASET, Edit, Recording
from tests.media.sample_files import last_fragment_offset, overwrite, replace_box

FILM = "-i {film} -c copy"
FAST = f"{FILM} -movflags faststart"
TALK = "-i {talk} -c copy"
FRAGMENTS = f"{TALK} -movflags frag_keyframe+empty_moov+default_base_moof+skip_trailer"
BLOCK = 4096


def make_noise(count: int) -> bytes:
    """Return bytes without a pattern, the same in each session."""
    return hashlib.shake_256(b"").digest(count)


def fill_index(data: bytes, *, noise: bool) -> bytes:
    """Overwrite the body of the index."""
    body = moov_bytes(data)[8:]
    return data.replace(body, make_noise(len(body)) if noise else bytes(len(body)))


def cut(share: float) -> Edit:
    """Return an edit that keeps this share of the bytes from the start."""
    return lambda data: data[: int(len(data) * share)]


def cut_end(count: int) -> Edit:
    return lambda data: data[:-count]


def zero_from(share: float) -> Edit:
    """Return an edit that zeroes everything behind this share of the bytes."""
    return lambda data: cut(share)(data) + bytes(len(data) - len(cut(share)(data)))


def media_range(data: bytes) -> tuple[int, int]:
    """Return the positions of the first byte of the first mdat's body and of its end."""
    return next((start + 8, end) for kind, start, end in top_level(data) if kind == b"mdat")


def fill_media(first: float, last: float, *, noise: bool = False) -> Edit:
    """Return an edit that overwrites a part of the first mdat's body, between two shares of it."""

    def edit(data: bytes) -> bytes:
        start, end = media_range(data)
        low, high = (start + int((end - start) * share) for share in (first, last))
        filling = make_noise(high - low) if noise else bytes(high - low)
        return data[:low] + filling + data[high:]

    return edit


def zero_after(count: int) -> Edit:
    """Return an edit that zeroes the mdat's body behind its first `count` bytes."""

    def edit(data: bytes) -> bytes:
        start, end = media_range(data)
        return data[: start + count] + bytes(end - start - count) + data[end:]

    return edit


def shift_chunks(by: int) -> Edit:
    """Return an edit that adds a number of bytes to the chunk offsets of all tracks."""

    def change(body: bytes) -> bytes:
        offsets = struct.unpack(f">{(len(body) - 8) // 4}I", body[8:])
        return body[:8] + struct.pack(f">{len(offsets)}I", *((offset + by) % 2**32 for offset in offsets))

    return lambda data: replace_box(data, "moov.trak.mdia.minf.stbl.stco", change, every=True)


def cut_in_fragment(offset: int) -> Edit:
    """Return an edit that cuts this far behind the start of the last fragment."""
    return lambda data: data[: last_fragment_offset(data) + offset]


def cut_before(kind: bytes) -> Edit:
    return lambda data: data[: next(start for name, start, _ in top_level(data) if name == kind)]


def zero_last_fragment(data: bytes) -> bytes:
    *_, (_, start, end) = [entry for entry in top_level(data) if entry[0] == b"mdat"]
    return data[: start + 8] + bytes(end - start - 8) + data[end:]


def without_track(handler: bytes) -> Edit:
    return lambda data: replace_box(
        data, "moov.trak", lambda body: None if handler_of(body) == handler else body, every=True
    )


def encrypted_with(scheme: str = "") -> str:
    return (
        f"{TALK} {scheme} -encryption_scheme cenc-aes-ctr -encryption_key 00112233445566778899aabbccddeeff"
        " -encryption_kid 00112233445566778899aabbccddeeff"
    )


def protect_sample_entry(body: bytes) -> bytes:
    """Rename the sample entry to encv and append the boxes of Common Encryption, as packagers do."""
    protection = box(
        b"sinf",
        box(b"frma", body[12:16]) + box(b"schm", b"\0\0\0\0cbcs\0\1\0\0") + box(b"schi", box(b"tenc", bytes(24))),
    )
    (length,) = struct.unpack_from(">I", body, 8)
    return body[:8] + struct.pack(">I", length + len(protection)) + b"encv" + body[16:] + protection


def rename_sample_entry(name: bytes) -> Edit:
    return edit_track(b"vide", "mdia.minf.stbl.stsd", overwrite(12, name))


CUTS = (
    Recording("cut to the half, index first", FAST, edit=cut(0.5), role=DATASET, reasons=("truncated",)),
    Recording("cut to the half, index last", FILM, edit=cut(0.5), role=DATASET, reasons=("truncated",)),
    Recording("cut by a byte, index first", FAST, edit=cut_end(1), role=DATASET, reasons=("truncated",)),
    Recording("cut by 4 KiB, index first", FAST, edit=cut_end(BLOCK), role=DATASET, reasons=("truncated",)),
    Recording("cut by a byte, index last", FILM, edit=cut_end(1), role=DATASET, reasons=("truncated",)),
    Recording(
        "cut behind the picture data", FILM, edit=cut_before(b"moov"), role=DATASET, reasons=("missing-moov",)
    ),
    Recording("cut before the picture data", FAST, edit=cut_before(b"mdat"), role=DATASET, reasons=("truncated",)),
    Recording("cut in the index", FAST, edit=cut(0.001), role=DATASET, reasons=("truncated",)),
    Recording("start is missing", FILM, edit=lambda data: data[1000:], role=DATASET, reasons=("wrong-container",)),
    Recording("cut by 4 KiB in a mov", f"{FAST} -f mov", edit=cut_end(BLOCK), role=DATASET, reasons=("truncated",)),
    # Fragments
    Recording("cut before the first fragment", FRAGMENTS, edit=cut_before(b"moof"), reasons=("truncated",)),
    Recording("cut in the last fragment's header", FRAGMENTS, edit=cut_in_fragment(20), reasons=("truncated",)),
    Recording("cut in the last fragment's data", FRAGMENTS, edit=cut_end(100), reasons=("truncated",)),
    Recording(
        "cut behind the header of the last segment",
        f"{TALK} -movflags dash+frag_keyframe",
        edit=cut_in_fragment(0),
        reasons=("truncated",),
    ),
    Recording("last fragment of zeros", FRAGMENTS, edit=zero_last_fragment, reasons=("truncated",)),
    Recording("zeros from the half, in fragments", FRAGMENTS, edit=zero_from(0.5), reasons=("truncated",)),
    Recording(
        "index without fragments",
        FRAGMENTS,
        edit=lambda data: data[: len(moov_bytes(data)) + 36],
        reasons=("truncated",),
    ),
)

FILLED = (
    Recording("zeros behind 60 KB", FAST, edit=zero_after(60_000), role=DATASET, reasons=("truncated",)),
    Recording(
        "zeros behind 60 KB, index last", FILM, edit=zero_after(60_000), role=DATASET, reasons=("truncated",)
    ),
    Recording("zeros in the last tenth", FAST, edit=zero_from(0.9), role=DATASET, reasons=("truncated",)),
    Recording(
        "zeros in the last 64 KiB",
        FAST,
        edit=lambda data: data[:-65536] + bytes(65536),
        role=DATASET,
        reasons=("truncated",),
    ),
    Recording("zeros in all picture data", FAST, edit=fill_media(0, 1), role=DATASET, reasons=("truncated",)),
    Recording("zeros in the first half", FAST, edit=fill_media(0, 0.5), role=DATASET, reasons=("truncated",)),
    Recording(
        "noise in all picture data", FAST, edit=fill_media(0, 1, noise=True), role=DATASET, reasons=("unreadable",)
    ),
    Recording("zeros in the middle", FAST, edit=fill_media(0.4, 0.6), role=DATASET, reasons=("truncated",)),
    Recording(
        "zeros in the index",
        FAST,
        edit=lambda data: fill_index(data, noise=False),
        role=DATASET,
        reasons=("no-video-stream",),
        warnings=("no-audio",),
    ),
    Recording(
        "noise in the index",
        FAST,
        edit=lambda data: fill_index(data, noise=True),
        role=DATASET,
        reasons=("no-video-stream",),
        warnings=("no-audio",),
    ),
)

TABLES = (
    Recording("chunk offsets too small", TALK, edit=shift_chunks(-30), reasons=("unreadable",)),
    Recording("chunk offsets too large", TALK, edit=shift_chunks(10**8), reasons=("truncated",)),
    Recording("chunk offsets negative", TALK, edit=shift_chunks(-(10**6)), reasons=("truncated",)),
    Recording(
        "sample count of maximum",
        TALK,
        edit=edit_track(b"vide", "mdia.minf.stbl.stsz", overwrite(8, b"\xff" * 4)),
        reasons=("unreadable",),
    ),
    Recording(
        "time table of maximum",
        TALK,
        edit=edit_track(b"vide", "mdia.minf.stbl.stts", overwrite(4, b"\xff" * 4)),
        reasons=("unreadable",),
    ),
    Recording(
        "picture track without samples",
        TALK,
        edit=edit_track(b"vide", "mdia.minf.stbl.stsz", overwrite(8, bytes(4))),
        reasons=("unknown-duration",),
        facts={"duration_seconds": None},
        because="A player shows nothing of a track without samples; ffprobe repeats its header.",
    ),
    Recording(
        "no sample table",
        TALK,
        edit=edit_track(b"vide", "mdia.minf.stbl", lambda _: b""),
        reasons=("unknown-codec", "unknown-duration"),
        facts={"width": 320, "height": 180, "duration_seconds": None, "frame_rate": None},
        because="A player shows nothing of a track without samples; ffprobe repeats its header.",
    ),
    Recording(
        "no sample description",
        TALK,
        edit=edit_track(b"vide", "mdia.minf.stbl.stsd", lambda _: None),
        reasons=("unknown-codec",),
        facts={"width": 320, "height": 180},
        because="The header of the track states the size; ffprobe asks the missing description.",
    ),
    Recording(
        "no decoder configuration", TALK, edit=lambda data: data.replace(b"avcC", b"free"), reasons=("unreadable",)
    ),
    Recording("picture track removed", TALK, edit=without_track(b"vide"), reasons=("no-video-stream",)),
    Recording("sound track removed", TALK, edit=without_track(b"soun"), reasons=("no-audio",)),
)

TRANSFERS = (
    Recording(
        "transferred as text",
        FAST,
        edit=lambda data: data.replace(b"\n", b"\r\n"),
        role=DATASET,
        reasons=("truncated",),
    ),
    Recording("base64", TALK, edit=base64.b64encode, reasons=("not-a-video",)),
    Recording("gzip", TALK, edit=lambda data: gzip.compress(data, 1), reasons=("not-a-video",)),
    Recording(
        "body of a form",
        TALK,
        edit=lambda data: b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + data + b"\r\n--x--",
        reasons=("not-a-video",),
    ),
    Recording("twice in one file", TALK, edit=lambda data: data * 2),
    Recording("bytes reversed", TALK, edit=lambda data: data[::-1], reasons=("wrong-container",)),
    Recording("only zeros", TALK, edit=lambda data: bytes(len(data)), reasons=("truncated",)),
)

ENCRYPTED = (
    Recording("encrypted", encrypted_with(), reasons=("encrypted",)),
    Recording("encrypted, index first", encrypted_with("-movflags faststart"), reasons=("encrypted",)),
    Recording("encrypted fragments", encrypted_with("-movflags frag_keyframe+empty_moov"), reasons=("encrypted",)),
    Recording(
        "encrypted, as packagers do",
        TALK,
        edit=edit_track(b"vide", "mdia.minf.stbl.stsd", protect_sample_entry),
        reasons=("encrypted",),
    ),
    Recording("encrypted by a shop", TALK, edit=rename_sample_entry(b"drmi"), reasons=("encrypted",)),
)

RECORDINGS = CUTS + FILLED + TABLES + TRANSFERS + ENCRYPTED
