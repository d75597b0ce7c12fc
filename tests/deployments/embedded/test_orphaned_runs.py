"""Orphaned runs of an ended stack are rescheduled, whether they were killed or reported their crash."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.states import AwaitingRetry, Cancelling, Completed, Crashed, Running

from deployments.catalog import TAG
from deployments.embedded.orphaned_runs import delete_missed_runs, reschedule_orphaned_runs
from models.run_ownership import MAX_RUN_ATTEMPTS
from tests.damaged_runs import damage, delete_run

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.usefixtures("prefect_api_url")]


@flow
def orphaned_flow() -> None:
    pass


@pytest.mark.parametrize(
    ("attempts", "state", "expected"),
    [
        (1, Running(), "AwaitingRetry"),
        (1, Crashed(message="Execution was aborted by a termination signal."), "AwaitingRetry"),
        (MAX_RUN_ATTEMPTS, Running(), "Crashed"),
        (MAX_RUN_ATTEMPTS, Crashed(), "Crashed"),
        (1, Cancelling(), "Cancelled"),
        (1, Completed(name="Ready"), "Ready"),
    ],
)
async def test_orphaned_run_is_rescheduled_up_to_the_limit(attempts: int, state: State, expected: str) -> None:
    async with get_client() as client:
        flow_id = await client.create_flow(orphaned_flow)
        deployment = await client.create_deployment(flow_id, "orphaned", tags=[TAG])
        run_id = (await client.create_flow_run_from_deployment(deployment)).id
        for attempt in range(attempts):
            if attempt:
                await client.set_flow_run_state(run_id, AwaitingRetry(), force=True)
            await client.set_flow_run_state(run_id, Running(), force=True)
        await client.set_flow_run_state(run_id, state, force=True)
        await reschedule_orphaned_runs()
        recovered = (await client.read_flow_run(run_id)).state
        assert recovered is not None
        assert recovered.name == expected
        assert await reschedule_orphaned_runs() == 0
        await client.delete_deployment(deployment)  # `avatars doctor` counts deployments with this tag


async def test_damaged_run_does_not_stop_the_recovery_of_others(clean_environment: Path) -> None:
    database = clean_environment / "prefect/prefect.db"
    async with get_client() as client:
        deployment = await client.create_deployment(await client.create_flow(orphaned_flow), "damaged", tags=[TAG])
        runs = [(await client.create_flow_run_from_deployment(deployment)).id for _ in range(3)]
        for run_id in runs:
            await client.set_flow_run_state(run_id, Running(), force=True)
        damage(database, runs[0], "lone-surrogate")
        damage(database, runs[1], "broken-json")
        assert await reschedule_orphaned_runs() == 1
        assert await delete_missed_runs() == 0
        recovered = (await client.read_flow_run(runs[2])).state
        assert recovered is not None
        assert recovered.name == "AwaitingRetry"
        for run_id in runs[:2]:
            delete_run(database, run_id)
        await client.delete_deployment(deployment)
