"""The final Prefect state of a run: the outcome by name."""

from __future__ import annotations

from prefect.client.schemas.objects import State, StateType
from prefect.states import Cancelled, Completed, Failed

from models.batch import Tally
from models.errors import AvatarsError
from models.outcomes import OUTCOMES
from models.provisioning import Provisioning, Status

_TYPES = {Status.READY: Completed, Status.TRAINING: Completed, Status.CANCELLED: Cancelled}


def state_of(provisioning: Provisioning) -> State:
    """Return Completed "Ready" (or "Training", where the run was not to wait), Cancelled, or Failed by name."""
    outcome = OUTCOMES[provisioning.status]
    reasons = "; ".join(f"{reason.code}: {reason.message}" for reason in provisioning.reasons)
    parts = [f"provisioning {provisioning.id}", outcome.meaning]
    if provisioning.avatar_id:
        parts.insert(1, f"avatar {provisioning.avatar_id}")
    if reasons:
        parts.append(reasons)
    return _TYPES.get(provisioning.status, Failed)(name=outcome.state_name, message=". ".join(parts))


def state_of_batch(tally: Tally, *, dry_run: bool) -> State:
    """Return Completed if every row is READY (dry: would go) or trains, else Failed by the tally's name."""
    if dry_run and tally.all_would_go:
        return Completed(name="Checked", message=f"nothing was sent: {tally.told}")
    name = tally.state_name
    message = f"{tally.total} rows: {tally.told}"
    is_done = name in {OUTCOMES[status].state_name for status in (Status.READY, Status.TRAINING)}
    return Completed(name=name, message=message) if is_done else Failed(name=name, message=message)


def state_of_error(error: AvatarsError) -> State:
    """Return Failed, named after the error's class, with the way out; the error itself is the state's data.

    Returned, not raised: Prefect would copy a whole traceback into the run's log.
    """
    message = f"{error.message}. {error.hint}" if error.hint else error.message
    return State(type=StateType.FAILED, name=type(error).__name__, message=message, data=error)
