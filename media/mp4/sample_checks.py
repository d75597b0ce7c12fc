"""Checks whether the bytes of a sample can be what its codec writes, without decoding them.

An upload that stopped leaves zeros, an erased disk other equal bytes, and a cut file has other bytes at
the offsets of its index. The checks pass everything that a recorder may write: what they reject, no
decoder can show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from media.mp4.sample_entries import SampleEntry

# The bytes of a sample that are enough for a check.
MAX_CHECKED_BYTES = 16 * 1024

# A picture of one color may be all zeros, or other equal bytes. The names are those of QuickTime and FFmpeg.
_UNCOMPRESSED = {
    *(b"raw ", b"NONE", b"RGBA", b"BGRA", b"ARGB", b"ABGR", b"RGB ", b"BGR ", b"24BG", b"b16g", b"b32a"),
    *(b"b48r", b"b64a", b"L555", b"L565", b"B555", b"B565", b"yv12", b"I420", b"yuv2", b"2vuy", b"2Vuy", b"yuvs"),
    *(b"v210", b"v308", b"v408", b"v410", b"v216", b"uncv", b"bxy2", b"Y41P", b"yuv4", b"AVUI", b"DVOO", b"NO16"),
    *(b"r210", b"R10k", b"R10g", b"AVrp", b"SUDS", b"bxbg", b"bxrg", b"bxyv", b"R420", b"R411"),
}
# So may silence be, except in these codecs.
_COMPRESSED_SOUND = {b"mp4a", b"Opus", b"ac-3", b"ec-3"}
_PRORES = {b"apch", b"apcn", b"apcs", b"apco", b"ap4h", b"ap4x"}
_JPEG = {b"jpeg", b"mjpg", b"MJPG", b"AVDJ", b"dmb1"}
# Packets of silence, and pictures that repeat the previous one, have a few bytes, which may be equal.
_MIN_FILLED_BYTES = 32

_ANNEX_B = (b"\0\0\0\1", b"\0\0\1")
_FORBIDDEN_BIT = 0x80
_OBU_RESERVED_TYPES = {0, *range(9, 15)}
# The first two bits of each frame (VP9 bitstream specification, section 6.2).
_VP9_FRAME_MARKER = 2


def _begins_as_av1(data: bytes) -> bool:
    return not data[0] & _FORBIDDEN_BIT and (data[0] >> 3 & 15) not in _OBU_RESERVED_TYPES


_STARTS: Mapping[bytes, Callable[[bytes], bool]] = {
    b"av01": _begins_as_av1,
    b"vp09": lambda data: data[0] >> 6 == _VP9_FRAME_MARKER,
    **dict.fromkeys(_PRORES, lambda data: b"icpf" in data[:64]),
    **dict.fromkeys(_JPEG, lambda data: b"\xff\xd8" in data),
}


def is_plausible_picture(entry: SampleEntry, data: bytes, size: int) -> bool:
    """Return whether a picture can start with these bytes.

    Args:
        entry: The codec of the track.
        data: The first bytes of the sample, at least one.
        size: The bytes of the whole sample.
    """
    if not any(data) or _is_filled(data):
        return entry.kind in _UNCOMPRESSED
    if entry.nal_length_size and not data.startswith(_ANNEX_B):
        return _is_chain_of_nal_units(data, size, entry.nal_length_size)
    begins_as_codec = _STARTS.get(entry.kind)
    return begins_as_codec is None or begins_as_codec(data)


def is_plausible_sound(entry: SampleEntry, data: bytes) -> bool:
    """Return whether these bytes can be a packet of sound: a compressed one is not filled with equal bytes."""
    return entry.kind not in _COMPRESSED_SOUND or not _is_filled(data)


def _is_filled(data: bytes) -> bool:
    return len(data) >= _MIN_FILLED_BYTES and data.count(data[0]) == len(data)


def _is_chain_of_nal_units(data: bytes, size: int, length_size: int) -> bool:
    """Return whether NAL units with their lengths follow each other to the end of the sample or of the data."""
    offset = 0
    while offset + length_size < min(len(data), size):
        length = int.from_bytes(data[offset : offset + length_size])
        if not length:
            return True  # some recorders fill up a sample with zeros
        if data[offset + length_size] & _FORBIDDEN_BIT or offset + length_size + length > size:
            return False
        offset += length_size + length
    return True
