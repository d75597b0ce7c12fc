"""Limits FFmpeg's memory: a few bytes of an index can claim as many frames as would fill all memory."""

from __future__ import annotations

import ctypes

import av.error

# One table or one picture: an index of a million frames, or one plane of an 8K picture with 8 bits
# per sample.
MAX_ALLOCATION_BYTES = 36 * 1024 * 1024


def limit_ffmpeg_allocations() -> None:
    """Make FFmpeg reject single allocations above MAX_ALLOCATION_BYTES, in the whole process.

    PyAV does not expose this limit. The function is looked up in the FFmpeg library that PyAV is
    linked to.
    """
    ctypes.CDLL(av.error.__file__).av_max_alloc(ctypes.c_size_t(MAX_ALLOCATION_BYTES))
