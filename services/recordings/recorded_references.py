"""The references of batch rows whose requests are on record with other addresses of the same recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from models.manifest.validation import ManifestRow, derived_reference, possible_derived_references
from store.ledger_reader import LedgerReader


async def use_recorded_references(ledger: LedgerReader, rows: Sequence[ManifestRow]) -> list[ManifestRow]:
    """Return the rows; one without a reference of its own has that of its provisioning on record.

    A derived reference depends on the addresses of the recordings. Without AVATARS_S3_ENDPOINT, all addresses of an
    object have one form, so nothing is looked up.

    Raises:
        DatabaseError: The ledger cannot be read.

    """
    possible = {number: _possible_references(row) for number, row in enumerate(rows)}
    references = sorted({reference for each in possible.values() if len(each) > 1 for reference in each})
    recorded = await ledger.find_fingerprints(references) if references else {}
    return [
        _with_reference(row, next((each for each in possible[number] if each in recorded), row.reference))
        for number, row in enumerate(rows)
    ]


def _possible_references(row: ManifestRow) -> list[str]:
    """Return the references of a row without one of its own, the derived one first; empty for any other row."""
    if row.request is None or row.reference != derived_reference(row.request):
        return []
    return possible_derived_references(row.request)


def _with_reference(row: ManifestRow, reference: str) -> ManifestRow:
    if row.request is None or reference == row.reference:
        return row
    return replace(row, reference=reference, request=row.request.model_copy(update={"reference": reference}))
