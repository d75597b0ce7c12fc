from __future__ import annotations

import io
import struct

import pytest

from media.mp4.boxes import find_layout
from media.mp4.fragment_search import FragmentSearch
from media.mp4.fragments import measure_fragments
from media.mp4.index import read_index
from media.mp4.samples import ByteRange
from media.mp4.tracks import AUDIO, VIDEO, Track
from models.errors import MediaRejected
from tests.media.mp4_boxes import box, ftyp, mvhd, tkhd, traf, trun

TIMESCALE = 1000
FRAME = (100, 50, 0)
KIB = 1024


class PartlyFetchedFile(io.BytesIO):
    """A file of which only what was fetched can be read; it counts the fetches and the bytes."""

    def __init__(self, data: bytes, fetched: int = 64 * KIB) -> None:
        super().__init__(data)
        self._available = bytearray(len(data))
        self.fetches = self.bytes_fetched = 0
        self._available[:fetched] = b"\1" * min(fetched, len(data))

    def fetch(self, start: int, end: int, /) -> None:
        end = min(end, len(self._available))
        missing = self._available.count(0, start, end)
        self.fetches += bool(missing)
        self.bytes_fetched += missing
        self._available[start:end] = b"\1" * (end - start)

    def read(self, size: int | None = -1, /) -> bytes:
        gap = self._available.find(0, self.tell())
        limit = (len(self._available) if gap < 0 else gap) - self.tell()
        return super().read(limit if size is None or size < 0 else min(size, max(limit, 0)))


def moov(*handlers: bytes, extra: bytes = b"") -> bytes:
    """Return the index of a fragmented file with tracks 1, 2, …."""
    tracks = b"".join(
        box(
            b"trak",
            tkhd(number)
            + extra
            + box(
                b"mdia",
                box(b"mdhd", struct.pack(">IIIIII", 0, 0, 0, TIMESCALE, 0, 0)) + box(b"hdlr", bytes(8) + handler),
            ),
        )
        for number, handler in enumerate(handlers, 1)
    )
    trex = b"".join(
        box(b"trex", struct.pack(">IIIIII", 0, number, 1, 40, 10, 0)) for number in range(1, len(handlers) + 1)
    )
    return ftyp() + box(b"moov", mvhd() + tracks + box(b"mvex", trex))


def fragment(*trafs: bytes, payload: int = 100) -> bytes:
    return box(b"moof", box(b"mfhd", bytes(8)) + b"".join(trafs)) + box(b"mdat", b"\1" * payload)


def second(track: int, time: int | None, *, payload: int = 100) -> bytes:
    """Return a fragment with a second of a track."""
    return fragment(traf(track, time, trun(*[FRAME] * 10)), payload=payload)


def sidx(*sizes: int) -> bytes:
    entries = b"".join(struct.pack(">III", size, 1000, 0) for size in sizes)
    return box(b"sidx", struct.pack(">IIIIIHH", 0, 1, TIMESCALE, 0, 0, 0, len(sizes)) + entries)


def mfra(track: int, *entries: tuple[int, int]) -> bytes:
    """Return an index of fragments: time and offset of each."""
    rows = b"".join(struct.pack(">II3B", time, offset, 1, 1, 1) for time, offset in entries)
    tfra = box(b"tfra", struct.pack(">IIII", 0, track, 0, len(entries)) + rows)
    return box(b"mfra", tfra + box(b"mfro", struct.pack(">II", 0, 8 + len(tfra) + 16)))


def measured(data: bytes) -> tuple[Track, ...]:
    tracks, _ = measured_with_cost(data)
    return tracks


def measured_with_cost(data: bytes) -> tuple[tuple[Track, ...], PartlyFetchedFile]:
    file = PartlyFetchedFile(data)
    layout = find_layout(file, len(data))
    return measure_fragments(file, read_index(file, layout.moov), layout.moov, len(data)).tracks, file


def rejection_code(data: bytes) -> str:
    with pytest.raises(MediaRejected) as rejected:
        measured(data)
    return rejected.value.rule_code


def seconds(data: bytes) -> list[float | None]:
    return [track.seconds for track in measured(data)]


def test_each_track_lasts_from_its_first_to_its_last_fragment() -> None:
    fragments = [second(1 + number % 2, number * 500) for number in range(40)]
    assert seconds(moov(AUDIO, VIDEO) + b"".join(fragments)) == [20.0, 20.0]


def test_fragments_of_a_live_stream_start_late() -> None:
    fragments = [second(1, 10**12 + number * 1000) for number in range(5)]
    assert seconds(moov(VIDEO) + b"".join(fragments)) == [5.0]


def test_empty_runs_are_not_the_last_fragment() -> None:
    empty = fragment(traf(1, 10**9, trun()))
    assert seconds(moov(VIDEO) + empty + second(1, 0) + second(1, 1000) + empty * 3) == [2.0]


def test_reordered_frames_do_not_add_to_the_duration() -> None:
    run = trun((100, 50, 200), (100, 50, 500), (100, 50, 200), (100, 50, 0), (100, 50, 100))
    assert seconds(moov(VIDEO) + fragment(traf(1, 0, run)) + fragment(traf(1, 500, run))) == [1.0]


