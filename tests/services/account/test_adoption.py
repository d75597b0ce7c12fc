"""Adoption against the simulator: one list call, no create, and what an adopted provisioning can and cannot do."""

from __future__ import annotations

import pytest
from starlette.responses import JSONResponse

from flows.engine.execution import InlineExecution
from flows.engine.state_machine import run_to_completion
from models.errors import AvatarIsOurs, AvatarNotListed, InvalidRequest, NotReopenable
from models.provisioning import Provisioning, Status
from models.reports.account_report import AccountReport
from models.submission_ids import new_submission_id
from services.account.account_report import compare_account
from services.account.adoption import AdoptionReport, RequestedAdoption, adopt
from services.reopening import retry
from services.retraining import retrain
from services.submissions import build_create_request
from simulator.server import ArgilSimulator
from tasks.record_training_failure import record_training_failure
from tests.provisioning_harness import ProvisioningHarness, ScriptedClock, SimulatorGateway, list_orphaned

LIST = "GET", "/v1/avatars"


async def create(harness: ProvisioningHarness, extras: dict[str, str] | None = None) -> str:
    """Create an avatar as another program would; return its id."""
    body = build_create_request(harness.request, "", harness.request.recordings)
    return (await harness.context.argil.create_avatar(body.model_copy(update={"extras": extras or {}}))).id


async def adopt_each(
    harness: ProvisioningHarness, *pairs: tuple[str, str], is_preview: bool = False
) -> AdoptionReport:
    context = harness.context
    requested = [RequestedAdoption(f"line {line}", *pair) for line, pair in enumerate(pairs, 2)]
    return await adopt(context.ledger, context.argil, requested, harness.owner, is_preview=is_preview)


async def adopted(harness: ProvisioningHarness, extras: dict[str, str] | None = None) -> Provisioning:
    report = await adopt_each(harness, (await create(harness, extras), "mary-1"))
    assert report.results[0].provisioning is not None
    return report.results[0].provisioning


async def account(harness: ProvisioningHarness) -> AccountReport:
    return await compare_account(
        harness.context.ledger, harness.context.uploads, await harness.context.argil.list_account(), 10
    )


async def test_account_made_elsewhere_has_no_drift_after_its_adoption(
    harness: ProvisioningHarness, argil: ArgilSimulator
) -> None:
    ids = [await create(harness) for _ in range(120)]
    assert (await account(harness)).others.count == 120
    pairs = [(avatar_id, f"mary-{number}") for number, avatar_id in enumerate(ids)]
    lists = argil.account.count("GET /avatars")
    report = await adopt_each(harness, *pairs)
    assert argil.account.count("GET /avatars") == lists + 1
    assert (sum(result.is_new for result in report.results), report.remaining_count) == (120, 0)
    assert not (await account(harness)).has_drift
    again = await adopt_each(harness, *pairs)
    assert sum(result.is_new for result in again.results) == 0
    assert len(argil.account.posts) == 120


async def test_avatar_with_our_key_is_refused_and_nothing_is_adopted(harness: ProvisioningHarness) -> None:
    elsewhere = await create(harness)
    unknown = await create(harness, {"submission_id": new_submission_id("r", "f" * 64)})
    known = await harness.submitted()
    report = await adopt_each(
        harness, (elsewhere, "mary-1"), (unknown, "mary-2"), (known.avatar_id or "", "mary-3"), ("none", "mary-4")
    )
    problems = [result.problem for result in report.results]
    assert [type(problem) for problem in problems] == [type(None), AvatarIsOurs, AvatarIsOurs, AvatarNotListed]
    assert "avatars reconcile" in problems[1].hint  # type: ignore[union-attr]
    assert known.id in problems[2].hint  # type: ignore[union-attr]
    assert (await account(harness)).others.count == 1


async def test_preview_records_nothing(harness: ProvisioningHarness) -> None:
    report = await adopt_each(harness, (await create(harness), "mary-1"), is_preview=True)
    assert (report.results[0].is_new, report.remaining_count) == (True, 0)
    assert (await account(harness)).others.count == 1


async def test_invalid_reference_is_a_problem(harness: ProvisioningHarness) -> None:
    report = await adopt_each(harness, (await create(harness), "a" * 300))
    assert isinstance(report.results[0].problem, InvalidRequest)


async def test_incomplete_list_is_named_for_an_avatar_it_does_not_show(
    harness: ProvisioningHarness, gateway: SimulatorGateway
) -> None:
    gateway.canned_responses[LIST] = [JSONResponse([], headers={"x-total-count": "1"})]
    report = await adopt_each(harness, ("a-1", "mary-1"))
    assert "x-total-count" in report.results[0].problem.message  # type: ignore[union-attr]


async def test_adopted_training_is_polled_to_its_end(
    harness: ProvisioningHarness, clock: ScriptedClock, argil: ArgilSimulator
) -> None:
    training = await adopted(harness)
    assert (training.status, training.training_started_at) == (Status.TRAINING, clock.now())
    clock.advance(150)
    [due] = await list_orphaned(harness.owner)
    ended = await run_to_completion(due, harness.owner, None, InlineExecution())
    assert (ended.id, ended.status, len(argil.account.posts)) == (training.id, Status.READY, 1)


@pytest.mark.parametrize("changes", [{"avatars_retrain_limit": 3}])
async def test_failed_adopted_training_is_never_submitted(
    harness: ProvisioningHarness, argil: ArgilSimulator
) -> None:
    training = await adopted(harness, {"simulator": "fail"})
    failed = await harness.context.ledger.transition(
        training, harness.owner, "failed", raw_status="TRAINING_FAILED"
    )
    ended = await record_training_failure.fn(failed.id, harness.owner)
    assert ended.status is Status.TRAINING_FAILED
    with pytest.raises(NotReopenable, match="no recordings that `retrain` could submit"):
        await retrain(harness.context, ended, harness.owner, "again")
    with pytest.raises(NotReopenable, match="no recordings"):
        await retrain(
            harness.context,
            ended,
            harness.owner,
            "again",
            dataset_video="https://h.example/a.mp4",
            consent_video="https://h.example/b.mp4",
        )
    assert len(argil.account.posts) == 1


@pytest.mark.parametrize("extras", [{}, {"simulator": "never"}])
async def test_retry_refuses_an_adopted_one(harness: ProvisioningHarness, extras: dict[str, str]) -> None:
    training = await adopted(harness, extras)
    with pytest.raises(NotReopenable, match="no recordings that `retry` could submit"):
        await retry(harness.context.ledger, harness.context.quarantine, training, harness.owner, ())


async def test_avatar_adopted_while_its_submission_is_unknown_stops_only_its_own_row(
    harness: ProvisioningHarness, gateway: SimulatorGateway, argil: ArgilSimulator
) -> None:
    """The list once omits the extras, so the avatar looks as if it were made elsewhere."""
    cancelled = await harness.accepted("cut-after-create", reference="ada-1")
    submitting = await harness.submitted_from(cancelled)
    cancelled = await harness.context.ledger.transition(
        submitting, harness.owner, "cancelled", new_status=Status.CANCELLED
    )
    [avatar] = argil.account.avatars
    gateway.canned_responses[LIST] = [JSONResponse([{**avatar, "extras": None}])]
    await adopt_each(harness, (avatar["id"], "mary-1"))
    await list_orphaned(harness.owner)
    current = await harness.reload(cancelled)
    assert (current.status, current.avatar_id) == (Status.CANCELLED, None)
