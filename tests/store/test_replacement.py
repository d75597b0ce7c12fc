"""Replacement of a request that was never accepted by Argil, and re-openings, on both engines."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from models.errors import ProvisioningErased, ReferenceConflict, StaleVersion
from models.media.rules import MediaRole
from models.provisioning import LeaseOwner, Provisioning, Status, SubmissionState
from models.reason import Reason
from models.reopening import CallerAction
from models.request import ProvisioningRequest
from store.database import Database
from store.erasure import erase
from store.ledger import Ledger
from tests.fakes import FakeClock

OTHER_VIDEO = "https://videos.example/other.mp4"
REASON = Reason(code="dataset.duration-too-short", message="40 s, at least 60 s", hint="record more")


def make_owner(flow_run_id: str | None = None) -> LeaseOwner:
    return LeaseOwner(actor="another", id=str(uuid4()), flow_run_id=flow_run_id)


@pytest.fixture
def ledger(database: Database, clock: FakeClock) -> Ledger:
    return Ledger(database, clock)


@pytest.fixture
def other(provisioning_request: ProvisioningRequest) -> ProvisioningRequest:
    return provisioning_request.model_copy(update={"dataset_video": OTHER_VIDEO})


@pytest.fixture
async def accepted(ledger: Ledger, provisioning_request: ProvisioningRequest, owner: LeaseOwner) -> Provisioning:
    return (await ledger.get_or_create(provisioning_request, "ada-1", owner))[0]


async def reject(ledger: Ledger, provisioning: Provisioning) -> Provisioning:
    return await ledger.transition(
        provisioning,
        make_owner(),
        "rules broken",
        new_status=Status.REJECTED,
        reasons=[REASON],
        media_facts={"dataset": {"size_bytes": 1}},
    )


async def resolve(ledger: Ledger, accepted: Provisioning, state: SubmissionState) -> Provisioning:
    """Return the provisioning in ACCEPTED after a submission that was resolved in this state."""
    submitting, submission = await ledger.begin_submission(accepted, make_owner(), "recorded")
    return await ledger.resolve_submission(
        submitting, make_owner(), "resolved", submission, state, new_status=Status.ACCEPTED, reasons=[REASON]
    )


@pytest.mark.parametrize("status", [Status.ACCEPTED, Status.REJECTED])
async def test_other_request_replaces_one_that_was_never_sent(
    ledger: Ledger, accepted: Provisioning, other: ProvisioningRequest, status: Status
) -> None:
    before = await reject(ledger, accepted) if status is Status.REJECTED else accepted
    replaced, is_new = await ledger.get_or_create(other, "ada-1", make_owner("run-2"))
    assert (replaced.id, is_new, replaced.status) == (accepted.id, False, Status.ACCEPTED)
    assert replaced.request.recordings[MediaRole.DATASET] == OTHER_VIDEO
    assert replaced.request_fingerprint == other.fingerprint
    assert (replaced.reasons, replaced.media_facts, replaced.flow_run_id) == ([], None, "run-2")
    assert replaced.version == before.version + 1
    event = (await ledger.list_events(accepted.id))[-1]
    assert (event.from_status, event.to_status, event.flow_run_id) == (status, Status.ACCEPTED, "run-2")


async def test_submissions_that_created_nothing_do_not_prevent_it(
    ledger: Ledger, accepted: Provisioning, other: ProvisioningRequest
) -> None:
    not_created = await resolve(ledger, accepted, SubmissionState.NOT_CREATED)
    replaced, _ = await ledger.get_or_create(other, "ada-1", make_owner())
    assert replaced.request_fingerprint == other.fingerprint
    _, submission = await ledger.begin_submission(replaced, make_owner(), "recorded")
    fingerprints = [item.request_fingerprint for item in await ledger.list_submissions(accepted.id)]
    assert fingerprints == [not_created.request_fingerprint, other.fingerprint]
    assert submission.ordinal == 2


async def test_lost_submission_prevents_a_replacement(
    ledger: Ledger, accepted: Provisioning, other: ProvisioningRequest
) -> None:
    lost = await resolve(ledger, accepted, SubmissionState.LOST)
    with pytest.raises(ReferenceConflict):
        await ledger.get_or_create(other, "ada-1", make_owner())
    assert await ledger.get("ada-1") == lost


async def test_owner_that_read_the_earlier_request_cannot_submit(
    ledger: Ledger, accepted: Provisioning, other: ProvisioningRequest
) -> None:
    await ledger.get_or_create(other, "ada-1", make_owner())
    with pytest.raises(StaleVersion):
        await ledger.begin_submission(accepted, make_owner(), "recorded")
    assert await ledger.list_submissions(accepted.id) == []


async def test_restarted_run_does_not_undo_renewed_urls(
    ledger: Ledger, provisioning_request: ProvisioningRequest
) -> None:
    await ledger.get_or_create(provisioning_request, "ada-1", make_owner("run-1"))
    signed_again = f"{provisioning_request.dataset_video}?X-Amz-Signature=2"
    renewed = provisioning_request.model_copy(update={"dataset_video": signed_again})
    await ledger.get_or_create(renewed, "ada-1", make_owner("run-2"))
    attached, _ = await ledger.get_or_create(provisioning_request, "ada-1", make_owner("run-1"))
    assert attached.request.recordings[MediaRole.DATASET] == signed_again


async def test_race_of_replacement_and_submission_has_one_winner(
    ledger: Ledger, provisioning_request: ProvisioningRequest, other: ProvisioningRequest
) -> None:
    for number in range(10):
        opened, _ = await ledger.get_or_create(provisioning_request, f"race-{number}", make_owner())
        replaced, submitted = await asyncio.gather(
            ledger.get_or_create(other, opened.reference, make_owner()),
            ledger.begin_submission(opened, make_owner(), "recorded"),
            return_exceptions=True,
        )
        assert isinstance(replaced, ReferenceConflict) is not isinstance(submitted, StaleVersion)
        current = await ledger.get(opened.id)
        fingerprints = {item.request_fingerprint for item in await ledger.list_submissions(opened.id)}
        assert fingerprints <= {current.request_fingerprint}
        assert (current.status is Status.SUBMITTING) is bool(fingerprints)


async def test_restarted_run_does_not_undo_a_replacement(
    ledger: Ledger, provisioning_request: ProvisioningRequest, other: ProvisioningRequest
) -> None:
    await ledger.get_or_create(provisioning_request, "ada-1", make_owner("run-1"))
    replaced, _ = await ledger.get_or_create(other, "ada-1", make_owner("run-2"))
    with pytest.raises(ReferenceConflict):
        await ledger.get_or_create(provisioning_request, "ada-1", make_owner("run-1"))
    assert await ledger.get("ada-1") == replaced


async def test_caller_reopens_once(ledger: Ledger, accepted: Provisioning) -> None:
    for number in range(2):
        rejected = await reject(ledger, accepted if number == 0 else await ledger.get("ada-1"))
        caller = make_owner("run-2")
        result = await ledger.reopen(rejected, caller, CallerAction.RETRY, "retried", Status.ACCEPTED)
        assert result.status is (Status.ACCEPTED if number == 0 else Status.REJECTED)
        assert await ledger.has_called(accepted.id, caller, CallerAction.RETRY)
        if number == 0:
            assert (result.reasons, result.media_facts, result.flow_run_id) == ([], None, "run-2")
    messages = [event.message for event in await ledger.list_events(accepted.id)]
    assert messages.count("retried") == 1


async def test_two_callers_reopen_once_between_them(ledger: Ledger, accepted: Provisioning) -> None:
    rejected = await reject(ledger, accepted)
    results = await asyncio.gather(
        *(ledger.reopen(rejected, make_owner(), CallerAction.RETRY, "retried", Status.ACCEPTED) for _ in range(5)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, StaleVersion) for result in results) == 4


async def test_erased_one_is_neither_replaced_nor_reopened(
    ledger: Ledger, accepted: Provisioning, other: ProvisioningRequest, clock: FakeClock
) -> None:
    rejected = await reject(ledger, accepted)
    await erase(ledger.database, clock, rejected, make_owner(), "erased")
    erased = await ledger.get("ada-1")
    with pytest.raises(ReferenceConflict):
        await ledger.get_or_create(other, "ada-1", make_owner())
    with pytest.raises(ProvisioningErased):
        await ledger.reopen(erased, make_owner(), CallerAction.RETRY, "retried", Status.ACCEPTED)
    assert await ledger.get("ada-1") == erased


async def test_first_404_is_stored_until_it_is_cleared(
    ledger: Ledger, accepted: Provisioning, owner: LeaseOwner, clock: FakeClock
) -> None:
    submitting, submission = await ledger.begin_submission(accepted, owner, "recorded")
    await ledger.record_not_found([accepted.id], clock.now())
    assert (await ledger.get("ada-1")).not_found_since is None
    training = await ledger.resolve_submission(
        submitting,
        owner,
        "created",
        submission,
        SubmissionState.CREATED,
        new_status=Status.TRAINING,
        avatar_id="a-1",
    )
    since = clock.now()
    for _ in range(2):
        await ledger.record_not_found([accepted.id], clock.now())
        clock.advance(60)
    stored = await ledger.get("ada-1")
    assert (stored.not_found_since, stored.version) == (since, training.version)
    assert await ledger.count_absences() == (1, 1)
    await ledger.clear_not_found([accepted.id])
    assert await ledger.count_absences() == (1, 0)
