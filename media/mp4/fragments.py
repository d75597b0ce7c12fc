"""Measures the tracks of a fragmented file, from the first to the last fragment of each track.

Browsers and streaming tools write such files. The index (`moov`) is followed by fragments: the
tables of some samples (`moof`), then their bytes (`mdat`). The last fragments are found in the last
bytes of the file, through an index of the fragments (`mfra` at the end, `sidx` after `moov`), or by
walking from the first one. A time in such an index counts only if the fragments have none.
"""

from __future__ import annotations

from collections.abc import Iterator

from media.mp4.boxes import Box, truncated_error
from media.mp4.fragment_search import FragmentSearch
from media.mp4.fragment_tables import read_fragment
from media.mp4.samples import Samples, join_samples
from media.mp4.top_level import FetchedFile, TopLevel
from media.mp4.tracks import AUDIO, VIDEO, Index, Track

# The last bytes are searched in windows that double. With the walks below, they stay within the
# budget of a check.
FIRST_WINDOW_BYTES = 64 * 1024
SMALL_WINDOW_BYTES = 1024 * 1024
LARGE_WINDOW_BYTES = 16 * 1024 * 1024
# Requests that a walk through large fragments may cost.
MAX_WALK_FETCHES = 5
# The same for the first fragment with sound, which some tools store apart from the pictures.
MAX_AUDIO_FETCHES = 3
# Fetches after which indexes of fragments are not followed further.
MAX_INDEXED_FETCHES = 8
# Fragments before the last one with pictures that are searched for sound.
MAX_SOUND_FRAGMENTS = 100
# Each is read. Hours of fragments of a second have fewer.
MAX_FRAGMENTS = 20_000


def measure_fragments(file: FetchedFile, index: Index, moov: Box, size: int) -> Index:
    """Return the index with the samples of the first and the last fragment of each track.

    Args:
        file: A file of `size` bytes.
        index: Its tracks; unchanged if no fragments continue them.
        moov: The box of the index, which must have been fetched.
        size: The size of the file in bytes.

    Raises:
        MediaRejected: If the file ends early, or a table is invalid.
    """
    if not index.is_fragmented:
        return index
    measurement = _Measurement(TopLevel(file, moov.end, size), index)
    measurement.find_first()
    measurement.find_last()
    return measurement.result()


