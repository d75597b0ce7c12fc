"""Turns the clean cells of a row of a table into values by field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.manifest.cells import IDENTITY_COLUMNS, RECORDING_COLUMNS, TableRow, lost_value_rule, lower_scheme
from models.manifest.columns import EXTRAS_PREFIX, ColumnMapping
from models.manifest.json_reader import parse_json
from models.manifest.rows import EXTRAS_COLUMN, REQUIRED_COLUMNS
from models.text.normalization import trim
from models.text.redaction import redact


def read_values(
    row: TableRow, cells: Sequence[str], mapping: ColumnMapping
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the values of a row by field, and its problems as (field, rule).

    Args:
        row: The row as it was read.
        cells: Its clean texts, at least as many as there are columns.
        mapping: What each column means.
    """
    values: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    pairs: dict[str, str] = {}
    for index, name in mapping.fields.items():
        cell = cells[index]
        if (doubt := row.doubts.get(index)) and (name in IDENTITY_COLUMNS or not doubt.is_harmless_elsewhere):
            problems.append((name, doubt.rule))
        elif name in IDENTITY_COLUMNS and (lost := lost_value_rule(cell)):
            problems.append((name, f"{lost}; it is {trim(cell)!r}"))
        if name.startswith(EXTRAS_PREFIX):
            if cell:  # a spreadsheet writes a cell in each row; an empty one is not a pair
                pairs[name.removeprefix(EXTRAS_PREFIX)] = cell
        elif name == EXTRAS_COLUMN:
            values[EXTRAS_COLUMN] = _parse_json_object(cell, problems) if cell else {}
        elif cell or name in REQUIRED_COLUMNS:
            values[name] = lower_scheme(cell) if name in RECORDING_COLUMNS else cell
    if repeated := sorted(pairs.keys() & values.get(EXTRAS_COLUMN, {}).keys()):
        problems.append((EXTRAS_COLUMN, f"repeats {', '.join(map(redact, repeated))}, which has its own column"))
    values[EXTRAS_COLUMN] = {**values.get(EXTRAS_COLUMN, {}), **pairs}
    return values, problems


def _parse_json_object(cell: str, problems: list[tuple[str, str]]) -> dict[Any, Any]:
    repeated_keys: list[str] = []
    try:
        value = parse_json(cell, repeated_keys.append)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        problems.append((EXTRAS_COLUMN, 'must be a JSON object, for example {"team": "berlin"}'))
        return {}
    problems += [(EXTRAS_COLUMN, f"repeats the key {key!r}") for key in repeated_keys]
    return value
