"""A manifest: many requests from one file or list. Every row is validated; every problem names its line."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from models.argil_avatar import replace_unstorable_characters
from models.errors import InvalidManifest, InvalidRequest
from models.escaping import shorten
from models.manifest_columns import MAX_COLUMNS
from models.manifest_csv import read_csv
from models.manifest_formats import FormatName
from models.manifest_json import read_jsonl
from models.manifest_rows import (
    COLUMNS,
    MAX_BYTES,
    MAX_ROWS,
    REQUIRED_COLUMNS,
    SPLIT_HINT,
    RawRow,
    find_duplicates,
    is_meant_as_manifest,
)
from models.manifest_table import Table, TableReader
from models.manifest_text import decode_manifest
from models.manifest_yaml import read_yaml
from models.reason import Reason
from models.redaction import redact
from models.request import MAX_FIELD_CHARACTERS, ProvisioningRequest, parse_request
from models.text_normalization import normalize_reference

MAX_FOREIGN_ROWS = 1000
"""The rows of a file without any row of a manifest that are described one by one."""
MAX_LISTED_LINES = 10
"""The number of other rows with the same reference that a problem lists."""
DERIVED_REFERENCE_PREFIX = "row-"
"""The prefix of a derived reference, given to a row without one."""
DERIVED_REFERENCE_DIGITS = 40

_READERS: Mapping[str, Callable[[str], Iterator[RawRow]]] = {"jsonl": read_jsonl, "yaml": read_yaml}
_VIDEO_HINT = "give the https URL of the MP4 or MOV file itself, written out: not a word with a link behind it"
_HINTS = {
    "name": "give the avatar a name of 1 to 256 characters, as text",
    "dataset_video": _VIDEO_HINT,
    "consent_video": _VIDEO_HINT,
    "extras": "give at most 9 text pairs, each at most 256 characters; put numbers in quotes",
    "reference": "give a key of at most 256 characters (in a spreadsheet, format the column as text), or omit it",
    "row": "fix the syntax of the row; docs/batch.md shows each format",
}


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One row. `request` is None if there are `problems`; `reference` and `name` are then as they were written.

    A request always has a reference: its own, or one derived from the fingerprint of the request. `cells` has the
    texts of the manifest's own columns, for the results file only.
    """

    line: int
    reference: str
    name: str
    request: ProvisioningRequest | None = None
    problems: Sequence[Reason] = field(default=())
    cells: tuple[str, ...] = field(default=(), repr=False)  # a cell may hold a secret


@dataclass(frozen=True, slots=True)
class ManifestOptions:
    """What the caller says about a manifest.

    Attributes:
        format_name: Its format; None: the name, the content type and the first bytes tell it.
        column_map: Fields of CSV and spreadsheets by the key of their header, as `parse_column_map` returns.
        strict: Whether a surplus column of CSV and spreadsheets is an error.
    """

    format_name: FormatName | None = None
    column_map: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False


