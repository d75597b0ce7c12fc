"""Damages recordings: box by box, number by number, and range by range. Changes are drawn as data."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple

from hypothesis import strategies as st

from tests.fuzz.boxes import FIELDS, KINDS, Position, walk
from tests.fuzz.mutations import MAX_BYTES, MILLION, NUMBERS, positions

MAX_RECORDING_BYTES = 16 * MAX_BYTES
MAX_COPIES = 1200
# Copies of copies have more, whose walk would take longer than the check of the recording.
MAX_CHANGED_BOXES = 2000
RANGE_OPERATIONS = ["zeros", "zeros", "noise", "noise", "cut", "hole"]


class BoxChange(NamedTuple):
    """A change of one box, counted over all levels; `operation` is one of BOX_OPERATIONS."""

    operation: str
    box: int
    word: int
    value: int

    def apply(self, data: bytes) -> bytes:
        """Change the box, and correct the lengths of the boxes around it."""
        boxes = list(islice(walk(data), MAX_CHANGED_BOXES))
        if not boxes:
            return data
        target = boxes[self.box % len(boxes)]
        if self.operation == "swap":
            return self._swapped(data, boxes, target)
        box = data[target.start : target.end]
        replacement = _REPLACEMENTS[self.operation](self, box, target.body - target.start)
        data = data[: target.start] + replacement + data[target.end :]
        return _with_corrected_parents(data, boxes, target, len(replacement) - len(box))

    def _swapped(self, data: bytes, boxes: list[Position], target: Position) -> bytes:
        siblings = [box for box in boxes if box.depth == target.depth and box.start >= target.end]
        if not siblings:
            return data
        other = siblings[self.word % len(siblings)]
        return b"".join(
            data[start:end]
            for start, end in (
                (0, target.start),
                (other.start, other.end),
                (target.end, other.start),
                (target.start, target.end),
                (other.end, len(data)),
            )
        )


def _with_number(change: BoxChange, box: bytes, header: int) -> bytes:
    offset = header + change.word % max((len(box) - header) // 2, 1) * 2
    return (box[:offset] + struct.pack(">I", change.value) + box[offset + 4 :])[: len(box)]


def _with_unknown_box(change: BoxChange, box: bytes, _header: int) -> bytes:
    kind = KINDS[change.word % len(KINDS)]
    return box + struct.pack(">I4sIII", 28, kind, 0, change.value, change.value) + bytes(8)


def _with_long_length(change: BoxChange, box: bytes, _header: int) -> bytes:
    return struct.pack(">I4sQ", 1, box[4:8], change.value << change.word % 32) + box[8:]


_REPLACEMENTS: dict[str, Callable[[BoxChange, bytes, int], bytes]] = {
    "number": _with_number,
    "length": lambda change, box, _: struct.pack(">I", change.value) + box[4:],
    "kind": lambda change, box, _: box[:4] + KINDS[change.word % len(KINDS)] + box[8:],
    "long length": _with_long_length,
    "copies": lambda change, box, _: box * min(2 + change.word % MAX_COPIES, MAX_RECORDING_BYTES // len(box) + 1),
    "insert": _with_unknown_box,
    "remove": lambda *_: b"",
    "cut": lambda change, box, _: box[: change.word % (len(box) + 1)],
}
BOX_OPERATIONS = [*["number"] * 3, "insert", "swap", *_REPLACEMENTS]


class FieldChange(NamedTuple):
    """A change of one number that has a meaning: it is set to `value`, or moved by it if `is_relative`.

    The kind of the box is selected first, since a file may have hundreds of boxes of one kind.
    """

    kind: int
    box: int
    field: int
    entry: int
    value: int
    is_relative: bool

    def apply(self, data: bytes) -> bytes:
        """Change the number. The length of the file stays the same."""
        boxes = [box for box in walk(data) if box.kind in FIELDS]
        if not boxes:
            return data
        kinds = sorted({box.kind for box in boxes})
        kind = kinds[self.kind % len(kinds)]
        boxes = [box for box in boxes if box.kind == kind]
        box = boxes[self.box % len(boxes)]
        field = FIELDS[kind][self.field % len(FIELDS[kind])]
        start = box.body + field.offset
        if field.entry:
            start += self.entry % max((box.end - start) // field.entry, 1) * field.entry
        end = start + field.size
        if end > box.end:
            return data
        old = int.from_bytes(data[start:end]) if self.is_relative else 0
        limit = 1 << 8 * field.size
        return data[:start] + ((old + self.value) % limit).to_bytes(field.size) + data[end:]


class RangeChange(NamedTuple):
    """Damage of a range of bytes, as by a failed upload or a bad disk; `operation` is one of RANGE_OPERATIONS.

    `start` and `end` are millionths of the file, or of its largest `mdat` if `is_in_pictures`.
    """

    operation: str
    start: int
    end: int
    is_in_pictures: bool

    def bounds(self, data: bytes) -> tuple[int, int]:
        """Return start and end of the range in bytes."""
        first, last = _pictures(data) if self.is_in_pictures else (0, len(data))
        start, end = sorted(first + part * (last - first) // MILLION for part in (self.start, self.end))
        return start, end

    def apply(self, data: bytes) -> bytes:
        """Damage the range. No length is corrected."""
        start, end = self.bounds(data)
        match self.operation:
            case "zeros":
                return data[:start] + bytes(end - start) + data[end:]
            case "noise":
                return data[:start] + random.Random(self.start).randbytes(end - start) + data[end:]  # noqa: S311  # not used for secrets
            case "cut":
                return data[:start]
            case _:
                return data[:start] + data[end:]


Change = BoxChange | FieldChange | RangeChange


def changed(data: bytes, changes: Sequence[Change]) -> bytes:
    """Apply the changes in order, and limit the size."""
    for change in changes:
        data = change.apply(data)[:MAX_RECORDING_BYTES]
    return data


def _pictures(data: bytes) -> tuple[int, int]:
    """Return start and end of the body of the largest `mdat` box, or of the whole file without one."""
    bodies = [(box.body, box.end) for box in walk(data) if box.kind == b"mdat"]
    return max(bodies, key=lambda body: body[1] - body[0], default=(0, len(data)))


def _with_corrected_parents(data: bytes, boxes: list[Position], target: Position, growth: int) -> bytes:
    for parent in boxes:
        if parent.start < target.start and target.end <= parent.end:
            (length,) = struct.unpack_from(">I", data, parent.start)
            if length > 1:
                length = max(min(length + growth, 2**32 - 1), 0)
                data = data[: parent.start] + struct.pack(">I", length) + data[parent.start + 4 :]
    return data


_values = st.sampled_from(NUMBERS) | st.integers(0, 2**32 - 1)
_steps = st.sampled_from([-1000, -8, -2, -1, 1, 2, 8, 1000])
box_changes = st.builds(
    BoxChange, st.sampled_from(BOX_OPERATIONS), st.integers(0, 250), st.integers(0, 1200), _values
)
field_changes = st.builds(
    lambda value, *numbers: FieldChange(*numbers, *value),
    st.tuples(_values, st.just(value=False)) | st.tuples(_steps, st.just(value=True)),
    *[st.integers(0, 100)] * 4,
)
range_changes = st.builds(RangeChange, st.sampled_from(RANGE_OPERATIONS), positions(), positions(), st.booleans())
changes: st.SearchStrategy[list[Change]] = st.lists(
    st.one_of(box_changes, field_changes, field_changes, range_changes), min_size=1, max_size=6
)
"""Draws the changes of a recording."""
