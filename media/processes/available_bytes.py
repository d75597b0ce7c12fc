"""The bytes of a recording that a child process gets; only standard types, so that it starts quickly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Range = tuple[int, int]
"""The start and the end of a run of bytes."""


@dataclass(frozen=True)
class AvailableBytes:
    """The bytes of a recording that were fetched; reads end where they end.

    Attributes:
        size: The size in bytes of the file that the child process sees. Of a video, blocks behind it serve only to
            decode a frame.
        blocks: Offset and bytes of each run, in order and disjoint.
    """

    size: int
    blocks: tuple[tuple[int, bytes], ...]


class InspectionFailed(Exception):
    """No child process could inspect the recording; the message says why."""


def merge_ranges(ranges: Iterable[Range]) -> list[Range]:
    """Return the same bytes as ordered ranges that neither overlap nor touch, without empty ones."""
    merged: list[Range] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        elif start < end:
            merged.append((start, end))
    return merged
