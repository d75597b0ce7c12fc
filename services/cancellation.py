"""Cancels a provisioning at a person's request. Argil's API cannot cancel a training; an avatar stays."""

from __future__ import annotations

from models.errors import NotCancellable, ProvisioningErased
from models.outcomes import next_step, outcome_of
from models.provisioning import TRANSITIONS, LeaseOwner, Provisioning, Status
from models.reason import Reason
from store.ledger import Ledger


async def cancel_provisioning(
    ledger: Ledger,
    provisioning: Provisioning,
    owner: LeaseOwner,
    message: str,
    *,
    is_released: bool = False,
) -> Provisioning:
    """Return the provisioning as CANCELLED, with its avatar id if it has one.

    A cancelled provisioning is returned unchanged. The next write of a lease owner that works on it fails.

    Args:
        ledger: The ledger.
        provisioning: The provisioning as it was read.
        owner: The caller.
        message: What the event says.
        is_released: Whether a person released its recordings from quarantine, for the hint of an error.

    Raises:
        NotCancellable: The provisioning has another terminal status.
        ProvisioningErased: It was erased.
        StaleVersion: Another owner changed it since it was read.
        DatabaseError: The ledger cannot be written.

    """
    if provisioning.status is Status.CANCELLED:
        return provisioning
    if provisioning.erased_at is not None:
        raise ProvisioningErased(provisioning.id)
    if Status.CANCELLED not in TRANSITIONS[provisioning.status]:
        raise NotCancellable(
            f"provisioning {provisioning.id} cannot be cancelled: it is {provisioning.status}",
            hint=next_step(provisioning, is_released=is_released),
        )
    outcome = outcome_of(Status.CANCELLED, provisioning.kind)
    description = f"{message}; {_remote_state_message(provisioning)}"
    reason = Reason(code="cancelled", message=description, hint=outcome.next_step_for(provisioning.id))
    return await ledger.transition(provisioning, owner, description, new_status=Status.CANCELLED, reasons=[reason])


def _remote_state_message(provisioning: Provisioning) -> str:
    if provisioning.avatar_id is not None:
        avatar = f"avatar {provisioning.avatar_id} stays at Argil and keeps training"
        return f"{avatar}: Argil's API cannot cancel a training"
    if provisioning.status is Status.SUBMITTING:
        return "a submission was recorded: if Argil created its avatar, the avatar is found and recorded later"
    return "nothing was sent to Argil"
