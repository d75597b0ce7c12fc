"""Finds the provisioning that makes a new request unnecessary: each request is a training of its own."""

from __future__ import annotations

import contextlib

from models.errors import UnknownProvisioning
from models.provisioning import Provisioning
from models.request import AvatarRequest
from store.ledger_reader import LedgerReader


async def find_equal_request(ledger: LedgerReader, request: AvatarRequest) -> Provisioning | None:
    """Return the newest provisioning with the same name, recordings and extras as a request that would be new.

    Returns:
        None if there is none, or if the reference of the request is on record: then no avatar is created beside it.

    Raises:
        DatabaseError: The ledger cannot be read.
    """
    if request.reference is not None:
        with contextlib.suppress(UnknownProvisioning):
            await ledger.get(request.reference)
            return None
    return await ledger.find_equal(request)
