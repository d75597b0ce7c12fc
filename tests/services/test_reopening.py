"""Requests, retries and resumes that re-open provisionings: free, once per caller, never what is in quarantine."""

from __future__ import annotations

from uuid import uuid4

import pytest

from models.errors import NotReopenable, ProvisioningErased, ReferenceConflict, StaleVersion
from models.media.rules import MediaRole
from models.provisioning import LeaseOwner, Provisioning, Status
from services.reopening import open_request, resume, retry
from store.erasure import erase
from tasks.get_or_create_provisioning import get_or_create_provisioning
from tests.provisioning_harness import ProvisioningHarness, ScriptedClock

SIGNED_AGAIN = "https://videos.example/ada/dataset.mp4?X-Amz-Signature=2"


def make_owner(flow_run_id: str | None = None) -> LeaseOwner:
    return LeaseOwner(actor="another", id=str(uuid4()), flow_run_id=flow_run_id)


async def rejected(harness: ProvisioningHarness) -> Provisioning:
    return await harness.context.ledger.transition(
        await harness.accepted(), harness.owner, "rules broken", new_status=Status.REJECTED
    )


async def request_again(harness: ProvisioningHarness, owner: LeaseOwner, **changes: object) -> Provisioning:
    request = harness.request.model_copy(update=changes)
    return await get_or_create_provisioning.fn(request, "ada-1", owner)


async def test_same_request_reopens_a_rejected_one_with_new_urls(harness: ProvisioningHarness) -> None:
    before = await rejected(harness)
    reopened = await request_again(harness, make_owner("run-2"), dataset_video=SIGNED_AGAIN)
    assert (reopened.id, reopened.status, reopened.flow_run_id) == (before.id, Status.ACCEPTED, "run-2")
    assert reopened.request.recordings[MediaRole.DATASET] == SIGNED_AGAIN


async def test_check_of_earlier_urls_rejects_no_url_signed_again(harness: ProvisioningHarness) -> None:
    checking = await harness.accepted()
    renewed = await request_again(harness, make_owner("run-2"), dataset_video=SIGNED_AGAIN)
    with pytest.raises(StaleVersion):
        await harness.context.ledger.transition(checking, harness.owner, "expired", new_status=Status.REJECTED)
    with pytest.raises(StaleVersion):
        await harness.context.ledger.begin_submission(checking, harness.owner, "with the earlier URL")
    assert await request_again(harness, make_owner("run-3"), dataset_video=SIGNED_AGAIN) == renewed


async def test_run_that_starts_again_reopens_nothing(harness: ProvisioningHarness) -> None:
    await request_again(harness, make_owner("run-1"))
    creator_rejects = await rejected(harness)
    assert await request_again(harness, make_owner("run-1")) == creator_rejects
    await request_again(harness, make_owner("run-2"))
    second = await rejected(harness)
    assert await request_again(harness, make_owner("run-2"), dataset_video=SIGNED_AGAIN) == second
    assert (await request_again(harness, make_owner("run-3"))).status is Status.ACCEPTED


async def test_run_that_attached_does_not_reopen_later(harness: ProvisioningHarness) -> None:
    await harness.accepted()
    await request_again(harness, make_owner("run-2"))
    attached = await rejected(harness)
    assert await request_again(harness, make_owner("run-2")) == attached


async def test_quarantined_request_stays_rejected(harness: ProvisioningHarness) -> None:
    before = await rejected(harness)
    await harness.context.quarantine.add(before)
    stopped = await request_again(harness, make_owner())
    assert stopped.status is Status.REJECTED
    assert [reason.code for reason in stopped.reasons] == ["dataset.quarantined", "consent.quarantined"]
    assert await retry(harness.context.ledger, harness.context.quarantine, stopped, make_owner(), ()) == stopped
    await harness.context.quarantine.release(before, "reviewed", harness.owner)
    assert (await request_again(harness, make_owner())).status is Status.ACCEPTED


async def test_erased_one_is_neither_requested_again_nor_reopened(
    harness: ProvisioningHarness, clock: ScriptedClock
) -> None:
    before = await rejected(harness)
    ledger = harness.context.ledger
    await erase(ledger.database, clock, before, harness.owner, "erased")
    erased = await harness.reload(before)
    with pytest.raises(ProvisioningErased, match="was erased"):
        await request_again(harness, make_owner())
    with pytest.raises(ProvisioningErased):
        await retry(ledger, harness.context.quarantine, erased, make_owner(), ())


