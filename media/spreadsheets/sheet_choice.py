"""Chooses the sheet of a workbook: the one that the caller names, or the first visible one."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from media.spreadsheets.refusal import SpreadsheetRefused
from models.manifest.workbook import NOTES_SHEET
from models.text.escaping import shorten
from models.text.redaction import redact

MAX_COMPARED_SHEETS = 100
MAX_SHOWN_CHARACTERS = 60


def choose_sheet(sheets: Sequence[tuple[str, bool]], name: str | None) -> int:
    """Return the index of a sheet.

    Args:
        sheets: The name of each sheet, and whether it is hidden.
        name: The name of the sheet, in any case; None for the first visible one.

    Raises:
        SpreadsheetRefused: The sheet does not exist.
    """
    if not sheets:
        raise SpreadsheetRefused("it has no sheet with cells", "save the list as .xlsx, .ods or CSV")
    if name is None:
        return next((index for index, (_, is_hidden) in enumerate(sheets) if not is_hidden), 0)
    for key in (str, _folded):
        for index, (known, _) in enumerate(sheets):
            if key(known) == key(name):
                return index
    similar = difflib.get_close_matches(name, [known for known, _ in sheets[:MAX_COMPARED_SHEETS]], n=1)
    raise SpreadsheetRefused(
        f"it has no sheet {_shown(name)}" + (f" (did you mean {_shown(similar[0])}?)" if similar else ""),
        "name the sheet after the #, as in FILE.xlsx#Sheet1",
    )


def count_lists(sheets: Sequence[tuple[str, bool]]) -> int:
    """Return how many sheets may have a list, which the notes of our template have not."""
    return sum(name != NOTES_SHEET for name, _ in sheets)


def _shown(name: str) -> str:
    return repr(shorten(redact(name), MAX_SHOWN_CHARACTERS))


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