DEFAULT_OPTIONS = ManifestOptions()


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that was read.

    Attributes:
        rows: Every row; an invalid row has all its problems.
        notices: What was skipped or changed while it was read.
        columns: The headers of its own columns, as they were written. Each row has a cell for each.
        separator: The separator of a CSV manifest.
    """

    rows: list[ManifestRow]
    notices: Sequence[str] = ()
    columns: Sequence[str] = field(default=(), repr=False)
    separator: str = ","


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
        table = read_csv(text, options.column_map)
        table.notices += notices
        return parse_table(table, options)
    if options.column_map:
        raise InvalidManifest(
            f"a column map does not apply to {format_name}", hint="rename the keys in the file; omit the map"
        )
    raws = _first_rows(_READERS[format_name](text))
    if any(is_meant_as_manifest(raw.values) for raw in raws):
        return _with_columns(_validate_rows([*raws], "line"), raws)
    if len(raws) > MAX_FOREIGN_ROWS:
        raise InvalidManifest(
            f"none of the {len(raws):,} rows is a row of a manifest",
            hint=f"check that this is the right file; each row needs {', '.join(REQUIRED_COLUMNS)}",
        )
    return Manifest([_describe_foreign_row(raw) for raw in raws])


def parse_table(table: Table, options: ManifestOptions = DEFAULT_OPTIONS) -> Manifest:
    """Validate the rows of a table, and close it.

    Raises:
        InvalidManifest: The table has no header line or no rows, or cannot be read. The hint has the notices too,
            for example that the workbook has other sheets.
    """
    reader = TableReader(table, options.column_map, strict=options.strict)
    try:
        rows = _validate_rows(_first_rows(reader.rows()), table.unit)
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
    return _validate_rows(_first_rows(raws), "row")


def derived_reference(request: ProvisioningRequest) -> str:
    """Return the reference of a row without one: equal requests have equal references."""
    return f"{DERIVED_REFERENCE_PREFIX}{request.fingerprint[:DERIVED_REFERENCE_DIGITS]}"


def manifest_too_large_error() -> InvalidManifest:
    """Return the error for a manifest that exceeds the limits."""
    return InvalidManifest(
        f"the manifest is larger than {MAX_BYTES // 1024 // 1024} MiB or {MAX_ROWS:,} rows",
        hint=SPLIT_HINT,
    )


def _with_columns(rows: list[ManifestRow], raws: Sequence[RawRow]) -> Manifest:
    """Return the manifest with the keys of all rows as its columns, in the order of their first use."""
    columns = list(dict.fromkeys(key for raw in raws for key in raw.values if isinstance(key, str)))
    cells = (tuple(_cell_of(raw.values.get(column, "")) for column in columns[:MAX_COLUMNS]) for raw in raws)
    return Manifest(
        [replace(row, cells=own) for row, own in zip(rows, cells, strict=True)], (), columns[:MAX_COLUMNS]
    )


def _cell_of(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


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
        raw.line, "", "", None, [_row_problem(raw, "line", column, rule) for column, rule in problems]
    )


def _validate_rows(raws: list[RawRow], unit: str) -> list[ManifestRow]:
    """Return the validated rows; empties `raws`, because 100,000 rows in both forms take 100 MB more."""
    raws.reverse()
    rows: list[ManifestRow] = []
    while raws:
        rows.append(_validate_row(raws.pop(), unit))
    lines: dict[str, list[int]] = {
        reference: [] for reference in find_duplicates(row.reference for row in rows if row.reference)
    }
    for row in rows:
        if row.reference in lines:
            lines[row.reference].append(row.line)
    return [_reject_duplicate(row, lines[row.reference], unit) if row.reference in lines else row for row in rows]


def _validate_row(raw: RawRow, unit: str) -> ManifestRow:
    if raw.problems and not raw.values:
        problems = [_row_problem(raw, unit, *problem) for problem in raw.problems]
        return ManifestRow(raw.line, "", "", None, problems, raw.cells)
    found_problems = list(raw.problems)
    # Their values are not shown: an unknown column may hold a secret.
    found_problems += [
        (redact(str(column)), f"is not a column of a manifest; the columns are {', '.join(COLUMNS)}")
        for column in raw.values
        if column not in COLUMNS
    ]
    reported_columns = {column.partition(".")[0] for column, _ in found_problems}
    fields = {column: value for column, value in raw.values.items() if column in COLUMNS}
    request = None
    try:
        request = parse_request(fields)
    except InvalidRequest as error:
        found_problems += [
            (column, rule) for column, rule in error.problems if column.partition(".")[0] not in reported_columns
        ]
    raw_reference, raw_name = fields.get("reference"), fields.get("name")
    # JSON can hold lone surrogates, which cannot be encoded for output.
    reference = _written_reference(raw_reference) if isinstance(raw_reference, str) else ""
    name = replace_unstorable_characters(redact(raw_name))[:256] if isinstance(raw_name, str) else ""
    if request is None or found_problems:
        problems = [_row_problem(raw, unit, column, rule) for column, rule in found_problems]
        return ManifestRow(raw.line, reference[:256], name, None, problems, raw.cells)
    reference = request.reference or derived_reference(request)
    if request.reference is None:
        request = request.model_copy(update={"reference": reference})
    return ManifestRow(raw.line, reference, request.name, request, cells=raw.cells)


def _written_reference(reference: str) -> str:
    """Return the reference of an invalid row in normal form if it has one, so that duplicates are found."""
    with contextlib.suppress(ValueError):
        reference = normalize_reference(reference)
    return replace_unstorable_characters(redact(reference))


def _row_problem(raw: RawRow, unit: str, column: str, rule: str) -> Reason:
    base = column.partition(".")[0]
    letter = raw.letters.get(column) or raw.letters.get(base)
    column = shorten(column, MAX_FIELD_CHARACTERS) + (f" ({letter}{raw.line})" if letter else "")
    hint = _HINTS.get(base, "remove the column, or check its name for a typo")
    code = base if base in COLUMNS else "malformed"
    return Reason(
        code=f"row.{code}", message=replace_unstorable_characters(f"{unit} {raw.line}, {column}: {rule}"), hint=hint
    )


def _reject_duplicate(row: ManifestRow, lines: Sequence[int], unit: str) -> ManifestRow:
    """Return a row whose reference is on several lines with a problem: which one is meant is ambiguous."""
    listed_lines = [f"{unit} {line}" for line in lines[: MAX_LISTED_LINES + 1] if line != row.line][
        :MAX_LISTED_LINES
    ]
    more = len(lines) - 1 - len(listed_lines)
    others = f"{', '.join(listed_lines)} and {more:,} more" if more else ", ".join(listed_lines)
    if row.request is not None and row.reference.startswith(DERIVED_REFERENCE_PREFIX):
        rule = f"requests the same avatar as {others}: name, videos and extras are equal"
        hint = "remove one of them, or give each its own reference to create two avatars"
    else:
        rule = f"is also the reference of {others}; it is {redact(row.reference)!r}"
        hint = "give each row its own reference, or remove the duplicate"
    problem = Reason(code="row.duplicate", message=f"{unit} {row.line}, reference: {rule}", hint=hint)
    return ManifestRow(row.line, redact(row.reference), row.name, None, [*row.problems, problem], row.cells)
