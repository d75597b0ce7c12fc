"""Maps the outcome of a batch, and errors, to the final Prefect state of a run."""

from __future__ import annotations

from prefect.client.schemas.objects import State, StateType
from prefect.states import Completed, Failed

from models.batch import BatchProgress
from models.errors import AvatarsError
from models.outcomes import OUTCOMES
from models.provisioning import Status
from models.text.escaping import state_message
from models.text.plural import counted
from services.runs.idle_runs import IDLE


def final_state_for_batch(progress: BatchProgress, *, dry_run: bool) -> State:
    """Return Completed if every row is READY or in training, else Failed, named after the batch's outcome.

    A dry run is Completed "Checked" if a real run would reject no row.
    """
    if dry_run and progress.all_would_succeed:
        return Completed(name="Checked", message=f"nothing was sent: {progress.summary}")
    name = progress.state_name
    message = f"{counted(progress.total, 'row')}: {progress.summary}"
    is_done = name in {OUTCOMES[status].state_name for status in (Status.READY, Status.TRAINING)}
    return Completed(name=name, message=message) if is_done else Failed(name=name, message=message)


def final_state_for_error(error: AvatarsError) -> State:
    """Return Failed, named after the error's class, with the error as the state's data.

    Flows return this state instead of raising, because Prefect logs the whole traceback of a raised error.
    """
    message = f"{error.message}. {error.hint}" if error.hint else error.message
    return State(type=StateType.FAILED, name=type(error).__name__, message=state_message(message), data=error)


def final_state_for_tick(message: str, *, has_news: bool, data: object = None) -> State:
    """Return Completed for a run of a schedule, named IDLE if it found nothing to do: older ones are deleted."""
    return Completed(name=None if has_news else IDLE, message=state_message(message), data=data)
