"""Byte mutations, drawn as data, so that Hypothesis can print and shrink them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hypothesis import strategies as st

MAX_BYTES = 64 * 1024
MILLION = 1_000_000
NUMBERS = [0, 1, 2, 7, 8, 16, 127, 128, 255, 256, 1000, 0xFFFF, 10**6, 10**7, 2**27, 2**31 - 1, 2**31, 2**32 - 1]


class Mutation(NamedTuple):
    """Replace `length` bytes at `position` (in millionths of the size) by `piece`, repeated `times` times."""

    position: int
    length: int
    piece: bytes
    times: int


def mutated(data: bytes, mutations: Iterable[Mutation]) -> bytes:
    """Apply the mutations, and cut the result off at MAX_BYTES."""
    for mutation in mutations:
        start = mutation.position * len(data) // MILLION
        end = start + mutation.length
        # An empty piece repeats the bytes at the position.
        piece = mutation.piece or data[start:end]
        data = data[:start] + piece * mutation.times + data[end:]
    return data[:MAX_BYTES]


def positions() -> st.SearchStrategy[int]:
    """Draw millionths of a size, all equally often: of so many integers, Hypothesis mostly draws small ones."""
    return st.builds(lambda high, low: high * 10_000 + low * 100, st.integers(0, 100), st.integers(0, 99)).map(
        lambda position: min(position, MILLION)
    )


def mutations(tokens: Sequence[bytes]) -> st.SearchStrategy[list[Mutation]]:
    """Draw a few mutations; `tokens` are pieces with a meaning in the format."""
    numbers = st.builds(
        lambda value, size: (value % 256**size).to_bytes(size),
        st.sampled_from(NUMBERS),
        st.sampled_from([1, 2, 4, 8]),
    )
    pieces = st.sampled_from(tokens) | st.binary(max_size=4) | numbers
    mutation = st.builds(
        Mutation,
        positions(),
        st.sampled_from([0, 0, 1, 2, 4, 8, 40, 1000]),
        pieces,
        st.sampled_from([1, 1, 1, 0, 2, 5, 300, 20_000]),
    )
    return st.lists(mutation, min_size=1, max_size=5)
