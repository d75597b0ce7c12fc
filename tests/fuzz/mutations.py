"""Changes to bytes, drawn as data: what a case did to which sample can be read, and shrinks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hypothesis import strategies as st

MAX_BYTES = 64 * 1024
NUMBERS = [0, 1, 2, 7, 8, 16, 127, 128, 255, 256, 1000, 0xFFFF, 10**6, 10**7, 2**27, 2**31 - 1, 2**31, 2**32 - 1]


class Mutation(NamedTuple):
    """Replace `length` bytes at a place (a share of the whole, in millionths) by `piece`, so many `times`."""

    place: int
    length: int
    piece: bytes
    times: int


def mutated(data: bytes, mutations: Iterable[Mutation]) -> bytes:
    """Return the bytes with each change made, cut to MAX_BYTES."""
    for mutation in mutations:
        at = mutation.place * len(data) // 1_000_000
        # Without a piece of its own it repeats what stands there.
        piece = mutation.piece or data[at : at + mutation.length]
        data = data[:at] + piece * mutation.times + data[at + mutation.length :]
    return data[:MAX_BYTES]


def mutations(words: Sequence[bytes]) -> st.SearchStrategy[list[Mutation]]:
    """Draw a few changes; `words` are pieces that mean something in the format."""
    numbers = st.builds(
        lambda value, size: (value % 256**size).to_bytes(size),
        st.sampled_from(NUMBERS),
        st.sampled_from([1, 2, 4, 8]),
    )
    pieces = st.sampled_from(words) | st.binary(max_size=4) | numbers
    one = st.builds(
        Mutation,
        st.integers(0, 1_000_000),
        st.sampled_from([0, 0, 1, 2, 4, 8, 40, 1000]),
        pieces,
        st.sampled_from([1, 1, 1, 0, 2, 5, 300, 20_000]),
    )
    return st.lists(one, min_size=1, max_size=5)
