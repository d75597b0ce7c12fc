"""Cells of a table: their clean text, and the rules that a cell breaks if a spreadsheet lost its value."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

from models.text.normalization import MAX_NORMALIZED_CHARACTERS, strip_invisible, trim

IDENTITY_COLUMNS = ("name", "reference")
"""Columns that tell avatars apart: another text in them is another avatar."""
RECORDING_COLUMNS = ("dataset_video", "consent_video", "image")
# 12 E5 is a reference: only an exponent with a sign can follow a space. U+066B is the decimal separator in Arabic.
_SCIENTIFIC_NOTATION = re.compile(
    r"[+\-\u2212]?(?:\d+(?:[.,\u066b]\d*)?|[.,\u066b]\d+)(?:\s?E[+\-\u2212]|E)\d+", re.IGNORECASE
)
# A column that is too narrow, and the errors of a formula (ECMA-376, 18.17.3, and of later versions of Excel).
_PLACEHOLDER = re.compile(
    r"#{3,}|#(?:N/A|NULL!|DIV/0!|VALUE!|REF!|NAME\?|NUM!|SPILL!|CALC!|GETTING_DATA|ERROR!)|Err:\d{3}", re.IGNORECASE
)


class CellDoubt(NamedTuple):
    """Why the text of a cell is perhaps not what its author sees.

    Attributes:
        rule: The rule that the cell breaks, with the remedy, for example `is a date: format the column as text`.
        is_harmless_elsewhere: Whether the rule applies to IDENTITY_COLUMNS only.
    """

    rule: str
    is_harmless_elsewhere: bool


class TableRow(NamedTuple):
    """A row of a table as it was read.

    Attributes:
        number: The number of its first line in a text file, or of the row in a sheet; from 1.
        cells: The texts of its cells.
        doubts: The doubts about its cells by their index.
        is_title: Whether its only text is in a cell that is merged with others beside it.
    """

    number: int
    cells: list[str]
    doubts: Mapping[int, CellDoubt] = {}
    is_title: bool = False


def clean_cell(cell: str) -> str:
    """Return the text without white space and invisible characters at its ends, which paste often adds."""
    return strip_invisible(cell)


def lower_scheme(url: str) -> str:
    """Return a URL with `https` in lower case, as RFC 3986, 3.1 allows."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme.lower()}{separator}{rest}" if scheme.upper() == "HTTPS" else url


def lost_value_rule(cell: str) -> str | None:
    """Return the rule that an identity breaks because a spreadsheet wrote something else than its value."""
    if len(cell) > MAX_NORMALIZED_CHARACTERS:
        return None
    text = unicodedata.normalize("NFKC", trim(cell))
    if _SCIENTIFIC_NOTATION.fullmatch(text):
        # A spreadsheet displays long numbers so; several references end up as one.
        return "is a number in scientific notation, so its digits are lost: format the column as text"
    if _PLACEHOLDER.fullmatch(text):
        return "is what a spreadsheet shows in place of the value: widen the column, or correct the formula"
    return None


def column_letter(index: int) -> str:
    """Return the letters of a column of a sheet by its index from 0: A, B, ..., Z, AA."""
    letters = ""
    number = index + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
