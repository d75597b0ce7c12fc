"""Validates the rows of a manifest: every problem of every row, with its line and the remedy."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from models.argil.avatar import replace_unstorable_characters
from models.errors import InvalidRequest
from models.image_request import CONSENT_RULE, ImageConsent, lacks_consent
from models.manifest.rows import COLUMNS, RawRow, find_duplicates
from models.media.rules import MediaRole
from models.reason import Reason
from models.recordings.canonical_form import is_signed
from models.request import MAX_FIELD_CHARACTERS, AvatarRequest
from models.request_kinds import RECORDING_ROLES, parse_fields
from models.text.escaping import shorten
from models.text.normalization import normalize_reference
from models.text.redaction import redact

ResolvePath = Callable[[str, MediaRole, str], str]
"""Returns the address of a recording: that of a local file, or the text itself if it is an address.

It gets the text, the role and the column, and raises InvalidRequest.
"""
MAX_LISTED_LINES = 10
"""The number of other rows with the same reference that a problem lists."""
DERIVED_REFERENCE_PREFIX = "row-"
"""The prefix of a derived reference, given to a row without one."""
DERIVED_REFERENCE_DIGITS = 40
_DERIVED_REFERENCE = re.compile(rf"{DERIVED_REFERENCE_PREFIX}[0-9a-f]{{{DERIVED_REFERENCE_DIGITS}}}")

_VIDEO_HINT = (
    "give the https URL of the MP4 or MOV file itself, or its URI such as s3://BUCKET/KEY, written out: "
    "no other text, and not a word with a link behind it"
)
_HINTS = {
    "name": "give the avatar a name of 1 to 256 characters, as text",
    "dataset_video": f"{_VIDEO_HINT}; or give an image instead",
    "consent_video": _VIDEO_HINT,
    "image": "give the https URL of the PNG, JPEG or WEBP file itself, or its URI such as s3://BUCKET/KEY, and no "
    "dataset_video in the same row",
    "voice_id": "give the voice_id of a voice at Argil, in a row with an image only, or leave it out",
    "voice_sample": "give the https URL of the audio file itself, or its URI such as s3://BUCKET/KEY; neither a "
    "voice_id nor a dataset_video in the same row",
    "extras": "give at most 9 text pairs, each at most 256 characters; put numbers in quotes",
    "reference": "give a key of at most 256 characters (in a spreadsheet, format the column as text), or omit it",
    "row": "fix the syntax of the row; `avatars batch --template FILE.csv` writes an example of CSV",
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
    request: AvatarRequest | None = None
    problems: Sequence[Reason] = field(default=())
    cells: tuple[str, ...] = field(default=(), repr=False)  # a cell may hold a secret


def derived_reference(request: AvatarRequest) -> str:
    """Return the reference of a row without one: equal requests have equal references."""
    return _reference_of(request.fingerprint)


def is_derived_reference(reference: str) -> bool:
    """Return whether a reference has the form of a derived one; people also write references like `row-3`."""
    return _DERIVED_REFERENCE.fullmatch(reference) is not None


def possible_derived_references(request: AvatarRequest) -> list[str]:
    """Return the references that a row may have been given with any address of its recordings, its own first."""
    own = derived_reference(request)
    return [own, *sorted(set(map(_reference_of, request.fingerprints)) - {own})]


def _reference_of(fingerprint: str) -> str:
    return f"{DERIVED_REFERENCE_PREFIX}{fingerprint[:DERIVED_REFERENCE_DIGITS]}"


def count_signed(rows: Sequence[ManifestRow]) -> int:
    """Return how many rows have a recording whose URL carries a signature."""
    requests = (row.request for row in rows if row.request is not None)
    return sum(any(map(is_signed, request.recordings.values())) for request in requests)


def validate_rows(raws: list[RawRow], unit: str, resolve_path: ResolvePath | None = None) -> list[ManifestRow]:
    """Return the validated rows; empties `raws`, because 100,000 rows in both forms take 100 MB more.

    Args:
        raws: The rows as they were written.
        unit: What a row is called in problems.
        resolve_path: Returns the address of a recording whose path was written; None: paths are invalid.
    """
    raws.reverse()
    rows: list[ManifestRow] = []
    while raws:
        rows.append(_validate_row(raws.pop(), unit, resolve_path))
    lines: dict[str, list[int]] = {
        reference: [] for reference in find_duplicates(row.reference for row in rows if row.reference)
    }
    for row in rows:
        if row.reference in lines:
            lines[row.reference].append(row.line)
    return [_reject_duplicate(row, lines[row.reference], unit) if row.reference in lines else row for row in rows]


def _validate_row(raw: RawRow, unit: str, resolve_path: ResolvePath | None) -> ManifestRow:
    if raw.problems and not raw.values:
        problems = [row_problem(raw, unit, *problem) for problem in raw.problems]
        return ManifestRow(raw.line, "", "", None, problems, raw.cells)
    found_problems = list(raw.problems)
    # Their values are not shown: an unknown column may hold a secret.
    found_problems += [
        (redact(str(column)), f"is not a column of a manifest; the columns are {', '.join(COLUMNS)}")
        for column in raw.values
        if column not in COLUMNS
    ]
    fields = {column: value for column, value in raw.values.items() if column in COLUMNS}
    file_problems = [] if resolve_path is None else _resolve_paths(fields, resolve_path)
    reported_columns = {column.partition(".")[0] for column, *_ in (*found_problems, *file_problems)}
    request = None
    try:
        request = parse_fields(fields)
    except InvalidRequest as error:
        found_problems += [
            (column, rule) for column, rule in error.problems if column.partition(".")[0] not in reported_columns
        ]
    raw_reference, raw_name = fields.get("reference"), fields.get("name")
    # JSON can hold lone surrogates, which cannot be encoded for output.
    reference = _written_reference(raw_reference) if isinstance(raw_reference, str) else ""
    name = replace_unstorable_characters(redact(raw_name))[:256] if isinstance(raw_name, str) else ""
    if request is None or found_problems or file_problems:
        problems = [row_problem(raw, unit, *problem) for problem in (*found_problems, *file_problems)]
        return ManifestRow(raw.line, reference[:256], name, None, problems, raw.cells)
    reference = request.reference or derived_reference(request)
    if request.reference is None:
        request = request.model_copy(update={"reference": reference})
    return ManifestRow(raw.line, reference, request.name, request, cells=raw.cells)


def _resolve_paths(fields: dict[Any, Any], resolve_path: ResolvePath) -> list[tuple[str, str, str]]:
    """Replace the paths among the recordings of a row by addresses; return the problems of the files with hints."""
    problems = []
    for column, role in RECORDING_ROLES.items():
        if isinstance(text := fields.get(column), str) and text:
            try:
                fields[column] = resolve_path(text, role, column)
            except InvalidRequest as error:
                problems += [(field, problem, error.hint) for field, problem in error.problems]
    return problems


def reject_without_consent(rows: Sequence[ManifestRow], consent: ImageConsent) -> list[ManifestRow]:
    """Return the rows; an image row that breaks the rule of AVATARS_IMAGE_CONSENT has a problem and no request."""
    return [
        replace(row, request=None, problems=[*row.problems, _consent_problem(row)])
        if row.request is not None and lacks_consent(row.request, consent)
        else row
        for row in rows
    ]


def _consent_problem(row: ManifestRow) -> Reason:
    return Reason(
        code="row.consent_video",
        message=f"line {row.line}, consent_video: {CONSENT_RULE}",
        hint=_HINTS["consent_video"],
    )


def _written_reference(reference: str) -> str:
    """Return the reference of an invalid row in normal form if it has one, so that duplicates are found."""
    with contextlib.suppress(ValueError):
        reference = normalize_reference(reference)
    return replace_unstorable_characters(redact(reference))


def row_problem(raw: RawRow, unit: str, column: str, rule: str, hint: str | None = None) -> Reason:
    """Return the problem of a row in one column, with the row's number, and the cell's letter in a sheet.

    Args:
        raw: The row.
        unit: What a row is called.
        column: The column.
        rule: The rule that it breaks, with the value.
        hint: The remedy; None is that of the column.
    """
    base = column.partition(".")[0]
    letter = raw.letters.get(column) or raw.letters.get(base)
    column = shorten(column, MAX_FIELD_CHARACTERS) + (f" ({letter}{raw.line})" if letter else "")
    if hint is None:
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
    if row.request is not None and is_derived_reference(row.reference):
        rule = f"requests the same avatar as {others}: name, recordings and extras are equal"
        hint = "remove one of them, or give each its own reference to create two avatars"
    else:
        rule = f"is also the reference of {others}; it is {redact(row.reference)!r}"
        hint = "give each row its own reference, or remove the duplicate"
    problem = Reason(code="row.duplicate", message=f"{unit} {row.line}, reference: {rule}", hint=hint)
    return ManifestRow(row.line, redact(row.reference), row.name, None, [*row.problems, problem], row.cells)
