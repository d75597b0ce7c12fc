"""Finds the rows of a batch that share recordings, without those that the ledger has already recorded."""

from __future__ import annotations

from collections.abc import Sequence

from models.manifest.shared_recordings import SharedRecordingGroup, find_shared_recordings
from models.manifest.validation import ManifestRow
from store.ledger_reader import LedgerReader


async def find_new_shared_recordings(
    ledger: LedgerReader, rows: Sequence[ManifestRow]
) -> list[SharedRecordingGroup]:
    """Return the groups of rows that share a recording and of which at least one row is new to the ledger.

    A row is recorded if the ledger has its reference with the same request: a batch that runs again attaches to it.

    Raises:
        DatabaseError: The ledger cannot be read.

    """
    groups = find_shared_recordings(rows)
    if not groups:
        return []
    references = sorted({reference for group in groups for reference in group.references})
    fingerprints = await ledger.find_fingerprints(references)
    recorded = {
        row.reference
        for row in rows
        if row.request is not None
        and row.reference in fingerprints
        and fingerprints[row.reference] in row.request.fingerprints
    }
    return find_shared_recordings(rows, recorded)
