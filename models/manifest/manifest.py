"""A manifest: many requests from one file or list. Each format is read into raw rows, which are then validated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from models.errors import InvalidManifest
from models.manifest.csv_reader import read_csv
from models.manifest.formats import FormatName, text_format
from models.manifest.json_reader import read_jsonl
from models.manifest.rows import (
    COLUMNS,
    MAX_BYTES,
    MAX_ROWS,
    REQUIRED_COLUMNS,
    SPLIT_HINT,
    RawRow,
    is_meant_as_manifest,
)
from models.manifest.table import Table, TableReader
from models.manifest.text import decode_manifest
from models.manifest.validation import ManifestRow, ResolvePath, row_problem, validate_rows
from models.manifest.yaml_reader import read_yaml

MAX_FOREIGN_ROWS = 1000
"""The rows of a file without any row of a manifest that are described one by one."""
MAX_CELLS = 100
"""The keys of JSON lines and YAML that the results repeat: a valid row has 5, so that more are of no use."""
MAX_START_CHARACTERS = 100
"""Of a file that is not CSV, which tell its format for the error."""
_READERS: Mapping[str, Callable[[str], Iterator[RawRow]]] = {"jsonl": read_jsonl, "yaml": read_yaml}


@dataclass(frozen=True, slots=True)
class ManifestOptions:
    """What the caller says about a manifest.

    Attributes:
        format_name: Its format; None: the name, the content type and the first bytes tell it.
        column_map: Fields of CSV and spreadsheets by the key of their header, as `parse_column_map` returns.
        strict: Whether a surplus column of CSV and spreadsheets is an error.
        resolve_path: Replaces the paths of local recordings by addresses; None: a path is an invalid address.
    """

    format_name: FormatName | None = None
    column_map: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False
    resolve_path: ResolvePath | None = None


DEFAULT_OPTIONS = ManifestOptions()


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that was read.

    Attributes:
        rows: Every row; an invalid row has all its problems.
        notices: What was skipped or changed while it was read.
        columns: The headers of its own columns, as they were written. Each row has a cell for each.
        separator: The separator of a CSV manifest.
        sha256: The SHA-256 (hex) of the bytes of the file, empty for rows that were parsed alone.
    """

    rows: list[ManifestRow]
    notices: Sequence[str] = ()
    columns: Sequence[str] = field(default=(), repr=False)
    separator: str = ","
    sha256: str = ""


def parse_manifest(data: bytes, format_name: str, options: ManifestOptions = DEFAULT_OPTIONS) -> Manifest:
    """Parse and validate a manifest in a text format.

    Args:
        data: The bytes of the file.
        format_name: csv, jsonl or yaml.
        options: How the columns of CSV are read.

    Raises:
        InvalidManifest: The file cannot be parsed, so none of its rows can be trusted.
    """
    if len(data) > MAX_BYTES:
        raise manifest_too_large_error()
    text, notices = decode_manifest(data, allow_windows_1252=format_name == "csv")
    if format_name == "csv":
        return _parse_csv(text, notices, options)
    if options.column_map:
        raise InvalidManifest(
            f"a column map does not apply to {format_name}", hint="rename the keys in the file; omit the map"
        )
    raws = _first_rows(_READERS[format_name](text))
    if any(is_meant_as_manifest(raw.values) for raw in raws):
        columns, raws = _with_cells(raws)
        return Manifest(validate_rows(raws, "line", options.resolve_path), (), columns)
    if len(raws) > MAX_FOREIGN_ROWS:
        raise InvalidManifest(
            f"none of the {len(raws):,} rows is a row of a manifest",
            hint=f"check that this is the right file; each row needs {', '.join(REQUIRED_COLUMNS)}",
        )
    return Manifest([_describe_foreign_row(raw) for raw in raws])


