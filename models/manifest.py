"""A manifest: many requests from one file or list, each row checked, every problem told with its line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from models.avatar import storable
from models.errors import InvalidManifest, InvalidRequest
from models.manifest_text import MAX_ROWS, READERS, SPLIT_HINT, RawRow
from models.reason import Reason
from models.redaction import redact, redact_url
from models.request import ProvisioningRequest, read_request

MAX_BYTES = 32 * 1024 * 1024
COLUMNS = ("name", "dataset_video", "consent_video", "extras", "reference")
SHOWN_LINES = 10
"""Of the other rows that have the same reference."""
DERIVED = "row-"
"""Begins the reference of a row that has none of its own."""
DERIVED_DIGITS = 40

_HINTS = {
    "name": "give the avatar a name of 1 to 256 characters, as text",
    "dataset_video": "give the https URL of the MP4 or MOV file itself",
    "consent_video": "give the https URL of the MP4 or MOV file itself",
    "extras": "give at most 9 pairs of text, each at most 256 characters; numbers in quotes",
    "reference": "give a key of at most 256 characters, as text, or leave it out",
    "row": "mend the form of the row; docs/batch.md shows each format",
}


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One row. `request` is None where `problems` says why; then `reference` and `name` are as they were written.

    A request always has its reference: its own, or one derived from what makes two requests the same.
    """

    line: int
    reference: str
    name: str
    request: ProvisioningRequest | None = None
    problems: Sequence[Reason] = field(default=())


def format_of(name: str) -> str:
    """Return the format that a file's name tells: csv, jsonl or yaml. Raises InvalidManifest."""
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    known = {"csv": "csv", "tsv": "csv", "jsonl": "jsonl", "ndjson": "jsonl", "yaml": "yaml", "yml": "yaml"}
    if suffix not in known:
        raise InvalidManifest(
            f"nothing tells the format of the manifest {redact_url(name)!r}",
            hint="name it so that it ends in .csv, .jsonl or .yaml",
        )
    return known[suffix]


def read_manifest(data: bytes, form: str) -> list[ManifestRow]:
    """Read a manifest of a format that `format_of` tells.

    Every row comes back, the bad ones with all their problems. Raises InvalidManifest where it cannot be read as
    a whole: then no row of it may be trusted.
    """
    if len(data) > MAX_BYTES:
        raise too_large()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidManifest(
            f"the manifest is not UTF-8: line {line} has a byte that cannot stand there",
            hint="save it anew as UTF-8; in a spreadsheet choose `CSV UTF-8`",
        ) from None
    return _checked(READERS[form](text), "line")


def read_rows(rows: Iterable[object]) -> list[ManifestRow]:
    """Check rows that came as a list; a row's line is its place in it, from 1. Raises InvalidManifest for none."""
    raws = (
        RawRow(number, row, [])
        if isinstance(row, Mapping)
        else RawRow(number, {}, [("row", "must be an object with the columns as its keys")])
        for number, row in enumerate(rows, 1)
    )
    return _checked(raws, "row")


def too_large() -> InvalidManifest:
    """Return the error for a manifest past the bounds."""
    return InvalidManifest(
        f"the manifest is larger than {MAX_BYTES // 1024 // 1024} MiB or {MAX_ROWS:,} rows",
        hint=SPLIT_HINT,
    )


def _checked(written: Iterable[RawRow], unit: str) -> list[ManifestRow]:
    # No further than needed: a file of nothing but line ends has millions of rows.
    raws = list(islice(written, MAX_ROWS + 1))
    if not raws:
        raise InvalidManifest("the manifest holds no rows", hint="give one row for each avatar")
    if len(raws) > MAX_ROWS:
        raise too_large()
    rows = [_row(raw, unit) for raw in raws]
    lines: dict[str, list[int]] = {}
    for row in rows:
        if row.reference:
            lines.setdefault(row.reference, []).append(row.line)
    return [_unless_twice(row, lines.get(row.reference, []), unit) for row in rows]


def _row(raw: RawRow, unit: str) -> ManifestRow:
    if raw.problems and not raw.values:
        return ManifestRow(raw.line, "", "", None, [_reason(raw.line, unit, *problem) for problem in raw.problems])
    told = list(raw.problems)
    # Their values are not shown: whatever stands in an unknown column may be a secret.
    told += [
        (redact(str(column)), f"is no column of a manifest; known are {', '.join(COLUMNS)}")
        for column in raw.values
        if column not in COLUMNS
    ]
    blamed = {column.partition(".")[0] for column, _ in told}
    known = {column: value for column, value in raw.values.items() if column in COLUMNS}
    request = None
    try:
        request = read_request(known)
    except InvalidRequest as error:
        told += [one for one in error.problems if one[0].partition(".")[0] not in blamed]
    written, name = known.get("reference"), known.get("name")
    # JSON may hold halves of a character, which nobody can print.
    reference = storable(redact(written)) if isinstance(written, str) else ""
    shown = storable(redact(name))[:256] if isinstance(name, str) else ""
    if request is None or told:
        problems = [_reason(raw.line, unit, column, rule) for column, rule in told]
        return ManifestRow(raw.line, reference[:256], shown, None, problems)
    own = request.reference or f"{DERIVED}{request.identity[:DERIVED_DIGITS]}"
    return ManifestRow(raw.line, own, shown, request.model_copy(update={"reference": own}))


def _reason(line: int, unit: str, column: str, rule: str) -> Reason:
    base = column.partition(".")[0]
    hint = _HINTS.get(base, "leave the column out, or look for a typo in its name")
    code = base if base in COLUMNS else "form"
    return Reason(code=f"row.{code}", message=storable(f"{unit} {line}, {column}: {rule}"), hint=hint)


def _unless_twice(row: ManifestRow, lines: Sequence[int], unit: str) -> ManifestRow:
    """Return the row with a problem where another one has its reference: nobody knows which of them is meant."""
    if len(lines) < 2:  # noqa: PLR2004  # itself and another
        return row
    named = [f"{unit} {line}" for line in lines[: SHOWN_LINES + 1] if line != row.line][:SHOWN_LINES]
    more = len(lines) - 1 - len(named)
    others = f"{', '.join(named)} and {more:,} more" if more else ", ".join(named)
    if row.request is not None and row.reference.startswith(DERIVED):
        rule = f"asks for the same avatar as {others}: name, videos and extras are equal"
        hint = "take one of them out, or give each a reference of its own to have two avatars"
    else:
        rule = f"is also the reference of {others}; it is {redact(row.reference)!r}"
        hint = "give each row a reference of its own, or take the surplus one out"
    problem = Reason(code="row.duplicate", message=f"{unit} {row.line}, reference: {rule}", hint=hint)
    return ManifestRow(row.line, redact(row.reference), row.name, None, [*row.problems, problem])
