"""Runs that lost their process: only those that no live process will report are ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType

from models.clock import SystemClock
from models.provisioning import Status
from services.runs.ended_runs import REPORT_GRACE, _has_ended
from tests.provisioning_harness import ProvisioningHarness

EARLIER = 2 * REPORT_GRACE
NOW = timedelta(0)


@pytest.mark.parametrize(
    ("state", "state_age", "outcome_age", "has_ended"),
    [
        (StateType.CRASHED, NOW, NOW, True),
        (StateType.RUNNING, EARLIER, EARLIER, True),
        (StateType.RUNNING, EARLIER, NOW, False),  # it is about to report
        (StateType.PENDING, NOW, EARLIER, False),  # it was retried or resumed
        (StateType.RUNNING, NOW, EARLIER, False),
        (StateType.FAILED, NOW, EARLIER, True),  # a late report of an old process
        (StateType.FAILED, EARLIER, NOW, False),  # the error of the run, after which another owner went on
    ],
)
async def test_run_ends_unless_it_may_be_alive(
    harness: ProvisioningHarness, state: StateType, state_age: timedelta, outcome_age: timedelta, has_ended: bool
) -> None:
    now = SystemClock().now()
    run = FlowRun(id=uuid4(), flow_id=uuid4(), state=State(type=state, timestamp=now - state_age))
    rejected = replace(
        await harness.accepted(),
        status=Status.REJECTED,
        flow_run_id=str(run.id),
        updated_at=now - outcome_age,
    )
    assert _has_ended(run.model_copy(update={"state_type": state}), rejected) is has_ended
    assert not _has_ended(run, replace(rejected, flow_run_id="another run"))
