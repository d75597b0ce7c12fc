"""Resumes the Prefect runs that suspended themselves over provisionings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from prefect import task
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound

from models.provisioning import Provisioning
from tasks.dead_runs import state_after_death
from tasks.narrate import narrate
from tasks.options import TASK
from tasks.runtime import LEASE, runtime

AT_ONCE = 2
"""More would end sooner on no server, and on SQLite they make Prefect's wait for each other until it gives up."""
CLAIMS_WITHIN = LEASE
"""A process that lives has claimed what it drives within this time of its run's start."""


@task(**TASK)
async def wake_runs(found: Sequence[Provisioning]) -> list[Provisioning]:
    """Resume the run of each provisioning; return those that no run will drive, so that somebody else must.

    Those have no run, or one that has ended, or one whose process is gone and that is not to start again. Call it
    for what no living driver holds.
    """
    turn = asyncio.Semaphore(AT_ONCE)
    async with get_client() as client:

        async def wake(provisioning: Provisioning) -> bool:
            async with turn:
                return await _will_drive(provisioning, client)

        awake = await asyncio.gather(*(wake(one) for one in found))
    return [one for one, is_awake in zip(found, awake, strict=True) if not is_awake]


@task(**TASK)
async def wake_sleepers() -> int:
    """Resume the runs that sleep over what another driver, or a person, has ended; return how many.

    Nobody else would: their provisioning is no longer due. What has ended by itself is forgotten.
    """
    count = 0
    async with runtime() as active, get_client() as client:
        for run_id in await active.sleepers.over_ended():
            try:
                state = (await client.read_flow_run(UUID(run_id))).state
            except ObjectNotFound:
                state = None
            if state is None or state.is_final():
                await active.sleepers.remove(run_id)
            elif state.is_paused():
                await client.resume_flow_run(UUID(run_id))
                count += 1
    return count


async def _will_drive(provisioning: Provisioning, client: PrefectClient) -> bool:
    """Whether the run slept and was resumed, is on its way, or was dead and starts again."""
    if provisioning.flow_run_id is None:
        return False
    run_id = UUID(provisioning.flow_run_id)
    try:
        run = await client.read_flow_run(run_id)
    except ObjectNotFound:
        return False
    state = run.state
    if state is None or (state.is_final() and not state.is_crashed()):
        return False
    if state.is_paused():
        answer = await client.resume_flow_run(run_id)
        if answer.status is SetStateStatus.ACCEPT:
            narrate("resumed run %s of provisioning %s", run.name, provisioning.id)
        else:  # somebody else was first, or it is no longer there: the next look tells
            narrate("run %s of provisioning %s was not resumed: %s", run.name, provisioning.id, answer.status)
        return True
    if state.is_scheduled() or (not state.is_final() and datetime.now(UTC) - state.timestamp < CLAIMS_WITHIN):
        return True
    after = state_after_death(run)
    if after.type != state.type:
        await client.set_flow_run_state(run_id, after, force=True)
        narrate("the process of run %s is gone: set to %s", run.name, after.name)
    return after.is_scheduled()