class _Measurement:
    """The fragments of a file that were read so far."""

    def __init__(self, top: TopLevel, index: Index) -> None:
        self._top = top
        self._index = index
        self._tracks = {track.id: track for track in index.tracks if track.handler in {VIDEO, AUDIO}}
        self._defaults = {number: track.fragment_defaults for number, track in self._tracks.items()}
        # The samples of each track by the offset of their fragment.
        self._fragments: dict[int, dict[int, Samples]] = {number: {} for number in self._tracks}
        # Tracks whose first samples were read, and those whose last ones were.
        self._started = {number for number, track in self._tracks.items() if track.samples.sample_count}
        self._measured: set[int] = set()
        self._first: dict[int, Box] = {}

    def find_first(self) -> None:
        """Read the first fragment of each track."""
        for _ in self._walk(self._top.start, self._index_ends()):
            missing = set(self._tracks) - self._started
            needs_video = any(self._tracks[number].handler == VIDEO for number in missing)
            if not missing or (not needs_video and self._top.fetches >= MAX_AUDIO_FETCHES):
                return
        if self._top.is_at_end:
            self._top.require_segments()
            self._measured.update(self._tracks)
            if not any(track.samples.sample_count for track in self.result().tracks):
                raise truncated_error("the file ends after its index, before the first frame")

    def find_last(self) -> None:
        """Read the last fragments, until the last one of a video that is shown is among them."""
        if self._is_measured():
            return
        search = FragmentSearch(self._top.size)
        window = FIRST_WINDOW_BYTES
        self._search_window(search, window)
        self._follow_indexes()
        for largest in (SMALL_WINDOW_BYTES, LARGE_WINDOW_BYTES):
            while window < min(largest, self._top.size) and not self._is_measured():
                window *= 2
                self._search_window(search, window)
            if not self._is_measured():
                self._walk_to_end(self._top.start, self._index_ends())
        if not self._is_measured() and not any(self._top.tail(FIRST_WINDOW_BYTES)):
            raise truncated_error(f"the last {FIRST_WINDOW_BYTES:,} bytes are zeros")

    def result(self) -> Index:
        """Return the index with all samples that were read."""
        return self._index._replace(tracks=tuple(self._with_samples(track) for track in self._index.tracks))

    def _with_samples(self, track: Track) -> Track:
        samples = track.samples
        fragments = self._fragments.get(track.id, {}) if track.handler in {VIDEO, AUDIO} else {}
        for _, found in sorted(fragments.items()):
            samples = join_samples(samples, found, 0)
        is_measured = track.id in self._measured & self._started
        return track._replace(
            samples=samples,
            is_fragmented=bool(fragments),
            is_measured=is_measured,
            first_fragment=self._first.get(track.id),
        )

    def _shown_videos(self) -> tuple[Track, ...]:
        found = Samples(sample_count=1)
        tracks = (
            track._replace(samples=found) if self._fragments.get(track.id) else track
            for track in self._index.tracks
        )
        return self._index._replace(tracks=tuple(tracks)).shown(VIDEO)

    def _is_measured(self) -> bool:
        shown = {track.id for track in self._shown_videos()}
        return not shown or bool(shown & self._started & self._measured)

    def _follow_indexes(self) -> None:
        """Read the last fragments to which an index of fragments points."""
        entries = self._top.last_random_access()
        if not entries:
            self._top.require_segments()
        for number, (ticks, offset) in entries.items():
            track = self._tracks.get(number)
            if track is None or number in self._measured or self._top.fetches >= MAX_INDEXED_FETCHES:
                continue
            if not self._top.starts_fragment(offset):
                continue
            if track.handler == AUDIO:
                # Every packet is a key frame: the index has the last fragment, often before the last picture.
                self._measured |= next(self._walk(offset, {number: ticks}), set()) & {number}
            else:
                self._walk_to_end(offset, {number: ticks})
        if not self._is_measured() and (last := self._top.last_segment()) is not None:
            self._walk_to_end(last, {})

    def _search_window(self, search: FragmentSearch, window: int) -> None:
        """Read the fragments in the last bytes of the file, from the last one to one of each track."""
        remaining = MAX_FRAGMENTS
        for moof in search.iter_fragments(self._top.tail(window)):
            self._measured.update(self._add(moof, {}))
            remaining = min(remaining - 1, MAX_SOUND_FRAGMENTS if self._is_measured() else remaining)
            if remaining <= 0 or self._measured >= self._tracks.keys():
                return

    def _walk_to_end(self, start: int, ends: dict[int, int]) -> None:
        walked = {number for moof in self._walk(start, ends) for number in moof}
        if self._top.is_at_end:
            self._measured.update(self._tracks if start == self._top.start else walked)

    def _walk(self, start: int, ends: dict[int, int]) -> Iterator[set[int]]:
        """Read the fragments from the offset `start` on, and yield the tracks of each; for `ends`, see `_add`."""
        for moof in self._top.iter_fragments(start, MAX_WALK_FETCHES):
            tracks = self._add(moof, ends)
            for number in tracks if start == self._top.start else ():
                self._first.setdefault(number, moof)
                self._started.add(number)
            yield tracks

    def _index_ends(self) -> dict[int, int]:
        return {number: track.samples.ticks for number, track in self._tracks.items()}

    def _add(self, moof: Box, ends: dict[int, int]) -> set[int]:
        """Read a fragment, and return its tracks.

        Args:
            moof: The fragment.
            ends: The ticks at which the previous fragments of the tracks end, for fragments without
                a time; updated. Such a fragment of another track is ignored.
        """
        found: dict[int, Samples] = {}
        for number, decode_time, samples in read_fragment(self._top.file, moof, self._defaults):
            start = ends.get(number) if decode_time is None else decode_time
            if start is not None:
                found[number] = join_samples(found.get(number, Samples()), samples, start)
                ends[number] = start + samples.ticks
        for number, samples in found.items():
            self._fragments[number][moof.start] = samples
        return set(found)
