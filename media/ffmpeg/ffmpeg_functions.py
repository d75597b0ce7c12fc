"""Functions of FFmpeg that PyAV does not expose, from the FFmpeg library that PyAV is linked to."""

from __future__ import annotations

import ctypes

import av.error

# One table or one picture: an index of a million frames, or one plane of an 8K picture with 8 bits
# per sample.
MAX_ALLOCATION_BYTES = 36 * 1024 * 1024

_LIBRARY = ctypes.CDLL(av.error.__file__)
_LIBRARY.av_max_alloc.argtypes = [ctypes.c_size_t]
_LIBRARY.av_color_transfer_name.argtypes = [ctypes.c_int]
_LIBRARY.av_color_transfer_name.restype = ctypes.c_char_p


def limit_ffmpeg_allocations() -> None:
    """Make FFmpeg reject single allocations above MAX_ALLOCATION_BYTES, in the whole process.

    A few bytes of an index can claim as many frames as would fill all memory.
    """
    _LIBRARY.av_max_alloc(MAX_ALLOCATION_BYTES)


def color_transfer_name(number: int) -> str | None:
    """Return FFmpeg's name of a transfer characteristic; PyAV has other names. None if it is not specified."""
    name: bytes | None = _LIBRARY.av_color_transfer_name(number)
    return None if name is None or name == b"unknown" else name.decode()
