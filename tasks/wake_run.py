"""Resumes the Prefect run that suspended itself over a provisioning."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect import task
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.flow_runs import aresume_flow_run
from prefect.states import Crashed

from models.provisioning import Provisioning
from tasks.narrate import narrate
from tasks.options import TASK

UNATTENDED = timedelta(minutes=2)
"""A run that claims to run while its lease has been gone for so long is dead."""


@task(**TASK)
async def wake_run(provisioning: Provisioning) -> bool:
    """Return whether a run of this provisioning will drive it: it slept and was resumed, or is on its way.

    False where none exists, it has ended, or it is dead (then it is marked Crashed): somebody else must drive.
    """
    if provisioning.flow_run_id is None:
        return False
    run_id = UUID(provisioning.flow_run_id)
    async with get_client() as client:
        try:
            run = await client.read_flow_run(run_id)
        except ObjectNotFound:
            return False
        state = run.state
        if state is None or state.is_final():
            return False
        if state.is_paused():
            await aresume_flow_run(run_id)
            narrate("resumed run %s of provisioning %s", run.name, provisioning.id)
            return True
        if state.is_scheduled() or datetime.now(UTC) - state.timestamp < UNATTENDED:
            return True
        message = "its process is gone: no lease on its provisioning; reconcile goes on with it"
        await client.set_flow_run_state(run_id, Crashed(message=message), force=True)
        narrate("marked run %s Crashed: its process is gone", run.name)
        return False
