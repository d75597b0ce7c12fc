"""Writes .xlsx files of text cells: no formula, no number that loses digits, no date."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from models.text.escaping import own_cell, unmark_cell

if TYPE_CHECKING:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.worksheet._write_only import WriteOnlyWorksheet

NOTES_SHEET = "notes"
"""The name of the sheet that explains the first one."""
TEXT_FORMAT = "@"
"""The number format of text: a spreadsheet keeps what is typed into the cell as text too."""
MAX_CELL_CHARACTERS = 32_767
"""The limit of Excel; a longer cell makes the file unreadable for it."""
COLUMN_WIDTH = 24
# Characters that XML 1.0 does not allow, and half of a surrogate pair.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def write_workbook(
    title: str,
    rows: Iterable[Sequence[str]],
    *,
    first_marked: int = 0,
    notes: Sequence[str] = (),
) -> bytes:
    """Return an .xlsx file with one sheet of text, of which the first row is the header.

    Args:
        title: The name of the sheet.
        rows: The rows.
        first_marked: The number of columns whose texts are those of a manifest. `unmark_cell` gives them back.
        notes: The lines of a second sheet, none without lines.
    """
    from openpyxl import Workbook  # noqa: PLC0415  # takes a fifth of a second, and few commands write workbooks

    book = Workbook(write_only=True)
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    for number, row in enumerate(rows):
        if number == 0:
            _set_widths(sheet, len(row))
        cells = [_readable_again(text) if index < first_marked else text for index, text in enumerate(row)]
        sheet.append([_text_cell(sheet, text, bold=number == 0) for text in cells])
    if notes:
        explanation = book.create_sheet(NOTES_SHEET)
        explanation.column_dimensions["A"].width = 4 * COLUMN_WIDTH
        for note in notes:
            explanation.append([_text_cell(explanation, note, bold=False)])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _readable_again(text: str) -> str:
    """Return a form of the text from which `unmark_cell`, which also reads this file, restores it."""
    return own_cell(text) if unmark_cell(text) != text else text


def _set_widths(sheet: WriteOnlyWorksheet, count: int) -> None:
    from openpyxl.utils import get_column_letter  # noqa: PLC0415  # as above

    for index in range(1, count + 1):
        sheet.column_dimensions[get_column_letter(index)].width = COLUMN_WIDTH
        # Cells below the last row are text too, so that a long id that is typed in keeps its digits.
        sheet.column_dimensions[get_column_letter(index)].number_format = TEXT_FORMAT


def _text_cell(sheet: WriteOnlyWorksheet, text: str, *, bold: bool) -> WriteOnlyCell:
    from openpyxl.cell import WriteOnlyCell  # noqa: PLC0415  # as above
    from openpyxl.styles import Font  # noqa: PLC0415

    cell = WriteOnlyCell(sheet)
    cell.value = _ILLEGAL.sub("\ufffd", text)[:MAX_CELL_CHARACTERS] or None
    if cell.value is not None:
        cell.data_type = "s"  # otherwise a text such as =1+1 is a formula, and #N/A an error
    cell.number_format = TEXT_FORMAT
    cell.quotePrefix = True  # Excel would make a formula of =1+1 when the cell is edited
    if bold:
        cell.font = Font(bold=True)
    return cell
