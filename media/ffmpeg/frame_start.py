"""Prepares the start of a frame for FFmpeg, which refuses a NAL unit of H.264 or HEVC longer than its data."""

from __future__ import annotations

# Where the configuration of a track (avcC, hvcC) stores the bytes per length of a NAL unit, minus one.
_LENGTH_SIZE_OFFSETS = {"h264": 4, "hevc": 21}


def end_last_nal_unit(data: bytes, codec: str | None, configuration: bytes | None) -> bytes:
    """Return the start of a frame, with a last NAL unit that ends where the data ends.

    Args:
        data: The first bytes of the frame.
        codec: FFmpeg's name.
        configuration: The `avcC` or `hvcC` box of the track. Without it, start codes separate the NAL units.
    """
    size_offset = _LENGTH_SIZE_OFFSETS.get(codec or "")
    if size_offset is None or configuration is None or len(configuration) <= size_offset:
        return data
    length_size = (configuration[size_offset] & 3) + 1
    offset = 0
    while offset + length_size < len(data):
        body = offset + length_size
        length = int.from_bytes(data[offset:body])
        if body + length > len(data):
            return data[:offset] + (len(data) - body).to_bytes(length_size) + data[body:]
        offset = body + length
    return data[:offset]
