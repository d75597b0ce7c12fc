"""Reads the facts about a sheet of .ods (ODF 1.3 part 3, 9 and 19.385) that its values do not tell."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping

from media.spreadsheets.facts import MAX_MERGED_AREAS, CellFact, FactKind, MergedArea, SheetFacts
from media.spreadsheets.refusal import SpreadsheetRefused
from media.spreadsheets.sheet_choice import choose_sheet, count_lists
from media.spreadsheets.xml_stream import parse_part

_CONTENT = "content.xml"
_NUMBER_TYPES = {"float", "percentage", "currency"}
_HIDDEN = {"collapse", "filter"}
_CELLS = {"table-cell", "covered-table-cell"}
_MAX_SHOWN_CHARACTERS = 40
MAX_DIGITS = 9
"""Of a number of rows or columns: no sheet has a billion."""
MAX_REPEATED_FACTS = 1_000_000
"""Facts of cells that the file writes once and repeats; a list has fewer."""


def read_ods_facts(archive: zipfile.ZipFile, sheet_name: str | None) -> SheetFacts:
    """Return the facts about a sheet, by default the first visible one.

    Raises:
        SpreadsheetRefused: The sheet does not exist, is linked to another file, or the workbook is damaged.
    """
    sheets = _SheetList()
    parse_part(archive, _CONTENT, sheets.start)
    if sheets.has_links:
        raise SpreadsheetRefused(
            "it has sheets that are linked to other files, whose values may be out of date",
            "break the links (in LibreOffice: Edit, Links to External Files), or copy the list into a new file",
        )
    names = [(name, style in sheets.hidden_styles) for name, style in sheets.tables]
    chosen = choose_sheet(names, sheet_name)
    facts = SheetFacts(names[chosen][0], count_lists(names))
    parser = _SheetParser(facts, chosen)
    parse_part(archive, _CONTENT, parser.start, parser.end, parser.text)
    return facts


class _SheetList:
    """Collects the names and styles of all sheets."""

    def __init__(self) -> None:
        self.tables: list[tuple[str, str]] = []
        self.hidden_styles: set[str] = set()
        self.has_links = False
        self._style = ""

    def start(self, element: str, attributes: Mapping[str, str]) -> None:
        if element == "table":
            self.tables.append((attributes.get("table:name", ""), attributes.get("table:style-name", "")))
        elif element == "style":
            self._style = attributes.get("style:name", "")
        elif element == "table-properties" and attributes.get("table:display") == "false":
            self.hidden_styles.add(self._style)
        elif element in {"table-source", "cell-range-source"}:
            self.has_links = True


class _SheetParser:
    """Collects the facts of one sheet while the content of the workbook is parsed."""

    def __init__(self, facts: SheetFacts, number: int) -> None:
        self._facts = facts
        self._number = number
        self._table = -1
        self._annotations = 0
        self._row = self._column = 0
        self._row_repeat = 1
        self._row_is_hidden = self._row_has_value = False
        self._cell: Mapping[str, str] = {}
        self._in_text = 0
        self._text: list[str] = []
        self._pending: list[tuple[int, int, CellFact]] = []

    def start(self, element: str, attributes: Mapping[str, str]) -> None:
        if element == "table":
            self._table += 1
        if self._table != self._number:
            return
        if element == "table-column":
            repeat = _number(attributes, "columns-repeated")
            if attributes.get("table:visibility") in _HIDDEN:
                self._facts.add_hidden_columns(self._column, self._column + repeat - 1)
            self._column += repeat
        elif element == "table-row":
            self._row_repeat = _number(attributes, "rows-repeated")
            self._row_is_hidden = attributes.get("table:visibility") in _HIDDEN
            self._row_has_value = False
            self._column = 0
            self._pending = []
        elif element in _CELLS:
            self._cell = attributes
            self._text = []
        elif element == "annotation":
            self._annotations += 1
        elif element == "p":
            self._in_text += 1

    def end(self, element: str) -> None:
        if self._table != self._number:
            return
        if element in _CELLS:
            self._end_cell()
        elif element == "annotation":
            self._annotations -= 1
        elif element == "p":
            self._in_text -= 1
        elif element == "table-row":
            self._end_row()
        elif element == "table":
            self._table += 1  # what follows belongs to another sheet

    def text(self, data: str) -> None:
        if self._in_text and not self._annotations:
            self._text.append(data)

    def _end_cell(self) -> None:
        repeat = _number(self._cell, "columns-repeated")
        text = "".join(self._text)
        fact = self._fact(text)
        if text or fact is not None:
            self._row_has_value = True
            self._facts.add_value(self._row + self._row_repeat - 1, self._column + repeat - 1)
            if fact is not None and len(self._pending) + repeat <= MAX_REPEATED_FACTS:
                self._pending += [
                    (self._row, column, fact) for column in range(self._column, self._column + repeat)
                ]
        height, width = _number(self._cell, "rows-spanned"), _number(self._cell, "columns-spanned")
        if height * width > 1 and len(self._facts.merged) < MAX_MERGED_AREAS:
            last_row, last_column = self._row + height - 1, self._column + width - 1
            self._facts.merged.append(MergedArea(self._row, self._column, last_row, last_column))
        self._column += repeat

    def _end_row(self) -> None:
        if len(self._pending) * self._row_repeat <= MAX_REPEATED_FACTS:
            for offset in range(self._row_repeat if self._pending else 0):
                for row, column, fact in self._pending:
                    self._facts.add(row + offset, column, fact)
        if self._row_has_value and self._row_is_hidden:
            for offset in range(min(self._row_repeat, MAX_REPEATED_FACTS)):
                self._facts.add_hidden_row(self._row + offset)
        self._row += self._row_repeat

    def _fact(self, text: str) -> CellFact | None:
        kind = self._cell.get("office:value-type", "")
        if self._cell.get("calcext:value-type") == "error":
            return CellFact(FactKind.ERROR, text[:_MAX_SHOWN_CHARACTERS])
        if "table:formula" in self._cell and not kind:
            return CellFact(FactKind.NO_VALUE)
        if kind in _NUMBER_TYPES and text.lstrip("-") != self._cell.get("office:value", "").lstrip("-"):
            if kind == "float" and text.isascii() and text.isdigit() and text.startswith("0"):
                return CellFact(FactKind.ZERO_PADDED, "0" * len(text))
            return CellFact(FactKind.FORMATTED)
        return None


def _number(attributes: Mapping[str, str], name: str) -> int:
    """Return how many rows or columns an element stands for, or spans."""
    text = attributes.get(f"table:number-{name}", "1")
    return max(int(text[: MAX_DIGITS + 1]), 1) if text.isascii() and text.isdigit() else 1
