"""What every manifest reader returns: raw rows, and the names and limits that the formats share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

MAX_BYTES = 32 * 1024 * 1024
MAX_ROWS = 100_000
SPLIT_HINT = "split it into several manifests"
REQUIRED_COLUMNS = ("name", "dataset_video", "consent_video")
"""The columns of a list of videos; `required_columns` has those of a list of images."""
IMAGE_COLUMN = "image"
HEADER_COLUMNS = (*REQUIRED_COLUMNS, IMAGE_COLUMN)
"""Two of them tell that a line is a header, or that a file is meant as a manifest."""
EXTRAS_COLUMN = "extras"
COLUMNS = (*HEADER_COLUMNS, "voice_id", "voice_sample", EXTRAS_COLUMN, "reference")
_MIN_COLUMNS_TO_QUOTE = 2
"""Required columns that a file has at least if it is meant as a manifest: all, or all but a misspelt one."""
Name = TypeVar("Name", bound=Hashable)


class RawRow(NamedTuple):
    """A row as it was written.

    Attributes:
        line: The line of a text file, the row of a sheet, or the position in a list; from 1.
        values: The values by column.
        problems: The syntax problems as (column, rule).
        cells: The cells of the file's own columns as text, for the results; empty for a list of rows.
        letters: The letter of each column of a sheet, for example `{"name": "B"}`.
    """

    line: int
    values: Mapping[Any, Any]
    problems: list[tuple[str, str]]
    cells: tuple[str, ...] = ()
    letters: Mapping[str, str] = {}


def is_meant_as_manifest(columns: Iterable[object]) -> bool:
    """Whether errors may quote a file with these columns.

    Another file is perhaps not a manifest but has secrets, and everyone who can read the run can read its errors.
    """
    return len(set(HEADER_COLUMNS).intersection(columns)) >= _MIN_COLUMNS_TO_QUOTE


def required_columns(columns: Collection[str]) -> tuple[str, ...]:
    """Return the columns that a table must have, given those that it has.

    Without dataset videos, a table with images needs only names: AVATARS_IMAGE_CONSENT decides about the consent.
    """
    has_images_only = IMAGE_COLUMN in columns and "dataset_video" not in columns
    return ("name",) if has_images_only else REQUIRED_COLUMNS


def find_duplicates(names: Iterable[Name]) -> list[Name]:
    """Return the names that occur more than once, in order of their first occurrence."""
    return [name for name, count in Counter(names).items() if count > 1]
