"""Applies the edit list of a track (`elst` box): which parts of the track players show, and for how long."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from media.mp4.boxes import unreadable_error

# Editing programs write one per cut.
MAX_EDITS = 10_000

_RATE_ONE = 1 << 16


class Edit(NamedTuple):
    """One part of the presentation.

    Attributes:
        seconds: How long players show it.
        media_ticks: The first tick that it shows, in the time scale of the track; None if it is empty.
        rate: The speed, 0 for a still picture.
    """

    seconds: float
    media_ticks: int | None
    rate: float


def parse_edits(elst: bytes, movie_timescale: int) -> tuple[Edit, ...]:
    """Parse the body of an `elst` box. Entries that it claims and does not contain are ignored.

    Raises:
        MediaRejected: If it has more than MAX_EDITS entries.
    """
    if len(elst) < 8:  # noqa: PLR2004  # version, flags and count
        return ()
    entry = struct.Struct(">Qqi" if elst[0] == 1 else ">Iii")
    count = min(int.from_bytes(elst[4:8]), (len(elst) - 8) // entry.size)
    if count > MAX_EDITS:
        raise unreadable_error(f"a track has {count:,} edits")
    rows = entry.iter_unpack(elst[8 : 8 + count * entry.size])
    return tuple(
        Edit(duration / movie_timescale, None if begin == -1 else begin, rate / _RATE_ONE)
        for duration, begin, rate in rows
    )


def edited_seconds(edits: Sequence[Edit], end: int, timescale: int) -> float:
    """Return how long players show a track whose last frame ends at the tick `end`.

    Each edit is limited to the frames that exist, and a part that several edits show counts each
    time. An empty edit counts if it follows another one; before the first one it only delays the
    track. FFmpeg measures the same, but counts what is beyond the end, and not what repeats.
    """
    shown = [*edits]
    while shown and shown[0].media_ticks is None:
        shown.pop(0)
    if not any(_shown_seconds(edit, end, timescale) for edit in shown if edit.media_ticks is not None):
        return 0.0
    return sum(_shown_seconds(edit, end, timescale) for edit in shown)


def first_shown_tick(edits: Sequence[Edit]) -> int:
    """Return the tick at which the first edit that is not empty starts, 0 without one."""
    return next((edit.media_ticks for edit in edits if edit.media_ticks is not None), 0)


def _shown_seconds(edit: Edit, end: int, timescale: int) -> float:
    if edit.media_ticks is None:
        return edit.seconds
    exists = max(end - edit.media_ticks, 0) / timescale
    if edit.rate <= 0:
        return edit.seconds if exists else 0.0
    return min(edit.seconds, exists / edit.rate)
