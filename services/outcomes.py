"""Records the terminal status of a provisioning."""

from __future__ import annotations

from models.outcomes import REFUSAL, outcome_of
from models.provisioning import LeaseOwner, Provisioning, Status
from models.reason import Reason
from models.request import RequestKind
from services.context import AppContext


async def transition_to_terminal(
    context: AppContext, provisioning: Provisioning, owner: LeaseOwner, status: Status
) -> Provisioning:
    """Move a provisioning to a terminal status, with the outcome's description as the reason.

    The description is used because Argil gives no reasons. READY has no reason.

    Raises:
        StaleVersion: Another owner changed the provisioning since it was read.
        DatabaseError: The ledger cannot be written.

    """
    outcome = outcome_of(status, provisioning.kind)
    if status is Status.READY:
        return await context.ledger.transition(
            provisioning,
            owner,
            f"Argil reports {provisioning.raw_status}: {outcome.description}",
            new_status=status,
            reasons=[],
            raw_status=provisioning.raw_status,
            avatar_snapshot=provisioning.avatar_snapshot,
            voice_due_at=context.clock.now(),
        )
    message, hint = outcome.description, outcome.next_step_for(provisioning.id)
    if status is Status.REFUSED and provisioning.kind is not RequestKind.ADOPTED:
        # Lists show the reason as it was recorded, and a release changes the rest.
        message, hint = REFUSAL, ""
    reason = Reason(code=outcome.event or status, message=message, hint=hint)
    return await context.ledger.transition(
        provisioning, owner, outcome.description, new_status=status, reasons=[reason]
    )
