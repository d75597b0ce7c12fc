"""Finds the provisioning that makes another one unnecessary: each of them is a training of its own."""

from __future__ import annotations

import contextlib

from models.errors import UnknownProvisioning
from models.provisioning import Provisioning, Status
from models.request import AvatarRequest
from store.ledger_reader import LedgerReader


async def find_equal_request(ledger: LedgerReader, request: AvatarRequest) -> Provisioning | None:
    """Return the newest other provisioning of the same request, if this one would be submitted beside it.

    Returns:
        None if there is none, or if the request attaches to the provisioning of its reference. One that replaces
        the request of that provisioning, or re-opens it after a rejection, does not attach.

    Raises:
        DatabaseError: The ledger cannot be read.
    """
    own: Provisioning | None = None
    if request.reference is not None:
        with contextlib.suppress(UnknownProvisioning):
            own = await ledger.get(request.reference)
    if own is None:
        return await ledger.find_equal(request)
    is_same = own.request_fingerprint in request.fingerprints
    attaches = is_same and own.status is not Status.REJECTED
    return None if attaches else await ledger.find_equal(request, except_id=own.id)
