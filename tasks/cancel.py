"""Ends a provisioning because a person says so. Argil has no cancel: what it trains, it goes on training."""

from __future__ import annotations

from models.errors import NothingToCancel
from models.outcomes import OUTCOMES
from models.provisioning import TRANSITIONS, Driver, Provisioning, Status
from models.reason import Reason
from store.provisionings import Ledger


async def cancel(ledger: Ledger, seen: Provisioning, driver: Driver, why: str) -> Provisioning:
    """Return the provisioning CANCELLED, with its avatar where it has one; one that is so comes back as it is.

    A driver that is at work finds at its next write that it may not write any more. Raises NothingToCancel
    where it has another end, StaleVersion, DatabaseError.
    """
    if seen.status is Status.CANCELLED:
        return seen
    if Status.CANCELLED not in TRANSITIONS[seen.status]:
        raise NothingToCancel(
            f"provisioning {seen.id} is {seen.status}: there is nothing to cancel",
            hint=OUTCOMES[seen.status].next_step_of(seen.id),
        )
    outcome = OUTCOMES[Status.CANCELLED]
    meaning = f"{why}; {_left_at_argil(seen)}"
    reason = Reason(code="cancelled", message=meaning, hint=outcome.next_step_of(seen.id))
    return await ledger.record(seen, driver, meaning, to=Status.CANCELLED, reasons=[reason])


def _left_at_argil(seen: Provisioning) -> str:
    if seen.avatar_id is not None:
        return f"avatar {seen.avatar_id} stays at Argil, which goes on with it: it has no cancel"
    if seen.status is Status.SUBMITTING:
        return "a create was recorded: if Argil took it, its avatar is found and recorded later"
    return "nothing was sent to Argil"
