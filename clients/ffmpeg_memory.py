"""Bounds what FFmpeg takes of memory: a few bytes of an index may claim as many frames as fill all there is."""

from __future__ import annotations

import ctypes

import av.error

# One table or one picture: an index of a million frames, or a plane of 8K in 8 bits.
MAX_ALLOCATION_BYTES = 36 * 1024 * 1024


def bound_memory() -> None:
    """Have FFmpeg refuse to allocate more than MAX_ALLOCATION_BYTES at once, in this whole process.

    PyAV has no word for it. The name is looked up in the FFmpeg that PyAV is linked to.
    """
    ctypes.CDLL(av.error.__file__).av_max_alloc(ctypes.c_size_t(MAX_ALLOCATION_BYTES))
