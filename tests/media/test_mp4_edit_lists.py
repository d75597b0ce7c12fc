from __future__ import annotations

import struct

import pytest

from media.mp4.edit_lists import MAX_EDITS, edited_seconds, first_shown_tick, parse_edits
from models.errors import MediaRejected

MOVIE_TIMESCALE, TIMESCALE = 1000, 90_000
ONE = 1 << 16
MINUTE = 60 * TIMESCALE


def elst(*edits: tuple[int, int, int], wide: bool = False) -> bytes:
    """Return the body of an edit list: durations (ms), media times (ticks) and rates (16.16)."""
    entry = struct.Struct(">Qqi" if wide else ">Iii")
    head = struct.pack(">II", wide << 24, len(edits))
    return head + b"".join(entry.pack(*edit) for edit in edits)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    ("edits", "seconds"),
    [
        ([(60_000, 0, ONE)], 60),
        ([(40_000, 0, ONE)], 40),
        ([(60_000, 0, ONE)] * 3, 180),
        ([(25_000, 0, ONE), (25_000, 30 * TIMESCALE, ONE)], 50),
        ([(75_000, 0, ONE)], 60),
        ([(60_000, 45 * TIMESCALE, ONE)], 15),
        ([(60_000, 2**31 - 1, ONE)], 0),
        ([(20_000, 0, ONE), (20_000, 2**31 - 1, ONE)], 20),
        ([(5_000, -1, ONE), (60_000, 0, ONE)], 60),
        ([(20_000, 0, ONE), (5_000, -1, ONE), (20_000, 0, ONE)], 45),
        ([(20_000, 0, ONE), (5_000, -1, ONE)], 25),
        ([(5_000, -1, ONE)], 0),
        ([(5_000, -1, ONE)] * 3, 0),
        ([(0, 0, ONE)], 0),
        ([(60_000, 0, 2 * ONE)], 30),
        ([(60_000, 0, ONE // 2)], 60),
        ([(90_000, 0, 0)], 90),
        ([], 0),
    ],
)
def test_edits_show_what_exists(edits: list[tuple[int, int, int]], seconds: float, *, wide: bool) -> None:
    parsed = parse_edits(elst(*edits, wide=wide), MOVIE_TIMESCALE)
    assert edited_seconds(parsed, MINUTE, TIMESCALE) == pytest.approx(seconds)


def test_first_shown_tick_skips_empty_edits() -> None:
    edits = parse_edits(elst((5_000, -1, ONE), (60_000, 1024, ONE)), MOVIE_TIMESCALE)
    assert first_shown_tick(edits) == 1024
    assert first_shown_tick(edits[:1]) == 0


@pytest.mark.parametrize("body", [b"", bytes(7), bytes(8), struct.pack(">II", 0, 2**32 - 1)])
def test_edits_that_are_not_there_are_ignored(body: bytes) -> None:
    assert parse_edits(body, MOVIE_TIMESCALE) == ()


def test_number_of_edits_is_limited() -> None:
    with pytest.raises(MediaRejected) as rejected:
        parse_edits(struct.pack(">II", 0, MAX_EDITS + 1) + bytes(12 * (MAX_EDITS + 1)), MOVIE_TIMESCALE)
    assert rejected.value.rule_code == "unreadable"
