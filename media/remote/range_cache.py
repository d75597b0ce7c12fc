"""The bytes of a remote file that were fetched by range, in blocks."""

from __future__ import annotations

from collections.abc import Iterator

from media.remote.fetch_limits import FetchBudget
from media.remote.range_client import RangeClient, RangeResponse
from models.media.rules import MIB

BLOCK_BYTES = 4096
CHUNK_BYTES = 4 * MIB


class RangeCache:
    """Blocks of BLOCK_BYTES, keyed by their number. `size` is that of the file."""

    def __init__(self, client: RangeClient, budget: FetchBudget, head: RangeResponse) -> None:
        self.size = head.size
        self._client = client
        self._budget = budget
        self._blocks: dict[int, bytes] = {}
        self._store(0, head.data)

    def fetch(self, start: int, end: int) -> None:
        """Fetch the bytes from `start` to `end` that are missing."""
        for first, last in self._missing_ranges(start // BLOCK_BYTES, -(-end // BLOCK_BYTES)):
            self._store(first, self._client.fetch_range(first * BLOCK_BYTES, min(last * BLOCK_BYTES, self.size)))

    def iter_chunks(self) -> Iterator[bytes]:
        """Yield the whole file in chunks, after fetching from the first to the last gap of each chunk."""
        starts = range(0, self.size, CHUNK_BYTES)
        self._budget.extend(self.size, len(starts))
        for start in starts:
            end = min(start + CHUNK_BYTES, self.size)
            gaps = list(self._missing_ranges(start // BLOCK_BYTES, -(-end // BLOCK_BYTES)))
            if not gaps:
                yield self.cached(start, end)
                continue
            first, last = gaps[0][0] * BLOCK_BYTES, min(gaps[-1][1] * BLOCK_BYTES, end)
            yield self.cached(start, first)
            yield self._client.fetch_range(first, last)
            yield self.cached(last, end)

    def can_reach_end(self) -> bool:
        """Return True: the last bytes take one request."""
        return True

    def cached(self, start: int, end: int) -> bytes:
        """Return the cached bytes from `start` to `end`, up to the first gap."""
        blocks = []
        for number in range(start // BLOCK_BYTES, -(-end // BLOCK_BYTES)):
            if number not in self._blocks:
                break
            blocks.append(self._blocks[number])
        skip = start % BLOCK_BYTES
        return b"".join(blocks)[skip : skip + max(end - start, 0)]

    def _missing_ranges(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        gap = None
        for number in range(first, last + 1):
            if number < last and number not in self._blocks:
                gap = number if gap is None else gap
            elif gap is not None:
                yield gap, number
                gap = None

    def _store(self, first: int, data: bytes) -> None:
        for offset in range(0, len(data), BLOCK_BYTES):
            self._blocks[first + offset // BLOCK_BYTES] = data[offset : offset + BLOCK_BYTES]
