from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.mp4.sample_tables import MAX_TABLE_ENTRIES, SAMPLE_TABLES, read_samples
from media.mp4.samples import ByteRange, Samples
from models.errors import MediaRejected
from tests.media.mp4_boxes import table

# Five samples in three chunks: two, two and one.
SIZES = (10, 20, 30, 40, 50)
TABLES = {
    b"stsz": bytes(8) + struct.pack(">I5I", 5, *SIZES),
    b"stsc": table((1, 2, 1), (3, 1, 1)),
    b"stco": table((1000,), (2000,), (3000,)),
    b"stts": table((5, 100)),
}


def samples(**changes: bytes) -> Samples:
    return read_samples({**TABLES, **{kind.encode(): body for kind, body in changes.items()}})


def test_samples_have_positions_and_times() -> None:
    assert samples() == Samples(
        sample_count=5,
        byte_count=150,
        ticks=500,
        decode_end=500,
        end=500,
        first=ByteRange(1000, 10),
        middle=ByteRange(2000, 30),
        last=ByteRange(3000, 50),
        span=ByteRange(1000, 2050),
    )


def test_span_has_the_chunks_in_any_order() -> None:
    far = samples(stco=table((3000,), (9000,), (1000,)))
    assert (far.last, far.span) == (ByteRange(1000, 50), ByteRange(1000, 8070))


def test_span_ends_after_the_last_sample_of_a_uniform_size() -> None:
    uniform = samples(stsz=bytes(4) + struct.pack(">II", 10, 4))
    assert (uniform.sample_count, uniform.span) == (4, ByteRange(1000, 1020))


def test_last_sample_follows_others_in_its_chunk() -> None:
    assert samples(stsc=table((1, 3, 1)), stco=table((1000,), (2000,))).last == ByteRange(2040, 50)


def test_wide_offsets_are_read() -> None:
    tables = {kind: body for kind, body in TABLES.items() if kind != b"stco"}
    tables[b"co64"] = bytes(4) + struct.pack(">I3Q", 3, 1, 2, 1 << 40)
    assert read_samples(tables).last == ByteRange(1 << 40, 50)


@pytest.mark.parametrize(
    ("bits", "packed"), [(4, b"\x12\x34\x50"), (8, b"\1\2\3\4\5"), (16, b"\0\1\0\2\0\3\0\4\0\5")]
)
def test_compact_sizes_are_read(bits: int, packed: bytes) -> None:
    tables = {kind: body for kind, body in TABLES.items() if kind != b"stsz"}
    compact = read_samples({**tables, b"stz2": bytes(7) + bytes([bits]) + struct.pack(">I", 5) + packed})
    assert (compact.sample_count, compact.byte_count, compact.last) == (5, 15, ByteRange(3000, 5))


def test_equal_sizes_need_no_table() -> None:
    equal = samples(stsz=bytes(4) + struct.pack(">II", 7, 5), stsc=table((1, 3, 1)), stco=table((1000,), (2000,)))
    assert (equal.sample_count, equal.byte_count, equal.last) == (5, 0, ByteRange(2007, 7))


def test_last_sample_with_bytes_counts() -> None:
    assert samples(stsz=bytes(8) + struct.pack(">I5I", 5, 10, 20, 30, 0, 0)).last == ByteRange(2000, 30)


@pytest.mark.parametrize(
    ("ctts", "begin", "end"),
    [
        (table((5, 200)), 200, 700),
        (table((1, 200), (1, 500), (1, 200), (1, 0), (1, 100)), 200, 700),
        (table((1, 0), (4, -100)), 0, 400),
        (table((1, 200)), 200, 700),
    ],
)
def test_reordered_frames_shift_begin_and_end(ctts: bytes, begin: int, end: int) -> None:
    shifted = samples(ctts=ctts)
    assert (shifted.begin, shifted.end, shifted.ticks) == (begin, end, 500)


@pytest.mark.parametrize(
    ("changes", "count", "ticks"),
    [
        ({"stts": table((1, 100))}, 5, 500),
        ({"stts": table((900, 100))}, 5, 500),
        ({"stts": table((2, 100), (1, 300))}, 5, 1100),
        ({"stts": table((4, 100), (1, -5))}, 5, 401),
        ({"stts": table()}, 5, 0),
        ({"stts": b""}, 5, 0),
        ({"stsc": table((1, 1, 1))}, 3, 300),
        ({"stsc": table((1, 2, 1), (9, 1, 1))}, 5, 500),
        ({"stsc": table((1, 0, 1))}, 0, 0),
        ({"stsc": table((0, 2, 1))}, 0, 0),
        ({"stco": table()}, 0, 0),
        ({"stsz": bytes(12)}, 0, 0),
        ({"stsz": bytes(8) + struct.pack(">I", 2**32 - 1)}, 0, 0),
        ({"stsz": bytes(4) + struct.pack(">II", 7, 2**32 - 1)}, 5, 500),
        ({"stsz": b""}, 0, 0),
    ],
)
def test_inconsistent_tables_count_what_exists(changes: dict[str, bytes], count: int, ticks: int) -> None:
    found = samples(**changes)
    assert (found.sample_count, found.ticks) == (count, ticks)


def test_number_of_samples_is_limited() -> None:
    entries = MAX_TABLE_ENTRIES + 1
    with pytest.raises(MediaRejected) as rejected:
        samples(stsz=bytes(8) + struct.pack(">I", entries) + bytes(4 * entries))
    assert rejected.value.rule_code == "unreadable"


@given(
    st.dictionaries(
        st.sampled_from(sorted(SAMPLE_TABLES)), st.binary(max_size=60) | st.sampled_from([*TABLES.values()])
    )
)
def test_any_tables_give_consistent_samples(tables: dict[bytes, bytes]) -> None:
    found = read_samples(tables)
    assert found.sample_count >= 0
    assert found.ticks >= 0
    assert all(place is None or place.size > 0 for place in (found.first, found.middle, found.last))