def test_defaults_of_the_index_apply() -> None:
    run = box(b"trun", struct.pack(">II", 0, 25))
    data = moov(VIDEO) + fragment(traf(1, 0, run), payload=250)
    track = measured(data)[0]
    assert (track.seconds, track.bit_rate, track.frame_rate) == (1.0, 2000.0, 25.0)
    assert track.samples.last is not None
    assert track.samples.last.size == 10


def test_pause_before_the_second_frame_is_not_a_frame_rate() -> None:
    fragments = fragment(traf(1, 0, trun((900, 50, 0), FRAME, FRAME))) + second(1, 9000)
    assert measured(moov(VIDEO) + fragments)[0].frame_rate == TIMESCALE / FRAME[0]


def test_first_frame_counts_if_all_frames_were_read() -> None:
    """A browser encodes frames as they come: five in 10 seconds, of which the first one is shown for 3.4."""
    only = fragment(traf(1, 0, trun(*[(ticks, 50, 0) for ticks in (3416, 1576, 644, 4476, 33)])))
    assert measured(moov(VIDEO) + only)[0].frame_rate == pytest.approx(5 / 10.145)


def test_positions_follow_the_data_of_the_previous_track() -> None:
    run = trun(FRAME, FRAME)
    data = moov(AUDIO, VIDEO) + fragment(
        traf(1, 0, trun(FRAME, FRAME, offset=500), flags=0x20000), traf(2, 0, run, flags=0), payload=400
    )
    start = data.index(b"moof") - 4
    sound, video = measured(data)
    assert sound.samples.last == ByteRange(start + 550, 50)
    assert (video.samples.first, video.samples.last) == (ByteRange(start + 600, 50), ByteRange(start + 650, 50))


def test_fragments_without_times_follow_each_other() -> None:
    assert seconds(moov(VIDEO) + second(1, None) * 7) == [7.0]


def test_fragments_without_times_far_apart_are_unknown() -> None:
    assert seconds(moov(VIDEO) + second(1, None, payload=1000 * KIB) * 30) == [None]


def test_smooth_streaming_times_are_read() -> None:
    tfxd = box(
        b"uuid", bytes.fromhex("6d1d9b0542d544e680e2141daff757b2") + struct.pack(">IqQ", 1 << 24, -500, 1000)
    )
    first = fragment(traf(1, None, trun(*[FRAME] * 10), tfxd))
    assert seconds(moov(VIDEO) + first + second(1, 500)) == [1.5]


@pytest.mark.parametrize("payload", [70 * KIB, 300 * KIB, 3000 * KIB])
def test_large_fragments_are_found_within_the_budget(payload: int) -> None:
    fragments = [second(1, number * 1000, payload=payload) for number in range(30)]
    tracks, file = measured_with_cost(moov(VIDEO) + b"".join(fragments))
    assert tracks[0].seconds == 30.0
    assert file.fetches <= 16
    assert file.bytes_fetched <= 3 * payload + 64 * KIB


def test_few_huge_fragments_are_walked_over() -> None:
    fragments = [second(1, number * 1000, payload=5000 * KIB) for number in range(4)]
    tracks, file = measured_with_cost(moov(VIDEO) + b"".join(fragments))
    assert tracks[0].seconds == 4.0
    assert file.bytes_fetched < 1500 * KIB


def test_sound_that_continues_does_not_hide_the_pictures() -> None:
    sound = b"".join(second(2, number * 1000, payload=16 * KIB) for number in range(40))
    assert seconds(moov(VIDEO, AUDIO) + second(1, 0) + second(1, 1000) + sound) == [2.0, 40.0]


def test_name_of_a_fragment_in_the_pictures_is_ignored() -> None:
    picture = box(b"moof", box(b"mfhd", bytes(8)) + traf(1, 10**9, trun(FRAME)))
    data = moov(VIDEO) + second(1, 0) + box(b"moof", box(b"mfhd", bytes(8)) + traf(1, 1000, trun(FRAME)))
    assert seconds(data + box(b"mdat", picture + b"\1" * 1000)) == [1.1]


def test_edits_shift_the_start_of_fragments_only() -> None:
    elst = struct.pack(">IIIiI", 0, 1, 1000, 300, 1 << 16)
    assert seconds(moov(VIDEO, extra=box(b"edts", box(b"elst", elst))) + second(1, 0) + second(1, 1000)) == [1.7]


