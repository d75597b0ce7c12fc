"""The results file of a batch: the manifest's own columns in their order, then what became of each row.

A results file is a valid manifest: the columns of RESULT_COLUMNS are ignored when it is read again. So rows can be
corrected in it, and every cell keeps its text.
"""

from __future__ import annotations

import csv
import io
from codecs import BOM_UTF8
from collections.abc import Collection, Iterator
from typing import Literal, get_args

from models.batch import (
    CHECK_INCONCLUSIVE,
    INVALID,
    PENDING,
    WOULD_CREATE,
    WOULD_REJECT,
    WOULD_RESUME,
    BatchProgress,
    RowResult,
)
from models.errors import ProvisioningErased, ReferenceConflict, ReferenceIsAdopted, ReferenceIsId
from models.manifest.columns import RESULT_COLUMNS
from models.manifest.manifest import Manifest
from models.manifest.workbook import write_workbook
from models.outcomes import OUTCOMES, step_by_reasons
from models.provisioning import Status
from models.text.escaping import json_document, own_cell, shorten, spreadsheet_cell, visible

ResultsFormat = Literal["csv", "json", "xlsx"]
MAX_REASONS_CHARACTERS = 4000
"""Of the reasons and of the warnings of one row, which a spreadsheet shows in one cell each."""
_NEXT_STEPS = {
    PENDING: "run the batch again",
    INVALID: "correct what the reasons name, and run the batch again",
    WOULD_CREATE: "run the batch without --dry-run",
    WOULD_RESUME: "run the batch without --dry-run",
    WOULD_REJECT: "replace the recording that the reasons name, and run the batch again",
    CHECK_INCONCLUSIVE: "run the batch again when the host responds",
}

_OWN_STEPS = {ProvisioningErased.code, ReferenceConflict.code, ReferenceIsAdopted.code, ReferenceIsId.code}
"""Reasons of invalid rows that no correction of a cell may remove; their hint is the next step."""


def results_format(file_name: str) -> ResultsFormat | None:
    """Return the format of a results file by the suffix of its name, None if it has no known one."""
    suffix = file_name.rpartition(".")[2].lower()
    return next((known for known in get_args(ResultsFormat) if known == suffix), None)


def render_results(
    progress: BatchProgress, manifest: Manifest, form: ResultsFormat, released: Collection[str] = ()
) -> bytes:
    """Return the content of the results file.

    CSV has a byte order mark, because Excel reads it as Windows-1252 otherwise, and the separator of the manifest.

    Args:
        progress: The results of all rows.
        manifest: The manifest.
        form: The format of the file.
        released: The ids of the provisionings that Argil refused and whose recordings a person released.
    """
    if form == "json":
        return json_document(progress.to_json_rows(), ascii_only=False).encode()
    header = [*manifest.columns, *RESULT_COLUMNS]
    if form == "xlsx":
        return write_workbook(
            "results", [header, *_rows(progress, manifest, released)], first_marked=len(manifest.columns)
        )
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=manifest.separator)
    own_count = len(manifest.columns)
    for cells in (header, *_rows(progress, manifest, released)):
        writer.writerow([*map(own_cell, cells[:own_count]), *map(spreadsheet_cell, cells[own_count:])])
    return BOM_UTF8 + buffer.getvalue().encode("utf-8", "replace")


def _rows(progress: BatchProgress, manifest: Manifest, released: Collection[str]) -> Iterator[list[str]]:
    """Yield the cells of each row. Those beyond the header stay beyond it, so that the row is read as before."""
    width = len(manifest.columns)
    for row, result in zip(manifest.rows, progress.rows, strict=True):
        padding = [""] * (width - len(row.cells))
        yield [*row.cells[:width], *padding, *_result_cells(result, released), *row.cells[width:]]


def _result_cells(result: RowResult, released: Collection[str]) -> list[str]:
    reasons = shorten(visible(result.reasons_text), MAX_REASONS_CHARACTERS)
    warnings = shorten(visible(result.warnings_text), MAX_REASONS_CHARACTERS)
    ids = [result.avatar_id or "", result.voice_id or ""]
    return [result.status, *ids, reasons, warnings, _next_step(result, released)]


def _next_step(result: RowResult, released: Collection[str]) -> str:
    if result.status == INVALID and result.reasons and all(item.code in _OWN_STEPS for item in result.reasons):
        return result.reasons[0].hint
    if (step := _NEXT_STEPS.get(result.status)) is not None:
        return step
    if result.id is None:
        return _NEXT_STEPS[PENDING]  # the batch was cancelled before it recorded the row
    status = Status(result.status)
    if step := step_by_reasons(status, result.id, result.reasons):
        return step
    outcome = OUTCOMES[status]
    return outcome.next_step_for(result.id, result.voice_id, is_released=result.id in released)
