"""Finds the fragments at the end of a file, from the last one backwards.

A fragment (`moof` box) is recognized by its name, and by the boxes from it to the end of the file:
each must be one that follows fragments, and the last one must end with the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from media.mp4.boxes import Box, truncated_error

# More boxes are not followed: hours of fragments have fewer.
MAX_BOXES_IN_CHAINS = 100_000
# Some storage pads files with zeros to whole blocks. A fragment that an upload lost needs more than a few zeros.
MAX_PADDING_BYTES = 4096
ENDS_IN_HEADER = "it ends within the header of a box"
ENDS_BEFORE_FRAGMENT = "it ends after the header of a segment, before its frames"
# The headers of a segment: its type, its index, and the time of its encoding (ISO/IEC 14496-12, section 8.16).
SEGMENT_HEADERS = {b"styp", b"sidx", b"ssix", b"prft"}
_BLOCK_BYTES = 512
_FEW_BYTES = 64

_HEADER = struct.Struct(">I4s")
_LONG_HEADER = struct.Struct(">I4sQ")
_BOXES_OF_FRAGMENTS = {
    *(b"moof", b"mdat", b"mfra", b"sidx", b"ssix", b"styp", b"emsg", b"prft"),
    *(b"free", b"skip", b"wide", b"uuid", b"meta", b"ftyp", b"moov"),
}
_FIRST_BOXES_OF_MOOF = {b"mfhd", b"traf", b"free", b"skip", b"uuid", b"pssh", b"meta"}


class FragmentSearch:
    """Searches the end of a file of `size` bytes. Each box is read once, also if the search is continued."""

    def __init__(self, size: int) -> None:
        self._size = size
        # Whether boxes that start at an offset are a chain to the end of the file.
        self._chains: dict[int, bool] = {}
        self._searched = size
        # Where the last box claims to end, or the zeros start that a chain ends with; and the kind of that box.
        self._claimed_end = size
        self._ends_in_header = False
        self._last_kind = b""
        self._zeros_start: int | None = None

    def iter_fragments(self, data: bytes) -> Iterator[Box]:
        """Yield the fragments in the last bytes of the file, the last one first, without those yielded before.

        Raises:
            MediaRejected: If the file ends in a fragment, or with zeros instead of one.
        """
        start = self._size - len(data)
        zeros = start + len(data.rstrip(b"\0"))
        at = min(self._searched + 3, self._size) - start
        while (at := data.rfind(b"moof", 4, at)) >= 0:
            offset = start + at - 4
            if data[at + 8 : at + 12] not in _FIRST_BOXES_OF_MOOF or not self._is_chain(data, offset, zeros):
                continue
            self._require_complete()
            length, body = _read_header(data, offset - start)
            self._searched = offset + 4
            yield Box(b"moof", offset, offset + body, offset + length)
        self._searched = start + 4

    def _is_chain(self, data: bytes, offset: int, zeros: int) -> bool:
        """Return whether boxes of fragments follow each other from `offset` to the end of the file or its zeros."""
        start, path, last_kind = self._size - len(data), [], b""
        while (is_chain := self._chains.get(offset)) is None and len(self._chains) < MAX_BOXES_IN_CHAINS:
            path.append(offset)
            if self._size - offset < _HEADER.size:
                self._ends_in_header = offset < zeros
                self._last_kind = last_kind
                is_chain = True
                break
            length, _ = _read_header(data, offset - start)
            kind = data[offset - start + 4 : offset - start + 8]
            if not length or kind not in _BOXES_OF_FRAGMENTS:
                is_chain = offset >= zeros
                if is_chain:
                    self._zeros_start, self._last_kind = offset, last_kind
                break
            offset, last_kind = offset + length, kind
            if offset >= self._size:
                self._claimed_end, self._last_kind = offset, last_kind
                is_chain = True
                break
        self._chains.update(dict.fromkeys(path, bool(is_chain)))
        return bool(is_chain)

    def _require_complete(self) -> None:
        if self._ends_in_header:
            raise truncated_error(ENDS_IN_HEADER)
        if self._claimed_end > self._size:
            raise truncated_error(f"the last {self._claimed_end - self._size:,} bytes are missing")
        if self._last_kind in SEGMENT_HEADERS:
            raise truncated_error(ENDS_BEFORE_FRAGMENT)
        if self._zeros_start is not None and not can_be_padding(self._zeros_start, self._size):
            raise truncated_error(f"the last {self._size - self._zeros_start:,} bytes are zeros")


def can_be_padding(start: int, size: int) -> bool:
    """Return whether zeros from `start` to the end of a file of `size` bytes can be padding, not lost fragments."""
    return size - start <= (_FEW_BYTES if size % _BLOCK_BYTES else MAX_PADDING_BYTES)


def _read_header(data: bytes, offset: int) -> tuple[int, int]:
    """Return the length of a box (0 if it is invalid), and that of its header."""
    length, _ = _HEADER.unpack_from(data, offset)
    header = _HEADER.size
    if length == 1 and len(data) - offset >= _LONG_HEADER.size:
        _, _, length = _LONG_HEADER.unpack_from(data, offset)
        header = _LONG_HEADER.size
    elif length == 0:
        length = len(data) - offset
    return (length if length >= header else 0), header