@pytest.mark.parametrize(
    "data",
    [
        moov(VIDEO),
        moov(VIDEO) + bytes(7),
        moov(VIDEO) + second(1, 0)[:60],
        (moov(VIDEO) + second(1, 0) * 3)[:-20],
        (moov(VIDEO) + second(1, 0) * 3)[:-120],
        moov(VIDEO) + second(1, 0) + second(1, 1000)[:200] + bytes(9000),
        moov(VIDEO) + second(1, 0) + bytes(100_000),
        moov(VIDEO) + second(1, 0, payload=200 * KIB) * 20 + bytes(9_000),
        moov(VIDEO) + second(1, 0) * 2 + bytes(len(second(1, 0))) + mfra(1, (1000, 100)),
        moov(VIDEO) + second(1, 0, payload=200 * KIB) * 2 + bytes(len(second(1, 0))) + mfra(1, (1000, 100)),
        moov(VIDEO) + sidx(len(second(1, 0)), len(second(1, 0))) + second(1, 0),
        moov(VIDEO, AUDIO) + sidx(len(second(1, 0)), len(second(2, 0))) + second(1, 0),
    ],
)
def test_file_that_ends_early_is_truncated(data: bytes) -> None:
    assert rejection_code(data) == "truncated"


@pytest.mark.parametrize("payload", [100, 200 * KIB])
@pytest.mark.parametrize("block", [512, 4096])
def test_padding_to_a_whole_block_is_allowed(block: int, payload: int) -> None:
    data = moov(VIDEO) + second(1, 0, payload=payload) * 2
    assert seconds(data + bytes(-len(data) % block)) == [1.0]
    assert seconds(data + bytes(8)) == [1.0]


@pytest.mark.parametrize("payload", [100, 200 * KIB])
def test_zeros_that_end_within_a_block_are_lost_fragments(payload: int) -> None:
    data = moov(VIDEO) + second(1, 0, payload=payload) * 2
    assert rejection_code(data + bytes(-len(data) % 512 + 500)) == "truncated"


@pytest.mark.parametrize("kept", range(4, 8))
def test_file_that_ends_in_the_header_of_a_fragment_is_truncated(kept: int) -> None:
    whole = moov(VIDEO) + second(1, 0)
    assert rejection_code(whole + second(1, 1000)[:kept]) == "truncated"


@pytest.mark.parametrize("payload", [100, 200 * KIB, 5000 * KIB])
@pytest.mark.parametrize("header", [sidx(1000), box(b"styp", b"msdh\0\0\0\0"), box(b"prft", bytes(20))])
def test_end_in_headers_of_a_segment_is_truncated(header: bytes, payload: int) -> None:
    whole = moov(VIDEO) + second(1, 0, payload=payload) + second(1, 1000, payload=payload)
    for padding in (0, 3, 8, -len(whole + header) % 512):
        assert rejection_code(whole + header + bytes(padding)) == "truncated"
    assert seconds(whole + header + second(1, 2000)) == [3.0]


@pytest.mark.parametrize("kept", [1, 2])
def test_one_or_two_zeros_behind_the_last_fragment_are_padding(kept: int) -> None:
    assert seconds(moov(VIDEO) + second(1, 0) + second(1, 1000)[:kept]) == [1.0]


def test_claimed_samples_are_rejected() -> None:
    claim = fragment(traf(1, 0, trun(FRAME, claimed=2**32 - 1)))
    assert rejection_code(moov(VIDEO) + claim) == "unreadable"


@pytest.mark.parametrize("padding", [0, 3, 64])
def test_index_of_segments_names_missing_ones(padding: int) -> None:
    size = len(second(1, 0))
    assert rejection_code(moov(VIDEO) + sidx(size, size, size) + second(1, 0) * 2 + bytes(padding)) == "truncated"


def test_index_of_fragments_points_to_the_last_one() -> None:
    data = moov(VIDEO) + second(1, None, payload=200 * KIB) * 30
    assert seconds(data + mfra(1, (29_000, data.rindex(b"moof") - 4))) == [30.0]


def test_index_of_fragments_has_sound_before_the_pictures() -> None:
    sound, pictures = second(1, 0, payload=200 * KIB), second(2, 0, payload=200 * KIB)
    last_sound = second(1, 1000, payload=100 * KIB)
    data = moov(AUDIO, VIDEO) + sound + pictures + last_sound + second(2, 1000, payload=30 * KIB)
    assert seconds(data) == [None, 2.0]
    assert seconds(data + mfra(1, (1000, data.rindex(last_sound)))) == [2.0, 2.0]


@pytest.mark.parametrize("offset", [0, 700, 2**32 - 1])
def test_index_of_fragments_that_lies_is_ignored(offset: int) -> None:
    data = moov(VIDEO) + b"".join(second(1, number * 1000, payload=200 * KIB) for number in range(5))
    assert seconds(data + mfra(1, (10**6, offset))) == [5.0]


@pytest.mark.parametrize("sizes", [(10,), (10**9,), (10**9, 1), ()])
def test_index_of_segments_that_lies_is_ignored(sizes: tuple[int, ...]) -> None:
    data = moov(VIDEO) + sidx(*sizes)
    assert seconds(data + b"".join(second(1, number * 1000, payload=200 * KIB) for number in range(5))) == [5.0]


def test_search_reads_each_box_once() -> None:
    data = second(1, 0) * 500
    search = FragmentSearch(len(data))
    found = [moof.start for window in (10_000, 40_000, len(data)) for moof in search.iter_fragments(data[-window:])]
    assert found == sorted(found, reverse=True)
    assert len(found) == len(set(found)) == 500
