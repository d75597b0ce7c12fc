"""Reads CSV as spreadsheet programs write it: any separator and line end, and Excel's `sep=` line."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Iterator, Mapping
from itertools import islice

from models.errors import InvalidManifest
from models.manifest.cells import TableRow
from models.manifest.columns import count_required
from models.manifest.table import HEADER_SEARCH_ROWS, Table

SEPARATORS = ",;\t|"
_SEP_LINE = re.compile(r'\s*"?sep=(.)"?\s*', re.IGNORECASE)
"""The first line in which Excel names the separator."""
MAX_SEP_LINE_CHARACTERS = 20
_FORCED_TEXT = re.compile(r'\s*="((?:[^"]|"")*)"\s*')
"""A formula of one text, such as `="00123"`: exports write it so that Excel shows the text and keeps its zeros."""


def read_csv(text: str, column_map: Mapping[str, str]) -> Table:
    """Return the rows of a CSV file as they are read.

    Args:
        text: The content of the file.
        column_map: Fields by the key of their header, which also tell the header line.

    Raises:
        InvalidManifest: While the rows are read: the file is not valid CSV.
    """
    lines = io.StringIO(text, newline="")
    first_line = lines.readline(MAX_SEP_LINE_CHARACTERS)
    start, separator = 0, None
    if first_line.endswith(("\r", "\n")) and (named := _SEP_LINE.fullmatch(first_line)):
        start, separator = lines.tell(), named[1]
    separator = separator or _detect_separator(text, column_map)
    return Table(_read_rows(text, start, separator), unit="line", separator=separator)


def _detect_separator(text: str, column_map: Mapping[str, str]) -> str:
    """Return the separator that splits a header line into the most columns of a manifest, then cells."""

    def score(separator: str) -> tuple[int, int]:
        spaced = _has_spaced_quotes(text, separator)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=spaced)
        rows: list[list[str]] = []
        with contextlib.suppress(csv.Error):  # reported when the rows are read
            rows.extend(row for row in islice(reader, HEADER_SEARCH_ROWS) if any(row))
        return max(((count_required(row, column_map), len(row)) for row in rows), default=(0, 0))

    return max(SEPARATORS, key=score)


def _read_rows(text: str, start: int, separator: str) -> Iterator[TableRow]:
    source = io.StringIO(text, newline="")
    source.seek(start)
    spaced = _has_spaced_quotes(text, separator)
    reader = csv.reader(source, delimiter=separator, strict=True, skipinitialspace=spaced)
    skipped_lines = 1 if start else 0
    line = 1 + skipped_lines
    try:
        for cells in reader:
            first_line, line = line, reader.line_num + 1 + skipped_lines
            yield TableRow(first_line, [*map(_shown_text, cells)])
    except csv.Error as error:
        raise InvalidManifest(
            f"the manifest is not valid CSV from line {line} on: {error}",
            hint=f"check line {line} for an unclosed quote, or a quote in the text that is not doubled",
        ) from None


def _has_spaced_quotes(text: str, separator: str) -> bool:
    """Whether a quote follows a separator and a space, as people write `"Ada", "a-1"`: it encloses a cell too."""
    return re.search(rf'{re.escape(separator)} {{1,9}}"', text) is not None


def _shown_text(cell: str) -> str:
    """Return the text that a spreadsheet program shows for a cell."""
    return forced[1].replace('""', '"') if (forced := _FORCED_TEXT.fullmatch(cell)) else cell
