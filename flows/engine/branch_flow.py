"""The body shared by the branch flows `training-failed` and `refused`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.engine.execution import TASK_RUN_EXECUTION, InlineExecution
from flows.engine.run_context import lease_owner_for_run
from models.errors import ConcurrencyError
from models.provisioning import LeaseOwner, Provisioning, Status
from services.prefect_api.events import emit_outcome_event
from services.run_log import log_to_run
from tasks.publish_artifact import publish_artifact

RecordTask = Task[[str, LeaseOwner], Coroutine[Any, Any, Provisioning]]
"""Records one branch outcome; returns the provisioning unchanged if the ledger shows another raw status."""


def branch_run_name(branch: str) -> Callable[[], str]:
    """Return a function that names the current run of a branch after its provisioning, or after their number.

    Args:
        branch: The name of the flow.

    """

    def name_run() -> str:
        provisioning_ids = flow_run.parameters["provisioning_ids"]
        subject = provisioning_ids[0] if len(provisioning_ids) == 1 else f"{len(provisioning_ids)} avatars"
        return f"{branch} {subject}"

    return name_run


async def record_branch_outcomes(
    provisioning_ids: list[str], record: RecordTask, *, actor: str, terminal_status: Status
) -> State:
    """Record, publish and emit the outcome of each provisioning that reaches `terminal_status`.

    A provisioning that another lease owner changed in the meantime is skipped; that owner continues with it.

    Args:
        provisioning_ids: One provisioning, or those of a whole batch or scheduled run.
        record: The task that applies the branch to one provisioning.
        actor: The name of the flow; the events in the ledger show it.
        terminal_status: The status that is published.

    Returns:
        Completed, with the number of provisionings that reached `terminal_status`.

    """
    owner = lease_owner_for_run(actor)
    # One subflow of a batch gets many provisionings; a task run for each would overload the Prefect server.
    call = (TASK_RUN_EXECUTION if len(provisioning_ids) == 1 else InlineExecution()).as_callable
    recorded = 0
    for provisioning_id in provisioning_ids:
        try:
            provisioning = await call(record)(provisioning_id, owner)
        except ConcurrencyError as error:
            log_to_run("provisioning %s skipped: %s", provisioning_id, error.message)
            continue
        if provisioning.status is terminal_status:
            recorded += 1
            await call(publish_artifact)(provisioning_id)
            emit_outcome_event(provisioning)
    return Completed(message=f"{recorded} of {len(provisioning_ids)} recorded as {terminal_status}")
