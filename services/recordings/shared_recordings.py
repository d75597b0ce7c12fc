"""Finds the rows of a batch that share recordings, or repeat a request on record under another reference."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from models.manifest.shared_recordings import SharedRecordingGroup, find_shared_recordings, group_on_record
from models.manifest.validation import ManifestRow
from models.request import AvatarRequest
from store.ledger_reader import LedgerReader


async def find_new_shared_recordings(
    ledger: LedgerReader, rows: Sequence[ManifestRow]
) -> list[SharedRecordingGroup]:
    """Return the groups of rows that share a recording and of which at least one row is new to the ledger.

    A new row whose name, recordings and extras another provisioning has is a group of its own. A row is recorded if
    the ledger has its reference with the same request: a batch that runs again attaches to it.

    Raises:
        DatabaseError: The ledger cannot be read.

    """
    requested = [row for row in rows if row.request is not None]
    groups = find_shared_recordings(requested)
    equal = await ledger.find_equal_by_names(sorted({row.request.name for row in requested if row.request}))
    # Without an equal request, the fingerprints of thousands of rows are not needed.
    repeated = [row for row in requested if equal and row.request and _is_in(equal, row.request)]
    references = {reference for group in groups for reference in group.references}
    fingerprints = await ledger.find_fingerprints(sorted(references | {row.reference for row in repeated}))
    recorded = {
        row.reference
        for row in requested
        if row.request and fingerprints.get(row.reference) in row.request.fingerprints
    }
    on_record = []
    for row in repeated:
        if row.request and row.reference not in recorded:
            found = next(equal[fingerprint] for fingerprint in row.request.fingerprints if fingerprint in equal)
            what = f"provisioning {found.id}, reference {found.reference!r}, {found.status}"
            on_record.append(group_on_record(row, what))
    return [*find_shared_recordings(rows, recorded), *on_record]


def _is_in(fingerprints: Collection[str], request: AvatarRequest) -> bool:
    return not request.fingerprints.isdisjoint(fingerprints)
