"""Turns the value of a cell into text, with a doubt if its author perhaps sees something else."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from media.spreadsheets.facts import CellFact, FactKind
from models.manifest.cells import CellDoubt

EXACT_NUMBERS = 10**15
"""Spreadsheets store 15 significant digits: a number of more has lost the others (ECMA-376 part 1, 18.3.1.96)."""
NOT_STORED = "#N/A"
"""Stands for the value of a formula that is not stored, so that its row is not blank."""
_AS_TEXT = "format the column as text and enter the value again"

Value = str | int | float | bool | date | datetime | time | timedelta


def cell_text(value: Value, fact: CellFact | None) -> tuple[str, CellDoubt | None]:
    """Return the text of a cell and the doubt about it.

    Args:
        value: The value as python-calamine returns it; an error, or a formula without a value, is an empty text.
        fact: What the sheet says about the cell.
    """
    if fact and (found := _formula_text(fact)):
        return found
    if isinstance(value, str):
        return value, None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number_text(value, fact)
    text = str(value).upper() if isinstance(value, bool) else str(value)
    if isinstance(value, date | time):
        text = value.isoformat()
    kinds = {bool: "logical value", timedelta: "duration", time: "time"}
    return text, _doubt(f"is the {kinds.get(type(value), 'date')} {text}")


def _formula_text(fact: CellFact) -> tuple[str, CellDoubt] | None:
    """Return the text and the doubt of a formula without a value, None for another fact."""
    if fact.kind is FactKind.ERROR:
        rule = f"is the error {fact.text} of a formula: correct the formula, or enter the value"
        return fact.text, CellDoubt(rule, is_harmless_elsewhere=False)
    if fact.kind is FactKind.NO_VALUE:
        rule = "has a formula whose value is not stored: open the file in a spreadsheet program and save it"
        return NOT_STORED, CellDoubt(rule, is_harmless_elsewhere=False)
    return None


def _number_text(value: float, fact: CellFact | None) -> tuple[str, CellDoubt | None]:
    if not abs(value) < EXACT_NUMBERS:  # NaN too
        return repr(value), _doubt("is a number of more than 15 digits, of which the last ones are lost")
    if value != int(value):
        return repr(value), _doubt(f"is the fraction {value!r}")
    text = str(int(value))
    if fact and fact.kind is FactKind.ZERO_PADDED:
        return text.zfill(len(fact.text)), None
    if fact and fact.kind is FactKind.FORMATTED:
        return text, _doubt(f"is the number {text}, which its format shows in another way")
    return text, None


def _doubt(rule: str) -> CellDoubt:
    return CellDoubt(f"{rule}: {_AS_TEXT}", is_harmless_elsewhere=True)