async def test_retry_reopens_a_rejected_one_once_per_run(harness: ProvisioningHarness) -> None:
    ledger, quarantine = harness.context.ledger, harness.context.quarantine
    first = await retry(ledger, quarantine, await rejected(harness), make_owner("run-2"), ())
    assert first.status is Status.ACCEPTED
    assert await retry(ledger, quarantine, first, make_owner(), ()) == first
    again = await rejected(harness)
    assert await retry(ledger, quarantine, again, make_owner("run-2"), ()) == again


@pytest.mark.parametrize("status", [Status.TRAINING_FAILED, Status.VANISHED, Status.READY])
async def test_retry_of_another_status_names_the_next_step(harness: ProvisioningHarness, status: Status) -> None:
    ended = await harness.context.ledger.transition(
        await harness.submitted(), harness.owner, "ended", new_status=status
    )
    with pytest.raises(NotReopenable, match=f"is {status}: `retry` re-opens only REJECTED") as caught:
        await retry(harness.context.ledger, harness.context.quarantine, ended, make_owner(), ())
    assert caught.value.hint
    assert await harness.reload(ended) == ended


async def test_vanished_one_is_resumed_with_its_avatar(harness: ProvisioningHarness, clock: ScriptedClock) -> None:
    ledger = harness.context.ledger
    training = await harness.submitted("never")
    await ledger.record_not_found([training.id], clock.now())
    vanished = await ledger.transition(training, harness.owner, "gone", new_status=Status.VANISHED)
    resumed = await resume(ledger, vanished, make_owner())
    assert (resumed.status, resumed.avatar_id, resumed.not_found_since) == (
        Status.TRAINING,
        training.avatar_id,
        None,
    )


async def test_only_a_person_clears_the_404s_of_a_training(
    harness: ProvisioningHarness, clock: ScriptedClock
) -> None:
    training = await harness.submitted("never")
    await harness.context.ledger.record_not_found([training.id], clock.now())
    absent = await harness.reload(training)
    assert (await resume(harness.context.ledger, absent, make_owner())).not_found_since == clock.now()
    assert (await resume(harness.context.ledger, absent, make_owner(), by_person=True)).not_found_since is None


async def test_run_that_resumed_an_open_one_does_not_undo_a_cancel(harness: ProvisioningHarness) -> None:
    ledger = harness.context.ledger
    attached = await resume(ledger, await harness.accepted(), make_owner("run-2"), by_person=True)
    cancelled = await ledger.transition(attached, harness.owner, "cancelled", new_status=Status.CANCELLED)
    assert await resume(ledger, cancelled, make_owner("run-2"), by_person=True) == cancelled
    assert (await resume(ledger, cancelled, make_owner("run-3"), by_person=True)).status is Status.ACCEPTED


async def test_run_that_retried_an_open_one_does_not_retry_later(harness: ProvisioningHarness) -> None:
    ledger, quarantine = harness.context.ledger, harness.context.quarantine
    await retry(ledger, quarantine, await harness.accepted(), make_owner("run-2"), ())
    stopped = await rejected(harness)
    assert await retry(ledger, quarantine, stopped, make_owner("run-2"), ()) == stopped


async def test_only_a_person_reopens_a_cancelled_one(harness: ProvisioningHarness) -> None:
    cancelled = await harness.context.ledger.transition(
        await harness.accepted(), harness.owner, "cancelled", new_status=Status.CANCELLED
    )
    assert await resume(harness.context.ledger, cancelled, make_owner()) == cancelled


async def test_corrected_request_of_a_submitted_one_is_a_conflict(harness: ProvisioningHarness) -> None:
    training = await harness.submitted("never")
    with pytest.raises(ReferenceConflict):
        await open_request(
            harness.context.ledger,
            harness.context.quarantine,
            harness.request.model_copy(update={"name": "Grace"}),
            "ada-1",
            make_owner(),
            (),
        )
    assert await harness.reload(training) == training
