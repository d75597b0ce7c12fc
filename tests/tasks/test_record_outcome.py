"""Recording the outcomes that no branch handles."""

from __future__ import annotations

import pytest

from models.errors import InvalidTransition
from models.outcomes import OUTCOMES
from models.provisioning import Status
from tasks.record_outcome import record_outcome
from tests.provisioning_harness import ProvisioningHarness

FAILED, REFUSED = "TRAINING_FAILED", "REFUSED"


@pytest.mark.parametrize("status", [Status.TIMED_OUT, Status.VANISHED])
async def test_failure_has_a_reason_and_a_next_step(harness: ProvisioningHarness, status: Status) -> None:
    recorded = await record_outcome.fn(await harness.submitted("never"), status, harness.owner)
    assert recorded.status is status
    [reason] = recorded.reasons
    assert (reason.message, reason.hint) == (
        OUTCOMES[status].description,
        OUTCOMES[status].next_step_for(recorded.id),
    )
    assert recorded.avatar_id is not None


async def test_ready_has_no_reasons(harness: ProvisioningHarness) -> None:
    ready = await record_outcome.fn(await harness.trained("", "IDLE"), Status.READY, harness.owner)
    assert (ready.status, ready.reasons) == (Status.READY, [])


async def test_terminal_status_cannot_be_changed(harness: ProvisioningHarness) -> None:
    ready = await record_outcome.fn(await harness.trained("", "IDLE"), Status.READY, harness.owner)
    with pytest.raises(InvalidTransition):
        await record_outcome.fn(ready, Status.TIMED_OUT, harness.owner)
    assert (await harness.reload(ready)).status is Status.READY
