"""The child process: reads a workbook from standard input and writes its rows to standard output as JSON lines.

Usage: `python -m media.spreadsheets.process [SHEET]`. python-calamine allocates all cells between the first and the
last one, and aborts the process if memory is short (tafia/calamine#433). Here it aborts only this one.

The first line is `{"sheets": 2, "hidden_rows": 0, "first_hidden_rows": [], "hidden_columns": []}`. Each row is
`[number, [text, ...], {index: [rule, is_harmless_elsewhere]}, is_title]`. The last line is `{"end": true}`, or
`{"problem": "...", "hint": "..."}`, which may also be the only line.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from media.spreadsheets import limits
from media.spreadsheets.archive import damaged_error, is_ods, open_archive
from media.spreadsheets.cells import cell_text
from media.spreadsheets.facts import CellFact, MergedArea, SheetFacts
from media.spreadsheets.ods_facts import read_ods_facts
from media.spreadsheets.refusal import SpreadsheetRefused
from media.spreadsheets.xlsx_facts import read_xlsx_facts
from models.manifest.cells import CellDoubt, column_letter
from models.manifest.rows import MAX_ROWS

_LIMITS = (
    (resource.RLIMIT_AS, limits.MAX_MEMORY_BYTES),
    (resource.RLIMIT_CPU, limits.MAX_CPU_SECONDS),
    (resource.RLIMIT_FSIZE, limits.MAX_OUTPUT_BYTES),
    (resource.RLIMIT_CORE, 0),
)


def limit_resources() -> None:
    """Limit the memory, the CPU time and the output of this process."""
    for limit, value in _LIMITS:
        with contextlib.suppress(ValueError, OSError):  # macOS does not limit the address space
            resource.setrlimit(limit, (value, value))


def describe_workbook(data: bytes, sheet_name: str | None) -> Iterator[str]:
    """Yield the lines of the protocol.

    Args:
        data: The bytes of an .xlsx or .ods file.
        sheet_name: The name of the sheet; None for the first visible one.
    """
    try:
        for line in _describe_sheet(data, sheet_name):
            yield json.dumps(line, separators=(",", ":")) + "\n"
    except SpreadsheetRefused as error:
        yield json.dumps({"problem": error.problem, "hint": error.hint}) + "\n"


def _describe_sheet(data: bytes, sheet_name: str | None) -> Iterator[Any]:
    with open_archive(data) as archive:
        facts = (read_ods_facts if is_ods(archive) else read_xlsx_facts)(archive, sheet_name)
    _refuse_large_sheet(facts)
    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(data)) as workbook:
            sheet = workbook.get_sheet_by_name(facts.name)
            yield {
                "sheets": facts.sheet_count,
                "hidden_rows": facts.hidden_rows,
                "first_hidden_rows": [row + 1 for row in facts.first_hidden_rows],
                "hidden_columns": [*map(column_letter, facts.hidden_columns)],
            }
            yield from _describe_rows(_rows_from_first_cell(sheet, facts), facts)
    except (CalamineError, ValueError, OSError):
        raise damaged_error() from None
    yield {"end": True}


def _refuse_large_sheet(facts: SheetFacts) -> None:
    if facts.row_count > limits.MAX_SHEET_ROWS or facts.row_count * facts.column_count > limits.MAX_CELLS:
        last = f"row {facts.row_count:,} and column {column_letter(facts.column_count - 1)}"
        raise SpreadsheetRefused(
            f"its cells reach to {last}, and at most {MAX_ROWS:,} rows are read",
            "delete the cells that are far from the list, or split the list",
        )


def _rows_from_first_cell(sheet: CalamineSheet, facts: SheetFacts) -> Iterator[list[Any]]:
    """Yield the rows from A1 to the last cell with a value or a fact.

    python-calamine begins at the first column with a value, and leaves out rows of formulas without a value.
    """
    margin = [""] * (sheet.start[1] if sheet.start else 0)
    below = max(facts.row_count - sheet.total_height, 0)
    return chain((margin + row for row in sheet.iter_rows()), repeat([], below))


def _describe_rows(rows: Iterator[list[Any]], facts: SheetFacts) -> Iterator[Any]:
    facts_by_row = facts.by_row()
    fact_row, row_facts = next(facts_by_row, (-1, {}))
    merged = _MergedRows(facts.merged)
    for index, values in enumerate(rows):
        while fact_row != -1 and fact_row < index:
            fact_row, row_facts = next(facts_by_row, (-1, {}))
        current = row_facts if fact_row == index else {}
        yield _describe_row(index, values, current, merged.covering(index))


def _describe_row(
    index: int, values: list[Any], facts: dict[int, CellFact], covering: list[MergedArea]
) -> tuple[int, list[str], dict[int, CellDoubt], bool]:
    cells: list[str] = []
    doubts: dict[int, CellDoubt] = {}
    without_value = [""] * (max(facts, default=-1) + 1 - len(values))
    for column, value in enumerate(values + without_value):
        text, doubt = cell_text(value, facts.get(column))
        cells.append(text)
        if doubt is not None:
            doubts[column] = doubt
    for area in covering:
        first = f"{column_letter(area.first_column)}{area.first_row + 1}"
        rule = f"is covered by the merged cell {first}: unmerge it, and fill in each row"
        for column in range(area.first_column, min(area.last_column + 1, len(cells))):
            if not cells[column] and (index, column) != area[:2]:
                doubts[column] = CellDoubt(rule, is_harmless_elsewhere=False)
    return index + 1, cells, doubts, _is_title(index, cells, covering)


def _is_title(index: int, cells: list[str], covering: list[MergedArea]) -> bool:
    """Whether the only text of a row is in a cell that is merged with others beside it."""
    if not covering:
        return False
    columns = [column for column, text in enumerate(cells) if text]
    return any(
        columns == [area.first_column] and area.first_row == index and area.last_column > area.first_column
        for area in covering
    )


class _MergedRows:
    """Finds the merged areas of each row, for rows in ascending order."""

    def __init__(self, areas: list[MergedArea]) -> None:
        self._waiting = sorted(areas, reverse=True)
        self._open: list[MergedArea] = []

    def covering(self, row: int) -> list[MergedArea]:
        while self._waiting and self._waiting[-1].first_row <= row:
            self._open.append(self._waiting.pop())
        if self._open:
            self._open = [area for area in self._open if area.last_row >= row]
        return self._open


def main() -> None:
    """Read one workbook."""
    data = sys.stdin.buffer.read()
    limit_resources()
    for line in describe_workbook(data, sys.argv[1] if len(sys.argv) > 1 else None):
        sys.stdout.write(line)


if __name__ == "__main__":
    main()
