"""Resumes the Prefect runs that suspended themselves over provisionings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect import task
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from models.provisioning import Provisioning
from tasks.narrate import narrate
from tasks.options import TASK

AT_ONCE = 2
"""More would end sooner on no server, and on SQLite they make Prefect's wait for each other until it gives up."""
UNATTENDED = timedelta(minutes=2)
"""A run that claims to run while its lease has been gone for so long is dead."""


@task(**TASK)
async def wake_runs(found: Sequence[Provisioning]) -> list[Provisioning]:
    """Resume the run of each provisioning; return those that no run will drive, so that somebody else must.

    Those have no run, or one that has ended, or one that is dead (then it is marked Crashed).
    """
    turn = asyncio.Semaphore(AT_ONCE)
    async with get_client() as client:

        async def wake(provisioning: Provisioning) -> bool:
            async with turn:
                return await _will_drive(provisioning, client)

        awake = await asyncio.gather(*(wake(one) for one in found))
    return [one for one, is_awake in zip(found, awake, strict=True) if not is_awake]


async def _will_drive(provisioning: Provisioning, client: PrefectClient) -> bool:
    """Whether the run slept and was resumed, or is on its way."""
    if provisioning.flow_run_id is None:
        return False
    run_id = UUID(provisioning.flow_run_id)
    try:
        run = await client.read_flow_run(run_id)
    except ObjectNotFound:
        return False
    state = run.state
    if state is None or state.is_final():
        return False
    if state.is_paused():
        answer = await client.resume_flow_run(run_id)
        if answer.status is SetStateStatus.ACCEPT:
            narrate("resumed run %s of provisioning %s", run.name, provisioning.id)
        else:  # somebody else was first, or it is no longer there: the next look tells
            narrate("run %s of provisioning %s was not resumed: %s", run.name, provisioning.id, answer.status)
        return True
    if state.is_scheduled() or datetime.now(UTC) - state.timestamp < UNATTENDED:
        return True
    message = "its process is gone: no lease on its provisioning; reconcile goes on with it"
    await client.set_flow_run_state(run_id, Crashed(message=message), force=True)
    narrate("marked run %s Crashed: its process is gone", run.name)
    return False