def _parse_csv(text: str, notices: Sequence[str], options: ManifestOptions) -> Manifest:
    table = read_csv(text, options.column_map)
    table.notices += notices
    try:
        return parse_table(table, options)
    except InvalidManifest as error:
        if (likely := text_format(text[:MAX_START_CHARACTERS].encode())) == "csv":
            raise
        hint = f"the file begins as {likely} does: pass --format {likely}, or the parameter `format` of a run"
        raise InvalidManifest(error.message, hint=f"{hint}; {error.hint}") from None


def parse_table(table: Table, options: ManifestOptions = DEFAULT_OPTIONS) -> Manifest:
    """Validate the rows of a table, and close it.

    Raises:
        InvalidManifest: The table has no header line or no rows, or cannot be read. The hint has the notices too,
            for example that the workbook has other sheets.
    """
    reader = TableReader(table, options.column_map, strict=options.strict)
    try:
        rows = validate_rows(_first_rows(reader.rows()), table.unit, options.resolve_path)
    except InvalidManifest as error:
        raise InvalidManifest(error.message, hint="; ".join([error.hint, *table.notices])) from None
    finally:
        table.close()
    return Manifest(rows, reader.notices, reader.columns, table.separator)


def parse_rows(rows: Iterable[object]) -> list[ManifestRow]:
    """Validate rows passed as a list; the line of a row is its position, from 1.

    Raises:
        InvalidManifest: There are no rows, or too many.
    """
    raws = (
        RawRow(number, row, [])
        if isinstance(row, Mapping)
        else RawRow(number, {}, [("row", "must be an object with the columns as its keys")])
        for number, row in enumerate(rows, 1)
    )
    return validate_rows(_first_rows(raws), "row")


def manifest_too_large_error() -> InvalidManifest:
    """Return the error for a manifest that exceeds the limits."""
    return InvalidManifest(
        f"the manifest is larger than {MAX_BYTES // 1024 // 1024} MiB or {MAX_ROWS:,} rows",
        hint=SPLIT_HINT,
    )


def _with_cells(raws: Sequence[RawRow]) -> tuple[list[str], list[RawRow]]:
    """Return the keys of all rows in the order of their first use, and each row with a cell for each of them."""
    keys = dict.fromkeys(key for raw in raws for key in raw.values if isinstance(key, str))
    columns = [*islice(keys, MAX_CELLS)]
    return columns, [raw._replace(cells=_cells_of(raw.values, columns)) if raw.values else raw for raw in raws]


def _cells_of(values: Mapping[Any, object], columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(_cell_of(values[column]) if column in values else "" for column in columns)


def _cell_of(value: object) -> str:
    """Return a value as a cell: a scalar as it would be written in a sheet, a list or mapping as JSON."""
    if isinstance(value, Mapping):
        value = {str(key): item for key, item in value.items()}  # YAML has keys of any type
    if isinstance(value, Mapping | list | bool):
        return json.dumps(value, default=str, ensure_ascii=False)
    return "" if value is None else str(value)


def _first_rows(raw_rows: Iterable[RawRow]) -> list[RawRow]:
    # Stop one row past the limit: a file of empty lines can have millions of rows.
    raws = list(islice(raw_rows, MAX_ROWS + 1))
    if not raws:
        raise InvalidManifest("the manifest has no rows", hint="add one row for each avatar")
    if len(raws) > MAX_ROWS:
        raise manifest_too_large_error()
    return raws


def _describe_foreign_row(raw: RawRow) -> ManifestRow:
    """Return a row of a file that is perhaps not a manifest, with problems that quote nothing of it."""
    problems = [(column if column in COLUMNS else "row", rule) for column, rule in raw.problems]
    if raw.values or not problems:
        problems += [(column, "is missing") for column in REQUIRED_COLUMNS if column not in raw.values]
    problems += [
        ("row", f"its name number {number} is not a column of a manifest")
        for number, column in enumerate(raw.values, 1)
        if column not in COLUMNS
    ]
    return ManifestRow(
        raw.line, "", "", None, [row_problem(raw, "line", column, rule) for column, rule in problems]
    )
