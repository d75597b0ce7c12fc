"""Reads the facts about a voice sample from its first bytes: kind, size and, if its header states it, duration."""

from __future__ import annotations

from collections.abc import Callable

from media.kinds.audio_kinds import require_audio
from media.remote.remote_file import RemoteFile
from models.media.facts import MediaFacts

HEADER_BYTES = 64 * 1024
_MP3_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_MP3_RATES = (44100, 48000, 32000)
_MP3_SAMPLES = 1152


def read_audio_facts(file: RemoteFile) -> MediaFacts:
    """Read the facts about an audio file with one request.

    Raises:
        MediaRejected: If the file is not an audio file.
        MediaUnreachable: If the host gives no usable response.
    """
    size = min(HEADER_BYTES, file.size)
    file.fetch(0, size)
    file.seek(0)
    head = file.read(size)
    kind = require_audio(head)
    read_seconds = _READ_SECONDS.get(kind)
    return MediaFacts(
        size_bytes=file.size,
        container=kind,
        has_audio=True,
        audio_seconds=None if read_seconds is None else read_seconds(head, file.size),
        etag=file.etag,
        sample_sha256=file.sample_sha256(),
    )


def _wav_seconds(head: bytes, size: int) -> float | None:
    """Return the size of the data by the byte rate of the chunk `fmt `; None without both chunks."""
    position, rate = 12, 0
    while position + 8 <= len(head):
        name, length = head[position : position + 4], int.from_bytes(head[position + 4 : position + 8], "little")
        if name == b"fmt ":
            rate = int.from_bytes(head[position + 16 : position + 20], "little")
        elif name == b"data":
            return min(length, size - position - 8) / rate if rate else None
        position += 8 + length + length % 2
    return None


def _flac_seconds(head: bytes, _size: int) -> float | None:
    """Return the samples by the sample rate of the block STREAMINFO, which is the first one."""
    fields = int.from_bytes(head[18:26], "big")
    rate, samples = fields >> 44, fields & (1 << 36) - 1
    return samples / rate if rate and samples and len(head) >= 26 else None  # noqa: PLR2004  # the end of the fields


def _mp3_seconds(head: bytes, size: int) -> float | None:
    """Return the duration by the header Xing or, with a constant bit rate, by the first frame of MPEG-1 Layer 3."""
    start = 0
    if head.startswith(b"ID3"):
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=False))
    frame = head[start : start + 4]
    if len(frame) < 4 or frame[0] != 0xFF or frame[1] & 0xFE != 0xFA:  # noqa: PLR2004  # the bits of the header
        return None
    rate_index = frame[2] >> 2 & 3
    kbits = _MP3_KBITS[frame[2] >> 4]
    if rate_index == len(_MP3_RATES) or not kbits:
        return None
    for name in (b"Xing", b"Info"):
        found = head.find(name, start, start + 200)
        if found >= 0 and head[found + 7] & 1:
            frames = int.from_bytes(head[found + 8 : found + 12], "big")
            return frames * _MP3_SAMPLES / _MP3_RATES[rate_index]
    return (size - start) * 8 / (kbits * 1000)


_READ_SECONDS: dict[str, Callable[[bytes, int], float | None]] = {
    "wav": _wav_seconds,
    "flac": _flac_seconds,
    "mp3": _mp3_seconds,
}
"""By kind, what reads the duration from the first bytes and the size of the file."""
