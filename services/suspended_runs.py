"""Resumes the Prefect runs that suspended themselves while Argil trains their avatars."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound

from models.clock import SystemClock
from models.provisioning import Provisioning
from services.context import app_context
from services.leases import LEASE_DURATION
from services.orphaned_runs import recovery_state
from services.run_log import log_to_run

MAX_CONCURRENT_RESUMES = 2
"""More concurrent resumes are not faster. On a Prefect server with SQLite, transactions then time out while they
wait for each other."""
STARTUP_GRACE = LEASE_DURATION
"""A live process acquires its lease within this time of the start of its run."""


async def resume_runs(provisionings: Sequence[Provisioning]) -> list[Provisioning]:
    """Resume or restart the run of each provisioning; return the provisionings that no run will advance.

    Those have no run, a finished run, or a run whose process is gone and that cannot start again. The caller must
    advance them itself.

    Args:
        provisionings: Provisionings without a valid lease.

    Raises:
        httpx.HTTPError: The Prefect API does not respond.

    """
    semaphore = asyncio.Semaphore(MAX_CONCURRENT_RESUMES)
    async with get_client() as client:

        async def ensure_active(provisioning: Provisioning) -> bool:
            async with semaphore:
                return await _ensure_run_active(provisioning, client)

        results = await asyncio.gather(*(ensure_active(provisioning) for provisioning in provisionings))
    return [provisioning for provisioning, is_active in zip(provisionings, results, strict=True) if not is_active]


async def resume_terminal_runs() -> int:
    """Resume the suspended runs whose provisioning is terminal; return how many.

    Another lease owner or a person finished these provisionings, so reconciliation no longer selects them. Runs
    that are final themselves are removed from the list of suspended runs.

    Raises:
        DatabaseError: The ledger cannot be read or written.
        httpx.HTTPError: The Prefect API does not respond.

    """
    count = 0
    async with app_context() as context, get_client() as client:
        for run_id in await context.suspended_runs.list_with_terminal_provisioning():
            try:
                state = (await client.read_flow_run(UUID(run_id))).state
            except ObjectNotFound:
                state = None
            if state is None or state.is_final():
                await context.suspended_runs.remove(run_id)
            elif state.is_paused():
                await client.resume_flow_run(UUID(run_id))
                count += 1
    return count


async def _ensure_run_active(provisioning: Provisioning, client: PrefectClient) -> bool:
    """Return whether a run will advance the provisioning; resume or reschedule that run if necessary.

    True also if Prefect rejects the resume. The next scheduled run of `reconcile-avatars` reads the state again.
    """
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
        response = await client.resume_flow_run(run_id)
        if response.status is SetStateStatus.ACCEPT:
            log_to_run("resumed run %s of provisioning %s", run.name, provisioning.id)
        else:  # another process resumed it first, or it was deleted
            log_to_run("run %s of provisioning %s was not resumed: %s", run.name, provisioning.id, response.status)
        return True
    if state.is_scheduled() or (not state.is_final() and SystemClock().now() - state.timestamp < STARTUP_GRACE):
        return True
    recovered = recovery_state(run)
    if recovered.type != state.type:
        await client.set_flow_run_state(run_id, recovered, force=True)
        log_to_run("the process of run %s is gone: its state was set to %s", run.name, recovered.name)
    return recovered.is_scheduled()
