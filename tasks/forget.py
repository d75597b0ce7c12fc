"""Forgets the person of a provisioning that has ended."""

from __future__ import annotations

from models.clock import Clock
from models.errors import StillInFlight
from models.forgetting import Remains
from models.provisioning import UNSETTLED, Driver
from store import forgetting
from store.provisionings import Ledger

WHY = "name, URLs and extras were removed because a person asked for it"


async def forget(ledger: Ledger, clock: Clock, key: str, driver: Driver) -> Remains:
    """Remove what names a person from the ledger; returns what remains elsewhere. Once more does no harm.

    Raises StillInFlight where a driver may still need it, UnknownProvisioning, StaleVersion, DatabaseError.
    """
    seen = await ledger.get(key)
    if not seen.status.is_end:
        raise StillInFlight(
            f"provisioning {seen.id} is {seen.status}: it is in flight",
            hint=f"wait for its end, or `avatars cancel {seen.id}` first",
        )
    if any(submission.state in UNSETTLED for submission in await ledger.submissions(seen.id)):
        raise StillInFlight(
            f"provisioning {seen.id} has a create whose outcome is not known: Argil may hold an avatar of it",
            hint=f"`avatars resume {seen.id}` finds out; then forget it",
        )
    return await forgetting.forget(ledger.database, clock, seen, driver, WHY)
