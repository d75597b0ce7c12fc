"""The create: its intent is on record before it leaves, it leaves once, and every answer is recorded."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from models.errors import (
    ArgilBusy,
    ArgilPaymentRequired,
    ArgilUnauthorized,
    ArgilUnavailable,
    ArgilUnreachable,
    LeaseHeld,
    StaleVersion,
)
from models.provisioning import Driver, Status, SubmissionState
from models.request import ProvisioningRequest
from simulator.server import ArgilSimulator
from tasks.submit_avatar import create_request, submit_avatar
from tests.tasks.conftest import LEASE_SECONDS, Desk, EventfulClock, Gate

SEED = {"name", "datasetVideo", "consentVideo", "extras"}
NOWHERE = "http://127.0.0.1:9/v1"


async def test_the_intent_is_on_record_before_the_post_arrives(desk: Desk, gate: Gate, ledger_file: Path) -> None:
    seen: list[tuple[str, str]] = []

    def look(method: str, path: str) -> None:
        assert (method, path) == ("POST", "/v1/avatars")
        with closing(sqlite3.connect(ledger_file)) as connection:
            seen.extend(
                connection.execute(
                    "SELECT p.status, s.state FROM provisionings p JOIN submissions s ON s.provisioning_id = p.id"
                )
            )

    gate.on_request = look
    await desk.submitted()
    assert seen == [("SUBMITTING", "PENDING")]


async def test_a_taken_create_is_in_training_with_its_avatar(desk: Desk, argil: ArgilSimulator) -> None:
    training = await desk.submitted()
    [avatar] = argil.world.avatars
    [submission] = await desk.submissions(training)
    assert training.status is Status.TRAINING
    assert (training.avatar_id, training.raw_status) == (avatar["id"], "NOT_TRAINED")
    assert training.avatar is not None
    assert training.avatar["id"] == avatar["id"]
    assert (submission.state, submission.avatar_id) == (SubmissionState.TAKEN, avatar["id"])
    assert avatar["extras"] == {"submission_id": submission.id}
    assert await desk.now(training) == training


async def test_every_step_is_an_event_of_its_submission(desk: Desk) -> None:
    training = await desk.submitted()
    [submission] = await desk.submissions(training)
    _, intent, taken = await desk.events(training)
    assert (intent.from_status, intent.to_status) == (Status.ACCEPTED, Status.SUBMITTING)
    assert (taken.from_status, taken.to_status) == (Status.SUBMITTING, Status.TRAINING)
    assert intent.submission_id == taken.submission_id == submission.id
    assert taken.raw_status == "NOT_TRAINED"
    assert training.avatar_id is not None
    assert training.avatar_id in taken.why


async def test_the_body_is_the_requests_with_our_key_and_nothing_else(
    desk: Desk, argil: ArgilSimulator, request_of_ada: ProvisioningRequest
) -> None:
    submitted = await desk.submitted(extras={"team": "blue", "x": ""}, reference="ada-1")
    [submission] = await desk.submissions(submitted)
    [body] = argil.world.posts
    assert set(body) == SEED
    assert body == {
        "name": "Ada",
        "datasetVideo": {"url": request_of_ada.dataset_video},
        "consentVideo": {"url": request_of_ada.consent_video},
        "extras": {"team": "blue", "x": "", "submission_id": submission.id},
    }


def test_our_key_stands_above_anything_else_of_its_name(request_of_ada: ProvisioningRequest) -> None:
    smuggled = request_of_ada.model_copy(update={"extras": {"submission_id": "mine"}})
    assert create_request(smuggled, "s-1").extras == {"submission_id": "s-1"}


# By scenario: where it leads, what became of the submission, its HTTP status, POSTs that arrived, avatars made.
ANSWERS: dict[str, tuple[Status, SubmissionState, int | None, int, int]] = {
    "": (Status.TRAINING, SubmissionState.TAKEN, None, 1, 1),
    "unknown-status": (Status.TRAINING, SubmissionState.TAKEN, None, 1, 1),
    "rate-limited": (Status.TRAINING, SubmissionState.TAKEN, None, 3, 1),
    "unavailable": (Status.TRAINING, SubmissionState.TAKEN, None, 3, 1),
    "unavailable-bare": (Status.SUBMITTING, SubmissionState.UNKNOWN, None, 1, 0),
    "error-after-create": (Status.SUBMITTING, SubmissionState.UNKNOWN, None, 1, 1),
    "cut-after-create": (Status.SUBMITTING, SubmissionState.UNKNOWN, None, 1, 1),
    "cut-before-create": (Status.SUBMITTING, SubmissionState.UNKNOWN, None, 1, 0),
    "garbled": (Status.SUBMITTING, SubmissionState.UNKNOWN, None, 1, 1),
    "invalid": (Status.SUBMISSION_FAILED, SubmissionState.NOT_TAKEN, 422, 1, 0),
    "no-such-scenario": (Status.SUBMISSION_FAILED, SubmissionState.NOT_TAKEN, 400, 1, 0),
}


@pytest.mark.parametrize("scenario", ANSWERS)
async def test_each_answer_leads_where_it_must(desk: Desk, argil: ArgilSimulator, scenario: str) -> None:
    status, state, http_status, arrived, made = ANSWERS[scenario]
    submitted = await desk.submitted(scenario)
    [submission] = await desk.submissions(submitted)
    assert submitted.status is status
    assert (submission.state, submission.http_status) == (state, http_status)
    assert len(argil.world.posts) == arrived
    assert len(argil.world.avatars) == made
    assert await desk.now(submitted) == submitted


async def test_what_argil_refuses_keeps_its_answer_and_the_reason(desk: Desk) -> None:
    failed = await desk.submitted("invalid")
    [submission] = await desk.submissions(failed)
    assert submission.answer == {"code": 422, "message": "simulated failure"}
    [reason] = failed.reasons
    assert reason.code == "argil.refused-request"
    assert "422: simulated failure" in reason.message


@pytest.mark.parametrize(
    ("changes", "timing", "scenario", "error", "arrived"),
    [
        ({}, {}, "payment-required", ArgilPaymentRequired, 1),
        ({}, {"retry_after_seconds": 100.0}, "rate-limited", ArgilBusy, 2),
        ({}, {"retry_after_seconds": 100.0}, "unavailable", ArgilBusy, 2),
        ({"argil_api_key": "wrong"}, {}, "", ArgilUnauthorized, 0),
        ({"argil_api_url": NOWHERE}, {}, "", ArgilUnreachable, 0),
    ],
)
async def test_what_the_operator_must_mend_leaves_it_accepted_with_the_reason(
    desk: Desk, argil: ArgilSimulator, scenario: str, error: type[ArgilUnavailable], arrived: int
) -> None:
    accepted = await desk.accepted(scenario)
    with pytest.raises(error) as caught:
        await submit_avatar.fn(accepted, desk.driver)
    now = await desk.now(accepted)
    assert now.status is Status.ACCEPTED
    assert now.avatar_id is None
    [reason] = now.reasons
    assert (reason.code, reason.message, reason.hint) == (error.code, caught.value.message, caught.value.hint)
    assert "avatars" in reason.hint
    assert await desk.states(now) == [SubmissionState.NOT_TAKEN]
    assert len(argil.world.posts) == arrived
    assert argil.world.avatars == []


async def test_once_mended_it_is_submitted_as_a_new_submission_without_the_old_reason(
    desk: Desk, argil: ArgilSimulator, gate: Gate
) -> None:
    gate.answers["POST", "/v1/avatars"] = [Response(status_code=402)]
    accepted = await desk.accepted()
    with pytest.raises(ArgilPaymentRequired):
        await submit_avatar.fn(accepted, desk.driver)
    training = await submit_avatar.fn(await desk.now(accepted), desk.driver)
    assert training.status is Status.TRAINING
    assert training.reasons == []
    assert await desk.states(training) == [SubmissionState.NOT_TAKEN, SubmissionState.TAKEN]
    assert [submission.ordinal for submission in await desk.submissions(training)] == [1, 2]
    assert len(argil.world.avatars) == 1


async def test_the_training_counts_from_when_the_create_was_recorded(desk: Desk, clock: EventfulClock) -> None:
    began = clock.now()
    training = await desk.submitted("rate-limited")
    assert training.training_since == began
    assert clock.now() > began + timedelta(seconds=13)


async def test_no_signature_is_kept_beside_the_request_itself(
    desk: Desk, gate: Gate, request_of_ada: ProvisioningRequest
) -> None:
    echo = f"cannot fetch {request_of_ada.dataset_video}, key canary-key"
    gate.answers["POST", "/v1/avatars"] = [Response(echo, status_code=422)]
    failed = await desk.submitted()
    assert failed.status is Status.SUBMISSION_FAILED
    kept = [*await desk.events(failed), *await desk.submissions(failed), *failed.reasons]
    assert "canary" not in "".join(one.model_dump_json() for one in kept)
    assert "https://videos.example/ada/dataset.mp4?…" in failed.reasons[0].message


# A driver that is one no more


async def test_without_the_lease_nothing_is_sent(desk: Desk, argil: ArgilSimulator, other: Driver) -> None:
    accepted = await desk.accepted()
    with pytest.raises(LeaseHeld):
        await submit_avatar.fn(accepted, other)
    assert argil.world.posts == []


async def test_a_driver_that_was_overtaken_sends_nothing(
    desk: Desk, argil: ArgilSimulator, clock: EventfulClock, other: Driver
) -> None:
    accepted = await desk.accepted()
    clock.pass_(LEASE_SECONDS)
    await desk.active.leases.claim(accepted.id, other, desk.active.lease)
    with pytest.raises(StaleVersion):
        await submit_avatar.fn(accepted, desk.driver)
    assert argil.world.posts == []
    assert await desk.submissions(accepted) == []


async def test_a_driver_that_is_overtaken_while_it_waits_sends_nothing_more(
    desk: Desk, argil: ArgilSimulator, clock: EventfulClock, other: Driver
) -> None:
    accepted = await desk.accepted("rate-limited")

    async def overtake() -> None:
        clock.pass_(LEASE_SECONDS)
        await desk.active.leases.claim(accepted.id, other, desk.active.lease)

    clock.meanwhile.append(overtake)
    with pytest.raises(LeaseHeld):
        await submit_avatar.fn(accepted, desk.driver)
    assert len(argil.world.posts) == 1
    assert (await desk.now(accepted)).status is Status.SUBMITTING
    assert await desk.states(accepted) == [SubmissionState.PENDING]


async def test_the_lease_is_renewed_before_each_sending(
    desk: Desk, argil: ArgilSimulator, clock: EventfulClock, other: Driver
) -> None:
    """With waits of 7 s each the lease of 30 s is renewed twice."""
    training = await desk.submitted("rate-limited")
    assert len(argil.world.posts) == 3
    clock.pass_(LEASE_SECONDS - 1)
    with pytest.raises(LeaseHeld):
        await desk.active.leases.claim(training.id, other, desk.active.lease)


async def test_a_provisioning_that_is_cancelled_while_its_create_waits_is_not_sent(
    desk: Desk, argil: ArgilSimulator, clock: EventfulClock
) -> None:
    accepted = await desk.accepted("rate-limited")

    async def cancel() -> None:
        seen = await desk.now(accepted)
        await desk.active.ledger.record(seen, desk.driver, "cancelled by Eve", to=Status.CANCELLED)

    clock.meanwhile.append(cancel)
    with pytest.raises(LeaseHeld):
        await submit_avatar.fn(accepted, desk.driver)
    assert (await desk.now(accepted)).status is Status.CANCELLED
    assert argil.world.avatars == []
    assert await desk.states(accepted) == [SubmissionState.PENDING]


async def test_two_provisionings_are_two_creates(desk: Desk, argil: ArgilSimulator) -> None:
    made: list[Any] = [await desk.submitted(reference=f"ada-{number}") for number in range(2)]
    assert len({provisioning.avatar_id for provisioning in made}) == 2
    assert len(argil.world.avatars) == 2
