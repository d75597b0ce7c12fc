"""Erases the personal data of a terminal provisioning."""

from __future__ import annotations

from models.clock import Clock
from models.erasure import ErasureReport
from models.errors import NotTerminal
from models.provisioning import UNRESOLVED, LeaseOwner
from store import erasure
from store.ledger import Ledger

ERASURE_MESSAGE = "name, URLs and extras were erased at a person's request"


async def erase_provisioning(ledger: Ledger, clock: Clock, key: str, owner: LeaseOwner) -> ErasureReport:
    """Erase the personal data of a provisioning from the ledger; erasing it again has no effect.

    Args:
        ledger: The ledger.
        clock: The source of the time of erasure.
        key: The id or reference of the provisioning.
        owner: The actor that the ledger records.

    Returns:
        What remains outside of the ledger and how to remove it.

    Raises:
        NotTerminal: The provisioning is in flight or has a submission with an unknown outcome.
        UnknownProvisioning: No provisioning has this id or reference.
        StaleVersion: Another owner changed it since it was read.
        DatabaseError: The ledger cannot be read or written.

    """
    provisioning = await ledger.get(key)
    if not provisioning.status.is_terminal:
        raise NotTerminal(
            f"provisioning {provisioning.id} cannot be erased: it is {provisioning.status}, which is not terminal",
            hint=f"wait until it is terminal, or run `avatars cancel {provisioning.id}` first",
        )
    if any(submission.state in UNRESOLVED for submission in await ledger.list_submissions(provisioning.id)):
        raise NotTerminal(
            f"provisioning {provisioning.id} cannot be erased: the outcome of a submission is unknown, "
            "so Argil may have an avatar of it",
            hint=f"`avatars resume {provisioning.id}` resolves the submission; then erase it",
        )
    return await erasure.erase(ledger.database, clock, provisioning, owner, ERASURE_MESSAGE)
