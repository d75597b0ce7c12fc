"""The tracks of a file: what each one contains, how it is shown, and for how long."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from media.mp4.boxes import Box
from media.mp4.edit_lists import Edit, edited_seconds, first_shown_tick
from media.mp4.headers import FragmentDefaults
from media.mp4.sample_entries import SampleEntry
from media.mp4.samples import Samples

VIDEO = b"vide"
AUDIO = b"soun"


class Track(NamedTuple):
    """A track.

    Attributes:
        id: Its number.
        handler: Its medium: VIDEO, AUDIO, or another one.
        is_enabled: Players show it.
        width: The width from its header in pixels, 0 if unknown.
        height: The height from its header in pixels, 0 if unknown.
        is_rotated: It is shown rotated by 90 or 270 degrees.
        entry: The codec.
        timescale: Its ticks per second, 0 if unknown.
        edits: Its edit list.
        is_external: Its samples are in another file.
        samples: Its samples, with those of the fragments that were read.
        is_fragmented: Some of its samples are in fragments outside the index.
        is_measured: Its first and its last samples were read.
        fragment_defaults: Defaults for its fragments.
        first_fragment: The first of these fragments.
        chapters: The ids of tracks that contain its chapters.
    """

    id: int
    handler: bytes
    is_enabled: bool
    width: int
    height: int
    is_rotated: bool
    entry: SampleEntry
    timescale: int
    edits: tuple[Edit, ...]
    samples: Samples
    is_external: bool = False
    is_fragmented: bool = False
    is_measured: bool = True
    fragment_defaults: FragmentDefaults = FragmentDefaults()
    first_fragment: Box | None = None
    chapters: tuple[int, ...] = ()

    @property
    def seconds(self) -> float | None:
        """How long players show it, with its edit list applied; None if unknown."""
        samples, timescale = self.samples, self.timescale
        if not samples.sample_count or not timescale or not self.is_measured:
            return None
        if self.is_fragmented:
            # As in FFmpeg and in browsers, the durations of the edits do not count: an index is
            # written before the fragments, and may only contain the duration of the first one.
            hidden = max(first_shown_tick(self.edits) - samples.begin, 0)
            seconds = (samples.decode_end - samples.decode_begin - hidden) / timescale
        elif self.edits:
            seconds = edited_seconds(self.edits, samples.end, timescale)
        else:
            seconds = samples.ticks / timescale
        return seconds if seconds > 0 else None

    @property
    def bit_rate(self) -> float | None:
        """The mean of the samples that were read, in bits per second; None if unknown."""
        samples = self.samples
        if not samples.ticks or not samples.byte_count:
            return None
        return samples.byte_count * 8 * self.timescale / samples.ticks

    @property
    def frame_rate(self) -> float | None:
        """The mean of the samples that were read, in frames per second; None if unknown."""
        count, ticks = self.samples.sample_count, self.samples.ticks
        has_gaps = ticks < self.samples.decode_end - self.samples.decode_begin
        if has_gaps and 0 < self.samples.first_ticks < ticks:
            # Some tools add the time until the first picture to its duration. Of a few frames that were read, it
            # would be a larger part than of all. Of a recording that was read in whole, it counts as in ffprobe.
            count, ticks = count - 1, ticks - self.samples.first_ticks
        return count * self.timescale / ticks if ticks else None


class Index(NamedTuple):
    """The tracks of a file.

    `is_fragmented`: fragments outside the index may continue them. `has_drm`: it has data for a DRM system.
    """

    tracks: tuple[Track, ...]
    is_fragmented: bool
    has_drm: bool = False

    def of_medium(self, handler: bytes) -> tuple[Track, ...]:
        """Return the tracks of a medium, without pictures of chapters."""
        chapters = {track_id for track in self.tracks for track_id in track.chapters}
        return tuple(track for track in self.tracks if track.handler == handler and track.id not in chapters)

    def shown(self, handler: bytes) -> tuple[Track, ...]:
        """Return the tracks of a medium that players show: enabled ones, or all if no track with samples is."""
        tracks = [track for track in self.of_medium(handler) if track.samples.sample_count]
        return tuple([track for track in tracks if track.is_enabled] or tracks)


def longest(tracks: Iterable[Track]) -> Track | None:
    """Return the track that is shown for the longest time, the first of several, None without tracks."""
    return max(tracks, key=lambda track: track.seconds or 0, default=None)


def highest_bit_rate(tracks: Iterable[Track]) -> float | None:
    """Return the highest bit rate of some tracks, None if that of one is unknown or there are none."""
    rates: list[float] = []
    for track in tracks:
        if track.bit_rate is None:
            return None
        rates.append(track.bit_rate)
    return max(rates, default=None)
