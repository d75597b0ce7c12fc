"""What a sheet tells of its cells beside the values: errors, formulas without a value, formats, hidden cells."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from models.manifest.columns import MAX_COLUMNS

MAX_COLUMN_BITS = 20
"""Bits for the index of a column in a position; no program has more than 65,536 columns."""
MAX_MERGED_AREAS = 100_000
MAX_HIDDEN_AREAS = 1000
MAX_NAMED_ROWS = 5


class FactKind(Enum):
    """What is special about a cell."""

    ERROR = auto()
    """The error of a formula; `text` is the error."""
    NO_VALUE = auto()
    """A formula whose value is not stored."""
    ZERO_PADDED = auto()
    """A whole number with leading zeros; `text` is what the sheet shows, or the number of digits as zeros."""
    FORMATTED = auto()
    """A number that the sheet shows with other characters, for example as a percentage or an amount of money."""


class CellFact(NamedTuple):
    """One fact about a cell."""

    kind: FactKind
    text: str = ""


class MergedArea(NamedTuple):
    """Merged cells, by the indexes of their first and last row and column. The first cell has the value."""

    first_row: int
    first_column: int
    last_row: int
    last_column: int


@dataclass
class SheetFacts:
    """The facts about one sheet; rows and columns count from 0.

    Attributes:
        name: The name of the sheet.
        sheet_count: The number of sheets of the workbook, without the notes of our template.
        row_count: The rows up to the last one with a value.
        column_count: The columns up to the last one with a value.
        hidden_rows: The number of hidden rows with a value.
        first_hidden_rows: The indexes of the first of them.
        hidden_areas: The indexes of the first and the last of hidden columns side by side, with or without values.
        merged: The merged areas.
    """

    name: str
    sheet_count: int
    row_count: int = 0
    column_count: int = 0
    hidden_rows: int = 0
    first_hidden_rows: list[int] = field(default_factory=list)
    hidden_areas: list[tuple[int, int]] = field(default_factory=list)
    merged: list[MergedArea] = field(default_factory=list)
    _facts: list[CellFact] = field(default_factory=list)
    _codes_of: dict[CellFact, int] = field(default_factory=dict)
    # Two arrays instead of a dict: a column of 100,000 formatted numbers takes 1 MB instead of 20.
    _positions: array[int] = field(default_factory=lambda: array("q"))
    _codes: array[int] = field(default_factory=lambda: array("l"))

    def add(self, row: int, column: int, fact: CellFact) -> None:
        """Record a fact; cells come in the order of rows."""
        code = self._codes_of.setdefault(fact, len(self._facts))
        if code == len(self._facts):
            self._facts.append(fact)
        self._positions.append(row << MAX_COLUMN_BITS | column)
        self._codes.append(code)

    def add_value(self, row: int, column: int) -> None:
        """Record that a cell has a value."""
        self.row_count = max(self.row_count, row + 1)
        self.column_count = max(self.column_count, column + 1)

    def add_hidden_row(self, row: int) -> None:
        """Record that a row with a value is hidden."""
        self.hidden_rows += 1
        if len(self.first_hidden_rows) < MAX_NAMED_ROWS:
            self.first_hidden_rows.append(row)

    def add_hidden_columns(self, first: int, last: int) -> None:
        """Record that columns are hidden."""
        if len(self.hidden_areas) < MAX_HIDDEN_AREAS:
            self.hidden_areas.append((first, last))

    @property
    def hidden_columns(self) -> list[int]:
        """The indexes of the hidden columns up to the last one with a value that is read."""
        end = min(self.column_count, MAX_COLUMNS)
        return sorted({column for first, last in self.hidden_areas for column in range(first, min(last + 1, end))})

    def by_row(self) -> Iterator[tuple[int, dict[int, CellFact]]]:
        """Yield the facts of each row that has any, by the index of the column."""
        row, facts = -1, dict[int, CellFact]()
        for position, code in zip(self._positions, self._codes, strict=True):
            if position >> MAX_COLUMN_BITS != row:
                if facts:
                    yield row, facts
                row, facts = position >> MAX_COLUMN_BITS, {}
            facts[position & (1 << MAX_COLUMN_BITS) - 1] = self._facts[code]
        if facts:
            yield row, facts
