"""What an ended stack leaves in Prefect: runs that were killed, or had just time to say so, start again."""

from __future__ import annotations

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.states import AwaitingRetry, Cancelling, Completed, Crashed, Running

from deployments.catalog import TAG
from deployments.left_behind import take_up_dead_runs
from tasks.dead_runs import MAX_STARTS

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api_url")]


@flow
def left_behind() -> None:
    pass


@pytest.mark.parametrize(
    ("starts", "state", "after"),
    [
        (1, Running(), "AwaitingRetry"),
        (1, Crashed(message="Execution was aborted by a termination signal."), "AwaitingRetry"),
        (MAX_STARTS, Running(), "Crashed"),
        (MAX_STARTS, Crashed(), "Crashed"),
        (1, Cancelling(), "Cancelled"),
        (1, Completed(name="Ready"), "Ready"),
    ],
)
async def test_a_dead_run_starts_again_but_not_for_ever(starts: int, state: State, after: str) -> None:
    async with get_client() as client:
        flow_id = await client.create_flow(left_behind)
        deployment = await client.create_deployment(flow_id, "left-behind", tags=[TAG])
        run_id = (await client.create_flow_run_from_deployment(deployment)).id
        for start in range(starts):
            if start:
                await client.set_flow_run_state(run_id, AwaitingRetry(), force=True)
            await client.set_flow_run_state(run_id, Running(), force=True)
        await client.set_flow_run_state(run_id, state, force=True)
        await take_up_dead_runs()
        found = (await client.read_flow_run(run_id)).state
        assert found is not None
        assert found.name == after
        assert await take_up_dead_runs() == 0
        await client.delete_deployment(deployment)  # `avatars doctor` counts those with our tag
