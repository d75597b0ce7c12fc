"""Turns a table of cells, from CSV or a spreadsheet, into raw rows: finds the header line and reads each column.

Text above the header line, surplus columns, and rows without any value of a manifest are skipped. What is skipped,
and each text that is changed, is reported once in `notices`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Literal

from models.errors import InvalidManifest
from models.manifest.cell_values import read_values
from models.manifest.cells import RECORDING_COLUMNS, TableRow, clean_cell, column_letter
from models.manifest.columns import ColumnMapping, count_required, list_some, map_columns
from models.manifest.headers import header_key, is_known_header, is_total_label
from models.manifest.notices import Places
from models.manifest.rows import HEADER_COLUMNS, RawRow
from models.text.escaping import unmark_cell

HEADER_SEARCH_ROWS = 50
"""Rows in which the header line is looked for; above it, sheets have titles and notes."""
_MIN_HEADER_COLUMNS = 2
"""Required columns that a header line names at least: all, or all but a misspelt one."""
_ROW_COLUMNS = (*HEADER_COLUMNS, "reference")
"""A row without any of them is blank: a sheet may fill its other columns down to the end."""
_END = TableRow(0, [])
_OTHER_TABLE_RULE = (
    "is below another header line, in {unit} {number}: put each table in a file or a sheet of its own"
)
_NO_HEADER_NOTICE = f"the header line is looked for in the first {HEADER_SEARCH_ROWS} rows with text"
_TRANSPOSED_NOTICE = "the columns are written below each other: transpose the list, so that each avatar is a row"
_ONE_CELL_NOTICE = (
    "the header line is one cell: check the separator (comma, semicolon, tab or |), the line `sep=`, "
    "and quotes around the whole line"
)


@dataclass
class Table:
    """A table of cells.

    Attributes:
        rows: The rows, blank ones included. They are read once.
        unit: What a number of a row counts: the lines of a text file, or the rows of a sheet.
        separator: The separator of a text file.
        notices: What the reader of the format reports.
        close: Releases what the rows are read from.
    """

    rows: Iterable[TableRow]
    unit: Literal["line", "row"]
    separator: str = ","
    notices: list[str] = field(default_factory=list)
    close: Callable[[], None] = lambda: None


class TableReader:
    """Reads the rows of one table.

    Args:
        table: The table.
        column_map: Fields by the key of their header.
        strict: Whether surplus columns are an error.
    """

    def __init__(self, table: Table, column_map: Mapping[str, str], *, strict: bool = False) -> None:
        self._table = table
        self._column_map = column_map
        self._strict = strict
        unit = table.unit
        self._trimmed = Places(
            "spaces or invisible characters were removed around the text of {places}",
            "line" if unit == "line" else "cell",
        )
        self._skipped = Places("{places} with neither a name, a recording nor a reference {were} skipped", unit)
        self._totals = Places("{places} with totals instead of recordings {were} skipped", unit)
        self._titles = Places("{places} with a title instead of an avatar {were} skipped", unit)
        self._repeated = Places("the header line is repeated in {places}", unit)
        self._other_header: int | None = None
        self.columns: list[str] = []
        """The headers of the input's own columns, known once `rows` has yielded a row or ended."""
        self._header_notices: list[str] = []
        self._surplus: Sequence[str] = ()
        self._nameless: set[int] = set()
        """The indexes of the columns that have values, but no header."""

    @property
    def notices(self) -> list[str]:
        """What was skipped or changed, complete once all rows were read."""
        notices = [*self._table.notices, *self._header_notices]
        if unread := [*self._surplus, *self._nameless_columns]:
            notices.append(f"columns that are not read: {list_some(unread)}")
        places = (self._trimmed, self._skipped, self._totals, self._titles, self._repeated)
        return [*notices, *(place.text for place in places if place.count)]

    @property
    def _nameless_columns(self) -> list[str]:
        return [f"{column_letter(index)} (without a header)" for index in sorted(self._nameless)]

    def rows(self) -> Iterator[RawRow]:
        """Yield the rows below the header line.

        Raises:
            InvalidManifest: The header line lacks a required column, or is ambiguous. With `strict`, also after the
                last row: a column has values but no header.
        """
        rows = iter(self._table.rows)
        beginning: list[TableRow] = []
        for row in rows:
            if any(map(clean_cell, row.cells)):
                beginning.append(row)
                if self._is_header(row) or len(beginning) == HEADER_SEARCH_ROWS:
                    break
        if not beginning:
            return
        if self._is_header(beginning[-1]):
            header_index = len(beginning) - 1
        else:
            header_index = self._most_similar(beginning)
            self._explain_missing_header(beginning)
        header = beginning[header_index]
        mapping = self._map(header, beginning[:header_index])
        letters = (
            {name: column_letter(index) for index, name in mapping.fields.items()}
            if self._table.unit == "row"
            else {}
        )
        below = (row for row in chain(beginning[header_index + 1 :], rows) if any(row.cells))
        for row, following in pairwise(chain(below, [_END])):
            if self._is_title_above(following, row, header):
                self._titles.add(str(row.number))
            elif (raw := self._read_row(row, header, mapping)) is not None:
                yield raw._replace(letters=letters)
        if self._strict and self._nameless:
            raise InvalidManifest(
                f"header line {header.number}: not a column of a manifest: {list_some(self._nameless_columns)}",
                hint="write a header above each column that has values, or delete the values",
            )

    def _is_header(self, row: TableRow) -> bool:
        return count_required(row.cells, self._column_map) >= _MIN_HEADER_COLUMNS

    def _most_similar(self, rows: Sequence[TableRow]) -> int:
        """Return the index of the row that names the most required columns; the first row if none does."""
        counts = [count_required(row.cells, self._column_map) for row in rows]
        return counts.index(max(counts))

    def _explain_missing_header(self, beginning: Sequence[TableRow]) -> None:
        """Add to the notices, which are part of the error that follows, what the header line perhaps is."""
        first_cells = [next(filter(None, map(clean_cell, row.cells)), "") for row in beginning]
        if count_required(first_cells, self._column_map) >= _MIN_HEADER_COLUMNS:
            self._table.notices.append(_TRANSPOSED_NOTICE)
        elif len(beginning) == HEADER_SEARCH_ROWS:
            self._table.notices.append(_NO_HEADER_NOTICE)

    def _map(self, header: TableRow, above: Sequence[TableRow]) -> ColumnMapping:
        cells = _without_trailing_empty(_complete_header(header, above))
        if self._table.unit == "line" and len(cells) == 1:
            self._table.notices.append(_ONE_CELL_NOTICE)  # part of the error that follows
        mapping = map_columns(cells, self._column_map, line=header.number, strict=self._strict)
        self.columns = [cells[index] for index in mapping.own]
        if above:
            self._header_notices.append(
                f"the header line is {self._table.unit} {header.number}; the text above it was skipped"
            )
        self._surplus = mapping.surplus
        return mapping

    def _read_row(self, row: TableRow, header: TableRow, mapping: ColumnMapping) -> RawRow | None:
        cells = [*map(clean_cell, row.cells), *[""] * (len(header.cells) - len(row.cells))]
        if not any(cells):
            return None
        if mapping.is_results:
            cells = [unmark_cell(cell) for cell in cells]
        # Only as many cells as the row has: 100,000 short rows below a wide header would take a gigabyte.
        own = tuple(cells[index] for index in mapping.own if index < len(row.cells))
        own += tuple(_without_trailing_empty(cells[mapping.width :]))
        if self._is_another_header(row, cells, header):
            return None
        if self._other_header is not None:
            rule = _OTHER_TABLE_RULE.format(unit=self._table.unit, number=self._other_header)
            return RawRow(row.number, {}, [("row", rule)], own)
        if self._table.unit == "line" and any(cells[mapping.width :]):
            rule = (
                f"has {len(row.cells)} cells, but the header line has {mapping.width}: put values that contain "
                "the separator in quotes, and a header above each column"
            )
            return RawRow(row.number, {}, [("row", rule)], own)
        if (places := self._places_without_avatar(row, cells, mapping)) is not None:
            places.add(str(row.number))
            return None
        self._nameless.update(
            index for index in (*mapping.nameless, *range(mapping.width, len(cells))) if cells[index]
        )
        for index in mapping.fields:
            if index < len(row.cells) and row.cells[index] != cells[index] and not mapping.is_results:
                self._trimmed.add(self._place(row.number, index))
        values, problems = read_values(row, cells, mapping)
        return RawRow(row.number, values, problems, own)

    def _places_without_avatar(self, row: TableRow, cells: Sequence[str], mapping: ColumnMapping) -> Places | None:
        """Return where a row that stands for no avatar is counted, None if it stands for one."""
        if not any(cells[index] for index, name in mapping.fields.items() if name in _ROW_COLUMNS):
            return self._skipped
        if row.is_title and any(
            name in RECORDING_COLUMNS and index in row.doubts for index, name in mapping.fields.items()
        ):
            return self._titles
        return self._totals if _is_total(cells) else None

    def _is_title_above(self, following: TableRow, row: TableRow, header: TableRow) -> bool:
        """Whether a row has one text, and the header line is repeated below it."""
        return sum(map(bool, row.cells)) == 1 and _keys(following) == _keys(header)

    def _is_another_header(self, row: TableRow, cells: Sequence[str], header: TableRow) -> bool:
        """Whether a row is a header line again; if its columns differ, the rows below it cannot be read."""
        if any("://" in cell for cell in cells) or not self._is_header(row):
            return False
        if _keys(row) == _keys(header):
            self._repeated.add(str(row.number))
            self._other_header = None
        else:
            self._other_header = row.number
        return True

    def _place(self, number: int, index: int) -> str:
        return f"{column_letter(index)}{number}" if self._table.unit == "row" else str(number)


def _complete_header(header: TableRow, above: Sequence[TableRow]) -> list[str]:
    """Return the header with the names of its empty cells from the line above: a header may have two lines."""
    if not above or above[-1].number != header.number - 1:
        return header.cells
    upper = [*above[-1].cells, *[""] * len(header.cells)]
    return [
        cell if clean_cell(cell) or not is_known_header(up) else up
        for cell, up in zip(header.cells, upper, strict=False)
    ]


def _keys(row: TableRow) -> list[str]:
    return [*map(header_key, _without_trailing_empty(row.cells))]


def _is_total(cells: Sequence[str]) -> bool:
    """Whether a row has a label of totals and no URL."""
    return not any("://" in cell for cell in cells) and any(map(is_total_label, cells))


def _without_trailing_empty(cells: Sequence[str]) -> Sequence[str]:
    end = len(cells)
    while end and not clean_cell(cells[end - 1]):
        end -= 1
    return cells[:end]
