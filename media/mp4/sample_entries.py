"""Reads what the samples of a track are (`stsd` box): the codec, encryption, and how pictures are packed."""

from __future__ import annotations

import io
from typing import NamedTuple

from media.mp4.boxes import Box, child_bodies, iter_boxes

# Size, kind and reserved fields, before the number of the data reference.
_REFERENCE_OFFSET = 14
_ENCRYPTED = {b"encv", b"enca", b"drmi", b"drms"}
# Size, kind and the fields before the boxes of an entry, for pictures.
_VIDEO_ENTRY_BYTES = 86
# Real files have one or two.
_MAX_ENTRIES = 16
_HVCC_LENGTH_SIZE_OFFSET = 21
_AVCC_LENGTH_SIZE_OFFSET = 4


class SampleEntry(NamedTuple):
    """The codec of a track.

    Attributes:
        kind: Its four characters, empty if they are missing or samples have different ones.
        is_encrypted: Only players with a key can show it.
        nal_length_size: The bytes of the length before each NAL unit of H.264 or H.265; None if unknown.
        data_reference: The number of the entry in the `dref` box that tells where the samples are, from 1 on.
    """

    kind: bytes = b""
    is_encrypted: bool = False
    nal_length_size: int | None = None
    data_reference: int = 0


def parse_sample_entry(stsd: bytes) -> SampleEntry:
    """Parse the body of an `stsd` box."""
    file = io.BytesIO(stsd)
    entries: list[SampleEntry] = []
    for box in iter_boxes(file, 8, len(stsd)):
        if len(entries) == _MAX_ENTRIES:
            break
        entries.append(_parse_entry(file, box._replace(end=min(box.end, len(stsd)))))
    if not entries:
        return SampleEntry()
    if len(entries) == 1:
        return entries[0]
    kinds = {entry.kind for entry in entries}
    kind = kinds.pop() if len(kinds) == 1 else b""
    is_encrypted = any(entry.is_encrypted for entry in entries)
    return SampleEntry(kind, is_encrypted, data_reference=entries[0].data_reference)


def _parse_entry(file: io.BytesIO, box: Box) -> SampleEntry:
    if box.kind in _ENCRYPTED:
        return SampleEntry(box.kind, is_encrypted=True)
    file.seek(box.start + _REFERENCE_OFFSET)
    reference = int.from_bytes(file.read(2))
    start = box.start + _VIDEO_ENTRY_BYTES
    if start > box.end:
        return SampleEntry(box.kind, data_reference=reference)
    bodies = child_bodies(file, box._replace(body=start), {b"avcC", b"hvcC", b"sinf"})
    length_size = None
    for kind, offset in ((b"avcC", _AVCC_LENGTH_SIZE_OFFSET), (b"hvcC", _HVCC_LENGTH_SIZE_OFFSET)):
        if len(body := bodies.get(kind, b"")) > offset:
            length_size = (body[offset] & 3) + 1
    return SampleEntry(box.kind, b"sinf" in bodies, length_size, reference)
