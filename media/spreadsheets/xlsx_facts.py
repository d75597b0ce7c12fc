"""Reads the facts about a sheet of .xlsx (ECMA-376 part 1, 18.3) that its values do not tell."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Mapping
from typing import NamedTuple

from media.spreadsheets.archive import damaged_error
from media.spreadsheets.facts import MAX_MERGED_AREAS, CellFact, FactKind, MergedArea, SheetFacts
from media.spreadsheets.sheet_choice import choose_sheet, count_lists
from media.spreadsheets.xml_stream import parse_part

_WORKBOOK = "xl/workbook.xml"
_RELATIONS = "xl/_rels/workbook.xml.rels"
_STYLES = "xl/styles.xml"
_WORKSHEET_TYPE = "/worksheet"
_PLAIN_FORMATS = {"General", "0", "@", "#", ""}
_PLAIN_FORMAT_IDS = {0, 1, 49}
_FIRST_CUSTOM_FORMAT_ID = 164
_ZEROS = re.compile(r"0{2,32}")
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_MAX_ERROR_CHARACTERS = 20
_MAX_DIGITS = 9
_TRUE = {"1", "true"}


class _Sheet(NamedTuple):
    name: str
    relation: str
    is_hidden: bool


def read_xlsx_facts(archive: zipfile.ZipFile, sheet_name: str | None) -> SheetFacts:
    """Return the facts about a sheet, by default the first visible one.

    Raises:
        SpreadsheetRefused: The sheet does not exist, or the workbook is damaged.
    """
    sheets = _read_sheets(archive)
    targets = _read_targets(archive)
    worksheets = [sheet for sheet in sheets if sheet.relation in targets]
    names = [(sheet.name, sheet.is_hidden) for sheet in worksheets]
    chosen = choose_sheet(names, sheet_name)
    facts = SheetFacts(worksheets[chosen].name, count_lists(names))
    parser = _SheetParser(facts, _read_formats(archive))
    parse_part(archive, targets[worksheets[chosen].relation], parser.start, parser.end, parser.text)
    return facts


def _read_sheets(archive: zipfile.ZipFile) -> list[_Sheet]:
    sheets: list[_Sheet] = []

    def start(element: str, attributes: Mapping[str, str]) -> None:
        if element == "sheet":
            relation = next((value for key, value in attributes.items() if key.rpartition(":")[2] == "id"), "")
            sheets.append(
                _Sheet(
                    attributes.get("name", ""), relation, "state" in attributes and attributes["state"] != "visible"
                )
            )

    parse_part(archive, _WORKBOOK, start)
    return sheets


def _read_targets(archive: zipfile.ZipFile) -> dict[str, str]:
    """Return the path of each worksheet by the id of its relation."""
    targets: dict[str, str] = {}

    def start(element: str, attributes: Mapping[str, str]) -> None:
        if element == "Relationship" and attributes.get("Type", "").endswith(_WORKSHEET_TYPE):
            path = posixpath.normpath(posixpath.join("/xl", attributes.get("Target", "")))
            targets[attributes.get("Id", "")] = path.lstrip("/")

    parse_part(archive, _RELATIONS, start)
    return targets


def _read_formats(archive: zipfile.ZipFile) -> list[CellFact | None]:
    """Return the fact that each cell style means for a number, None for a style that shows its digits."""
    codes: dict[int, str] = {}
    styles: list[int] = []
    in_cell_styles = False

    def start(element: str, attributes: Mapping[str, str]) -> None:
        nonlocal in_cell_styles
        if element == "numFmt":
            codes[_int(attributes.get("numFmtId", "0"))] = attributes.get("formatCode", "")
        elif element == "cellXfs":
            in_cell_styles = True
        elif element == "xf" and in_cell_styles:
            styles.append(_int(attributes.get("numFmtId", "0")))

    def end(element: str) -> None:
        nonlocal in_cell_styles
        if element == "cellXfs":
            in_cell_styles = False

    if _STYLES in archive.NameToInfo:
        parse_part(archive, _STYLES, start, end)
    return [_format_fact(style, codes.get(style)) for style in styles]


def _format_fact(format_id: int, code: str | None) -> CellFact | None:
    if format_id in _PLAIN_FORMAT_IDS or (code is not None and code in _PLAIN_FORMATS):
        return None
    if code is not None and _ZEROS.fullmatch(code):
        return CellFact(FactKind.ZERO_PADDED, code)
    return None if code is None and format_id >= _FIRST_CUSTOM_FORMAT_ID else CellFact(FactKind.FORMATTED)


def _int(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else 0


class _SheetParser:
    """Collects the facts while the XML of a sheet is parsed."""

    def __init__(self, facts: SheetFacts, formats: list[CellFact | None]) -> None:
        self._facts = facts
        self._formats = formats
        self._row = -1
        self._row_is_hidden = False
        self._row_has_value = False
        self._column = -1
        self._type = ""
        self._style = 0
        self._has_formula = False
        self._in_value = False
        self._value: list[str] = []

    def start(self, element: str, attributes: Mapping[str, str]) -> None:
        if element == "c":
            self._start_cell(attributes)
        elif element in {"v", "t"}:
            self._in_value = True
        elif element == "f":
            self._has_formula = True
        elif element == "row":
            number = attributes.get("r", "")
            row = _int(number) - 1 if number else self._row + 1
            if row <= self._row:  # the facts are read in the order of the rows
                raise damaged_error()
            self._row = row
            self._column = -1
            self._row_is_hidden = attributes.get("hidden") in _TRUE
            self._row_has_value = False
        elif element == "col" and attributes.get("hidden") in _TRUE:
            first_number, last_number = (_int(attributes.get(name, "")) for name in ("min", "max"))
            self._facts.add_hidden_columns(max(first_number - 1, 0), last_number - 1)
        elif element == "mergeCell" and len(self._facts.merged) < MAX_MERGED_AREAS:
            first, _, last = attributes.get("ref", "").partition(":")
            if first and last:
                self._facts.merged.append(MergedArea(*_parse_reference(first), *_parse_reference(last)))

    def end(self, element: str) -> None:
        if element == "c":
            self._end_cell()
        elif element in {"v", "t"}:
            self._in_value = False
        elif element == "row" and self._row_is_hidden and self._row_has_value:
            self._facts.add_hidden_row(self._row)

    def text(self, data: str) -> None:
        if self._in_value:
            self._value.append(data)

    def _start_cell(self, attributes: Mapping[str, str]) -> None:
        if reference := attributes.get("r", ""):
            row, self._column = _parse_reference(reference)
            if row != self._row:  # python-calamine goes by the cell, which facts of the row would miss
                raise damaged_error()
        else:
            self._column += 1
        self._type = attributes.get("t", "n")
        self._style = _int(attributes.get("s", "0"))
        self._has_formula = self._in_value = False
        self._value = []

    def _end_cell(self) -> None:
        value = "".join(self._value)
        if value:
            self._row_has_value = True
            self._facts.add_value(self._row, self._column)
        if self._type == "e" and value:
            fact: CellFact | None = CellFact(FactKind.ERROR, value[:_MAX_ERROR_CHARACTERS])
        elif self._has_formula and not value:
            # A formula whose result is an empty text has the type of a text.
            fact = CellFact(FactKind.NO_VALUE) if self._type == "n" else None
        elif self._type == "n" and value:
            fact = self._formats[self._style] if self._style < len(self._formats) else None
        else:
            fact = None
        if fact is not None:
            self._facts.add_value(self._row, self._column)
            self._facts.add(self._row, self._column, fact)


def _parse_reference(reference: str) -> tuple[int, int]:
    """Return the indexes of the row and the column of a cell such as `C5`."""
    match = _REFERENCE.fullmatch(reference.replace("$", ""))
    if match is None:
        raise damaged_error()
    column = 0
    for letter in match[1]:
        column = column * 26 + ord(letter) - ord("A") + 1
    return int(match[2]) - 1, column - 1
