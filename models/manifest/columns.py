"""The columns of a table: which header means which field, by name, synonym or `--map`, and what is ignored."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from models.errors import InvalidManifest
from models.manifest.cells import clean_cell, column_letter
from models.manifest.headers import MAX_HEADER_CHARACTERS, NAME_PART_KEYS, RANKS, header_key, meaning_of
from models.manifest.rows import (
    COLUMNS,
    EXTRAS_COLUMN,
    HEADER_COLUMNS,
    IMAGE_COLUMN,
    REQUIRED_COLUMNS,
    find_duplicates,
    is_meant_as_manifest,
    required_columns,
)
from models.text.escaping import shorten
from models.text.normalization import trim
from models.text.redaction import redact

EXTRAS_PREFIX = "extras."
"""The prefix of a column with one pair of extras, for example `extras.team`."""
RESULT_COLUMNS = (
    "result_status",
    "result_avatar_id",
    "result_voice_id",
    "result_reasons",
    "result_warnings",
    "result_next_step",
)
"""Columns of a results file, which are ignored when it is read as a manifest."""
_RESULT_KEYS = frozenset(map(header_key, RESULT_COLUMNS))
COLUMN_PATTERN = rf"^({'|'.join(COLUMNS)}|{re.escape(EXTRAS_PREFIX)}.+)$"
"""What a header may be mapped to, for the form of a run."""
MAX_COLUMNS = 1024
"""The columns that a spreadsheet program of any vendor has at least."""
MAX_LISTED_COLUMNS = 10
MAX_COMPARED_COLUMNS = 100
"""Surplus columns that are compared with the fields for a suggestion, which takes a millisecond each."""
MAX_SHOWN_CHARACTERS = 60
_MIN_SIMILARITY = 0.75
"""Of difflib: `nmae` and `name` have 0.75, `video` and `name` have 0.22."""
_MIN_CONTAINED_LETTERS = 8
"""Of a header inside of a longer one: `full name` and `consent video`, but not `name`, `person` or `consent`."""


@dataclass(frozen=True)
class ColumnMapping:
    """What each column of a table means.

    Attributes:
        width: The number of columns, up to the last one with a header.
        fields: The field by the index of its column: a name of COLUMNS, or `extras.KEY`.
        own: The indexes of the input's own columns, which are all but those of results.
        surplus: The headers that mean nothing here.
        nameless: The indexes of the columns with an empty header.
        is_results: Whether the table is a results file.
    """

    width: int
    fields: Mapping[int, str]
    own: Sequence[int]
    surplus: Sequence[str] = ()
    nameless: Sequence[int] = ()
    is_results: bool = False


def parse_column_map(pairs: Iterable[str]) -> dict[str, str]:
    """Return the columns by the key of their header from pairs such as `Video link=dataset_video`.

    Raises:
        InvalidManifest: A pair has no `=`, names a column that a manifest does not have, or contradicts another.
    """
    columns: dict[str, str] = {}
    for pair in pairs:
        header, separator, column = pair.rpartition("=")
        field = _exact_field(column)
        if field is None or not separator or not header_key(header) or "://" in header:
            is_pair = separator and header_key(header) and header_key(column) and "://" not in header
            problem = "names a column that a manifest does not have" if is_pair else "is not HEADER=COLUMN"
            raise InvalidManifest(
                f"the column map {redact(pair)[:MAX_SHOWN_CHARACTERS]!r} {problem}",
                hint=f'for example "Video link=dataset_video"; the columns are {", ".join(COLUMNS)} and '
                f"{EXTRAS_PREFIX}KEY",
            )
        if columns.setdefault(header_key(header), field) != field:
            raise InvalidManifest(
                f"the column map gives the header {redact(header)[:MAX_SHOWN_CHARACTERS]!r} two columns: "
                f"{redact(columns[header_key(header)])} and {redact(field)}",
                hint="map each header to one column; headers are compared without case, spaces and signs",
            )
    return columns


def count_required(header: Sequence[str], column_map: Mapping[str, str]) -> int:
    """Return how many required fields a line names as a header would; 2 or more tell that it is the header line."""
    fields = {column_map.get(header_key(cell)) or (meaning_of(cell) or ("", 0))[0] for cell in header[:MAX_COLUMNS]}
    return len(fields.intersection(HEADER_COLUMNS))


def map_columns(
    header: Sequence[str], column_map: Mapping[str, str], *, line: int, strict: bool = False
) -> ColumnMapping:
    """Return what each column means.

    Args:
        header: The cells of the header line.
        column_map: Fields by the key of their header, as `parse_column_map` returns.
        line: The number of the header line, for errors.
        strict: Whether a surplus column is an error.

    Raises:
        InvalidManifest: A required column is missing, a field has several columns, or the header is too large.
    """
    if len(header) > MAX_COLUMNS:
        raise InvalidManifest(
            f"header line {line}: it has {len(header):,} columns; at most {MAX_COLUMNS:,} are read",
            hint="delete the columns that are not of the list",
        )
    if (longest := max(map(len, header), default=0)) > MAX_HEADER_CHARACTERS:
        raise InvalidManifest(
            f"header line {line}: a cell has {longest:,} characters; at most {MAX_HEADER_CHARACTERS:,} are read",
            hint=f"begin with a header line: {','.join(REQUIRED_COLUMNS)}; a quote may be unclosed",
        )
    return _Header(header, column_map, line).map(strict=strict)


class _Header:
    """The header line of a table while its columns are assigned."""

    def __init__(self, cells: Sequence[str], column_map: Mapping[str, str], line: int) -> None:
        self._cells = cells
        self._keys = [header_key(cell) for cell in cells]
        self._column_map = column_map
        self._line = line
        self._problems: list[str] = []

    def map(self, *, strict: bool) -> ColumnMapping:
        self._check_column_map()
        fields = self._assign_fields() | self._assign_extras()
        results = {index for index, key in enumerate(self._keys) if key in _RESULT_KEYS}
        nameless = [index for index, cell in enumerate(self._cells) if not clean_cell(cell)]
        known = {*fields, *results, *nameless}
        surplus = [index for index in range(len(self._cells)) if index not in known]
        close = self._close_fields(surplus, fields)
        is_quotable = is_meant_as_manifest([*fields.values(), *close.values()])
        shown = {index: self._show(index, is_quotable=is_quotable) for index in range(len(self._cells))}
        for field in required_columns(fields.values()):
            if field not in fields.values():
                similar = [shown[index] for index, meant in close.items() if meant == field]
                self._problems.append(
                    f"the column {field!r} is missing" + (f" (did you mean {similar[0]}?)" if similar else "")
                )
        for field in find_duplicates(fields.values()):
            places = [index for index, meant in fields.items() if meant == field]
            listed = list_some([f"{shown[index]} ({column_letter(index)})" for index in places])
            meant = redact(field) if is_quotable or field in COLUMNS else "of an extra"
            self._problems.append(
                f"the column {meant} is repeated: {listed} mean the same: keep one, "
                "and put a second list into a file or a sheet of its own"
            )
        unnamed = [f"{shown[index]}{self._suggestion(index, close.get(index))}" for index in surplus]
        if unnamed and (self._problems or strict):
            self._problems.append(f"not a column of a manifest: {list_some(unnamed)}")
        if self._problems:
            raise InvalidManifest(f"header line {self._line}: {'; '.join(self._problems)}", hint=_HEADER_HINT)
        own = [index for index in range(len(self._cells)) if index not in results]
        return ColumnMapping(len(self._cells), fields, own, unnamed, nameless, is_results=bool(results))

    def _check_column_map(self) -> None:
        for key, column in self._column_map.items():
            if key not in self._keys:
                self._problems.append(
                    f"the file has no header {redact(key)[:MAX_SHOWN_CHARACTERS]!r} for {column!r}"
                )

    def _assign_fields(self) -> dict[int, str]:
        fields = {index: self._column_map[key] for index, key in enumerate(self._keys) if key in self._column_map}
        mapped = set(fields.values())
        ranked: dict[str, list[tuple[int, int]]] = {}
        for index, cell in enumerate(self._cells):
            if index not in fields and (meant := meaning_of(cell)) is not None and meant[0] not in mapped:
                ranked.setdefault(meant[0], []).append((meant[1], index))
        for field, candidates in ranked.items():
            best = min(candidates)[0]
            if field == IMAGE_COLUMN and best and "dataset_video" in {*mapped, *ranked}:
                continue  # a list of videos may have photos, too: beside videos, only `image` itself means an image
            fields |= {index: field for rank, index in candidates if rank == best}
        return fields

    def _assign_extras(self) -> dict[int, str]:
        return {
            index: f"{EXTRAS_PREFIX}{trim(cell.partition('.')[2])}"
            for index, cell in enumerate(self._cells)
            if self._keys[index] not in self._column_map
            and header_key(cell.partition(".")[0]) == EXTRAS_COLUMN
            and trim(cell.partition(".")[2])
        }

    def _close_fields(self, surplus: Iterable[int], fields: Mapping[int, str]) -> dict[int, str]:
        """Return the field that each surplus header perhaps means, if the file has no column of it."""
        missing = {key: meant for key, (meant, _) in RANKS.items() if meant not in fields.values()}
        close = {}
        for index in list(surplus)[:MAX_COMPARED_COLUMNS]:
            if (field := _similar_field(self._keys[index], missing)) is not None:
                close[index] = field
        return close

    def _suggestion(self, index: int, field: str | None) -> str:
        if self._keys[index] in NAME_PART_KEYS:
            return " (a part of a name: write the whole name into one column)"
        return f" (did you mean {field}?)" if field and field not in REQUIRED_COLUMNS else ""

    def _show(self, index: int, *, is_quotable: bool) -> str:
        if not is_quotable:
            return f"number {index + 1}"
        return repr(shorten(redact(self._cells[index].strip()), MAX_SHOWN_CHARACTERS))


def _similar_field(key: str, known: Mapping[str, str]) -> str | None:
    """Return the field whose key a header misspells, or the only one that a question or sentence contains."""
    if len(key) <= MAX_SHOWN_CHARACTERS and (
        found := difflib.get_close_matches(key, known, n=1, cutoff=_MIN_SIMILARITY)
    ):
        return known[found[0]]
    contained = {field for word, field in known.items() if len(word) >= _MIN_CONTAINED_LETTERS and word in key}
    return contained.pop() if len(contained) == 1 else None


def _exact_field(column: str) -> str | None:
    key = header_key(column)
    if "." in column:
        name = trim(column.partition(".")[2])
        return f"{EXTRAS_PREFIX}{name}" if name and key.startswith(EXTRAS_PREFIX) else None
    return next((field for field in COLUMNS if header_key(field) == key), None)


def list_some(texts: Sequence[str]) -> str:
    """Return the first texts as one, with the number of the others."""
    more = len(texts) - MAX_LISTED_COLUMNS
    return ", ".join(texts[:MAX_LISTED_COLUMNS]) + (f" and {more:,} more" if more > 0 else "")


_HEADER_HINT = (
    f"begin with a header line: {','.join(REQUIRED_COLUMNS)}, and optionally reference, {EXTRAS_PREFIX}KEY; "
    f"a row with {IMAGE_COLUMN} instead of dataset_video is made from an image; "
    'name another header with --map "HEADER=COLUMN", or with the parameter `columns` of a run'
)
