"""Maps the outcome of a provisioning to the final Prefect state of its run."""

from __future__ import annotations

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from models.outcomes import further_reasons, outcome_of
from models.provisioning import Provisioning, Status
from models.text.escaping import state_message

_TYPES = {Status.READY: Completed, Status.TRAINING: Completed, Status.CANCELLED: Cancelled}


def final_state_for(provisioning: Provisioning) -> State:
    """Return the final state of a run, named after the status of its provisioning.

    READY is Completed, and so is TRAINING if the run does not wait for it.
    CANCELLED is Cancelled. Any other status is Failed.
    """
    outcome = outcome_of(provisioning.status, provisioning.kind)
    reasons = "; ".join(f"{reason.code}: {reason.message}" for reason in further_reasons(provisioning))
    parts = [f"provisioning {provisioning.id}", outcome.description]
    if provisioning.avatar_id:
        parts.insert(1, f"avatar {provisioning.avatar_id}")
    if reasons:
        parts.append(reasons)
    return _TYPES.get(provisioning.status, Failed)(name=outcome.state_name, message=state_message(". ".join(parts)))
