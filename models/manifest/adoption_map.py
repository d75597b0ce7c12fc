"""The map of `avatars adopt --all`: CSV with the columns `avatar_id` and `reference`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from models.errors import InvalidManifest, InvalidRequest
from models.manifest.cells import TableRow, clean_cell, lost_value_rule
from models.manifest.csv_reader import read_csv
from models.manifest.headers import header_key
from models.manifest.text import decode_manifest
from models.text.escaping import shorten
from models.text.normalization import normalize_reference
from models.text.redaction import redact

AVATAR_ID, REFERENCE = "avatar_id", "reference"
MAX_HEADER_LINE = 50
"""Lines in which the header line is looked for."""
MAX_BYTES = 32 * 1024 * 1024
MAX_ROWS = 100_000
MAX_PROBLEMS = 100
"""Problems of a map that are listed."""
MAX_SHOWN_CHARACTERS = 60
_HINT = f"write CSV with the header line {AVATAR_ID},{REFERENCE}: one avatar per line"


class MappedAvatar(NamedTuple):
    """One row of a map: the line, the id of an avatar at Argil, and the reference that it gets."""

    line: int
    avatar_id: str
    reference: str


def parse_adoption_map(data: bytes) -> list[MappedAvatar]:
    """Return the rows of a map. Other columns, blank lines and text above the header line are skipped.

    Args:
        data: The content of the file: CSV in UTF-8, UTF-16 or Windows-1252, with any usual separator.

    Raises:
        InvalidManifest: It is not text, or not valid CSV.
        InvalidRequest: All problems: no header line, no rows, empty or repeated cells.
    """
    try:
        text, _ = decode_manifest(data, allow_windows_1252=True)
        rows = [TableRow(row.number, [*map(clean_cell, row.cells)]) for row in read_csv(text, {}).rows]
    except InvalidManifest as error:  # its words are those for a batch
        raise InvalidManifest(error.message.replace("the manifest", "the map"), hint=error.hint) from None
    rows = [row for row in rows if any(row.cells)]
    header, below = _find_header(rows)
    problems: list[tuple[str, str]] = []
    mapped = [item for row in below if (item := _read_row(row, header, problems)) is not None]
    problems += _find_repeated(mapped)
    if not mapped and not problems:
        problems.append(("map", "has no rows below its header line"))
    if len(mapped) > MAX_ROWS:
        problems.append(("map", f"has {len(mapped):,} rows; at most {MAX_ROWS:,} are read"))
    raise_problems(problems, _HINT)
    return mapped


def raise_problems(problems: Sequence[tuple[str, str]], hint: str) -> None:
    """Raise InvalidRequest with the first problems and the number of the others; return if there are none."""
    if not problems:
        return
    listed = list(problems[:MAX_PROBLEMS])
    if (more := len(problems) - MAX_PROBLEMS) > 0:
        listed.append(("map", f"{more:,} more problems"))
    raise InvalidRequest(listed, hint=hint)


def _find_header(rows: Sequence[TableRow]) -> tuple[dict[str, int], Sequence[TableRow]]:
    for position, row in enumerate(rows[:MAX_HEADER_LINE]):
        keys = [header_key(cell) for cell in row.cells]
        names = {name: header_key(name) for name in (AVATAR_ID, REFERENCE)}
        if all(keys.count(key) == 1 for key in names.values()):
            return {name: keys.index(key) for name, key in names.items()}, rows[position + 1 :]
    raise InvalidRequest(
        [("map", f"has no header line with {AVATAR_ID} and {REFERENCE}, each once, in its first lines")], hint=_HINT
    )


def _read_row(row: TableRow, header: dict[str, int], problems: list[tuple[str, str]]) -> MappedAvatar | None:
    cells = {name: row.cells[index] if index < len(row.cells) else "" for name, index in header.items()}
    if not any(cells.values()):
        return None
    place = f"line {row.number}"
    for name, cell in cells.items():
        if not cell:
            problems.append((place, f"{name} must not be empty"))
        elif (rule := lost_value_rule(cell)) is not None:
            problems.append((place, f"{name} {rule}"))
    return MappedAvatar(row.number, cells[AVATAR_ID], cells[REFERENCE])


def _find_repeated(mapped: Sequence[MappedAvatar]) -> list[tuple[str, str]]:
    """Return the problem of each row that repeats an avatar or a reference of an earlier one."""
    problems: list[tuple[str, str]] = []
    for name in (AVATAR_ID, REFERENCE):
        lines: dict[str, int] = {}
        for item in mapped:
            value = item.avatar_id if name == AVATAR_ID else _normalized(item.reference)
            if not value:
                continue
            first = lines.setdefault(value, item.line)
            if first != item.line:
                shown = shorten(redact(value), MAX_SHOWN_CHARACTERS)
                problems.append((f"line {item.line}", f"repeats the {name} {shown!r} of line {first}"))
    return problems


def _normalized(reference: str) -> str:
    try:
        return normalize_reference(reference)
    except ValueError:
        return reference  # the reference itself is a problem
