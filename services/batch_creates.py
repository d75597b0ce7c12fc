"""Counts the rows of a batch that would create an avatar, before it starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from models.argil.unknown_avatars import MAX_UNDECIDED
from models.manifest.validation import ManifestRow
from models.reopening import REPLACEABLE_STATUSES
from models.request import RequestKind
from models.submission_ids import request_tag, tag_of
from store.ledger_reader import LedgerReader
from store.unknown_avatars import UnknownAvatarRepository


async def count_creates(
    ledger: LedgerReader, unknown_avatars: UnknownAvatarRepository, rows: Sequence[ManifestRow]
) -> Counter[RequestKind]:
    """Return how many rows of each kind may be submitted: those that are new, and those that were never sent.

    The other rows attach to a provisioning that was submitted, continue with the avatar of a submission that the
    ledger lost, or are invalid.

    Raises:
        DatabaseError: The ledger cannot be read.

    """
    requests = {row.reference: row.request for row in rows if row.request is not None}
    statuses = await ledger.find_statuses(list(requests))
    creates = [key for key in requests if statuses.get(key) in {None, *REPLACEABLE_STATUSES}]
    lost = {tag_of(avatar.submission_id) for avatar in await unknown_avatars.list_undecided(MAX_UNDECIDED)}
    return Counter(requests[key].kind for key in creates if request_tag(key, requests[key].fingerprint) not in lost)
