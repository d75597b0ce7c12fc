"""Counts the rows of a batch that would create an avatar, before it starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from models.manifest_validation import ManifestRow
from models.reopening import REPLACEABLE_STATUSES
from models.request import RequestKind
from store.ledger_reader import LedgerReader


async def count_creates(ledger: LedgerReader, rows: Sequence[ManifestRow]) -> Counter[RequestKind]:
    """Return how many rows of each kind may be submitted: those that are new, and those that were never sent.

    The other rows attach to a provisioning that was submitted, or are invalid.

    Raises:
        DatabaseError: The ledger cannot be read.

    """
    kinds = {row.reference: row.request.kind for row in rows if row.request is not None}
    statuses = await ledger.find_statuses([*kinds])
    return Counter(
        kind for reference, kind in kinds.items() if statuses.get(reference) in {None, *REPLACEABLE_STATUSES}
    )
