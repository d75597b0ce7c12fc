"""The last lookup before another submission: an avatar that appeared late is adopted, not created again."""

from __future__ import annotations

import pytest
from starlette.responses import JSONResponse, Response

from flows.engine.execution import InlineExecution
from flows.engine.state_machine import run_to_completion
from models.errors import ArgilUnreachable, UnintelligibleResponse
from models.provisioning import Provisioning, Status, SubmissionState
from services.submissions import build_create_request
from simulator.server import ArgilSimulator
from tasks.adopt_late_avatar import adopt_late_avatar
from tasks.retrain_provisioning import retrain_provisioning
from tasks.retry_provisioning import retry_provisioning
from tests.provisioning_harness import (
    TRAINING_SECONDS,
    ProvisioningHarness,
    ScriptedClock,
    SimulatorGateway,
    list_orphaned,
)
from tests.tasks.test_responses import LIST, PAGE, POST


@pytest.fixture
async def waiting(harness: ProvisioningHarness, gateway: SimulatorGateway) -> Provisioning:
    """A provisioning in ACCEPTED whose submission was answered with a page and is presumed lost."""
    gateway.canned_responses[POST] = [Response(PAGE, 502, media_type="text/html")]
    with pytest.raises(UnintelligibleResponse):
        await harness.resolve_submission(await harness.submitted())
    [provisioning] = await harness.context.ledger.list_latest(Status.ACCEPTED, 1)
    return provisioning


async def create_late_avatar(harness: ProvisioningHarness, provisioning: Provisioning) -> str:
    [lost] = await harness.submissions(provisioning)
    return (
        await harness.context.argil.create_avatar(
            build_create_request(harness.request, lost.id, harness.request.recordings)
        )
    ).id


async def test_late_avatar_is_adopted_before_a_new_submission(
    harness: ProvisioningHarness, argil: ArgilSimulator, waiting: Provisioning
) -> None:
    late = await create_late_avatar(harness, waiting)
    ready = await run_to_completion(waiting, harness.owner, None, InlineExecution())
    assert (ready.status, ready.avatar_id) == (Status.READY, late)
    assert await harness.states(ready) == [SubmissionState.CREATED]
    assert len(argil.account.avatars) == 1


async def test_failed_lookup_sends_no_new_submission(
    harness: ProvisioningHarness, gateway: SimulatorGateway, waiting: Provisioning
) -> None:
    gateway.canned_responses[LIST] = [JSONResponse({}, 500)]
    with pytest.raises(ArgilUnreachable, match="lookup of an earlier avatar failed"):
        await run_to_completion(waiting, harness.owner, None, InlineExecution())
    assert await harness.states(waiting) == [SubmissionState.LOST]


async def test_absent_avatar_is_submitted_again(
    harness: ProvisioningHarness, argil: ArgilSimulator, waiting: Provisioning
) -> None:
    ready = await run_to_completion(waiting, harness.owner, None, InlineExecution())
    assert ready.status is Status.READY
    assert await harness.states(ready) == [SubmissionState.LOST, SubmissionState.CREATED]
    assert len(argil.account.avatars) == 1


@pytest.mark.parametrize("scenario", ["", "fail"])
async def test_late_avatar_reported_while_rejected_is_adopted_after_a_retry(
    harness: ProvisioningHarness,
    clock: ScriptedClock,
    waiting: Provisioning,
    monkeypatch: pytest.MonkeyPatch,
    scenario: str,
) -> None:
    monkeypatch.setattr("services.account.duplicates.emit_duplicate_event", lambda *_: None)
    ledger = harness.context.ledger
    rejected = await ledger.transition(waiting, harness.owner, "too short", new_status=Status.REJECTED)
    [lost] = await harness.submissions(waiting)
    request = harness.request.model_copy(update={"extras": {"simulator": scenario} if scenario else {}})
    late = await harness.context.argil.create_avatar(build_create_request(request, lost.id, request.recordings))
    if scenario:
        clock.advance(TRAINING_SECONDS)
    await list_orphaned(harness.owner)
    assert [item.avatar_id for item in await ledger.list_duplicates(waiting.id)] == [late.id]
    retried = await retry_provisioning.fn(rejected, harness.owner)
    adopted = await adopt_late_avatar.fn(retried, harness.owner)
    assert (adopted.status, adopted.avatar_id) == (Status.TRAINING, late.id)


async def test_late_avatar_of_a_replaced_request_is_not_adopted(
    harness: ProvisioningHarness, waiting: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.account.duplicates.emit_duplicate_event", lambda *_: None)
    rejected = await harness.context.ledger.transition(
        waiting, harness.owner, "too short", new_status=Status.REJECTED
    )
    retrained = await retrain_provisioning.fn(
        rejected, harness.owner, "Grace: longer", dataset_video="https://videos.example/ada/longer.mp4"
    )
    late = await create_late_avatar(harness, retrained)
    assert await adopt_late_avatar.fn(retrained, harness.owner) == retrained
    await list_orphaned(harness.owner)
    assert (await harness.reload(retrained)).avatar_id is None
    [duplicate] = await harness.context.ledger.list_duplicates(retrained.id)
    assert duplicate.avatar_id == late
