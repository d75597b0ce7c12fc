"""A submission is recorded before it is sent, and every response is recorded. Only a failed attempt is repeated."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from models.errors import (
    ArgilPaymentRequired,
    ArgilRateLimited,
    ArgilUnauthorized,
    ArgilUnavailable,
    ArgilUnreachable,
    LeaseLost,
    LeaseUnavailable,
    StaleVersion,
)
from models.provisioning import LeaseOwner, Status, SubmissionState
from models.request import ProvisioningRequest
from services.submissions import build_create_request
from simulator.server import ArgilSimulator
from tasks.submit_avatar import submit_avatar
from tests.provisioning_harness import LEASE_SECONDS, ProvisioningHarness, ScriptedClock, SimulatorGateway

SEED = {"name", "datasetVideo", "consentVideo", "extras"}
NOWHERE = "http://127.0.0.1:9/v1"


async def test_submission_is_recorded_before_the_post(
    harness: ProvisioningHarness, gateway: SimulatorGateway, ledger_file: Path
) -> None:
    rows: list[tuple[str, str]] = []

    def read_ledger(method: str, path: str) -> None:
        assert (method, path) == ("POST", "/v1/avatars")
        with closing(sqlite3.connect(ledger_file)) as connection:
            rows.extend(
                connection.execute(
                    "SELECT p.status, s.state FROM provisionings p JOIN submissions s ON s.provisioning_id = p.id"
                )
            )

    gateway.on_request = read_ledger
    await harness.submitted()
    assert rows == [("SUBMITTING", "PENDING")]


async def test_created_avatar_is_in_training(harness: ProvisioningHarness, argil: ArgilSimulator) -> None:
    training = await harness.submitted()
    [avatar] = argil.account.avatars
    [submission] = await harness.submissions(training)
    assert training.status is Status.TRAINING
    assert (training.avatar_id, training.raw_status) == (avatar["id"], "NOT_TRAINED")
    assert training.avatar_snapshot is not None
    assert training.avatar_snapshot["id"] == avatar["id"]
    assert (submission.state, submission.avatar_id) == (SubmissionState.CREATED, avatar["id"])
    assert avatar["extras"] == {"submission_id": submission.id}
    assert await harness.reload(training) == training


async def test_each_step_is_an_event_of_the_submission(harness: ProvisioningHarness) -> None:
    training = await harness.submitted()
    [submission] = await harness.submissions(training)
    _, recorded, created = await harness.events(training)
    assert (recorded.from_status, recorded.to_status) == (Status.ACCEPTED, Status.SUBMITTING)
    assert (created.from_status, created.to_status) == (Status.SUBMITTING, Status.TRAINING)
    assert recorded.submission_id == created.submission_id == submission.id
    assert created.raw_status == "NOT_TRAINED"
    assert training.avatar_id is not None
    assert training.avatar_id in created.message


async def test_body_has_only_the_request_and_the_submission_id(
    harness: ProvisioningHarness, argil: ArgilSimulator, provisioning_request: ProvisioningRequest
) -> None:
    submitted = await harness.submitted(extras={"team": "blue", "x": ""}, reference="ada-1")
    [submission] = await harness.submissions(submitted)
    [body] = argil.account.posts
    assert set(body) == SEED
    assert body == {
        "name": "Ada",
        "datasetVideo": {"url": provisioning_request.dataset_video},
        "consentVideo": {"url": provisioning_request.consent_video},
        "extras": {"team": "blue", "x": "", "submission_id": submission.id},
    }


def test_video_create_body_stays_byte_for_byte() -> None:
    request = ProvisioningRequest(
        name="Ada",
        dataset_video="https://videos.example/d.mp4?sig=1",
        consent_video="https://videos.example/c.mp4",
        extras={"team": "blue"},
    )
    body = build_create_request(request, "s-1", request.recordings).to_json()
    assert json.dumps(body) == (
        '{"name": "Ada", "datasetVideo": {"url": "https://videos.example/d.mp4?sig=1"}, '
        '"consentVideo": {"url": "https://videos.example/c.mp4"}, '
        '"extras": {"team": "blue", "submission_id": "s-1"}}'
    )


def test_submission_id_replaces_an_extra_of_that_name(provisioning_request: ProvisioningRequest) -> None:
    conflicting = provisioning_request.model_copy(update={"extras": {"submission_id": "caller"}})
    assert build_create_request(conflicting, "s-1", conflicting.recordings).extras == {"submission_id": "s-1"}


# By scenario: status, submission state, HTTP status, number of POSTs received, number of avatars created.
RESPONSES: dict[str, tuple[Status, SubmissionState, int | None, int, int]] = {
    "": (Status.TRAINING, SubmissionState.CREATED, None, 1, 1),
    "unknown-status": (Status.TRAINING, SubmissionState.CREATED, None, 1, 1),
    "rate-limited": (Status.TRAINING, SubmissionState.CREATED, None, 3, 1),
    "unavailable": (Status.TRAINING, SubmissionState.CREATED, None, 3, 1),
    "unavailable-bare": (Status.SUBMITTING, SubmissionState.UNKNOWN, None, 1, 0),
    "error-after-create": (Status.SUBMITTING, SubmissionState.UNKNOWN, None, 1, 1),
    "cut-after-create": (Status.SUBMITTING, SubmissionState.UNKNOWN, None, 1, 1),
    "cut-before-create": (Status.SUBMITTING, SubmissionState.UNKNOWN, None, 1, 0),
    "garbled": (Status.SUBMITTING, SubmissionState.UNKNOWN, None, 1, 1),
    "invalid": (Status.SUBMISSION_FAILED, SubmissionState.NOT_CREATED, 422, 1, 0),
    "no-such-scenario": (Status.SUBMISSION_FAILED, SubmissionState.NOT_CREATED, 400, 1, 0),
}


@pytest.mark.parametrize("scenario", RESPONSES)
async def test_each_response_is_recorded(
    harness: ProvisioningHarness, argil: ArgilSimulator, scenario: str
) -> None:
    status, state, http_status, post_count, avatar_count = RESPONSES[scenario]
    submitted = await harness.submitted(scenario)
    [submission] = await harness.submissions(submitted)
    assert submitted.status is status
    assert (submission.state, submission.http_status) == (state, http_status)
    assert len(argil.account.posts) == post_count
    assert len(argil.account.avatars) == avatar_count
    assert await harness.reload(submitted) == submitted


async def test_rejected_submission_keeps_response_and_reason(harness: ProvisioningHarness) -> None:
    failed = await harness.submitted("invalid")
    [submission] = await harness.submissions(failed)
    assert submission.response == {"code": 422, "message": "simulated failure"}
    [reason] = failed.reasons
    assert reason.code == "argil.submission-rejected"
    assert "422: simulated failure" in reason.message


@pytest.mark.parametrize(
    ("changes", "timing", "scenario", "error", "post_count"),
    [
        ({}, {}, "payment-required", ArgilPaymentRequired, 1),
        ({}, {"retry_after_seconds": 100.0}, "rate-limited", ArgilRateLimited, 2),
        ({}, {"retry_after_seconds": 100.0}, "unavailable", ArgilRateLimited, 2),
        ({"argil_api_key": "wrong"}, {}, "", ArgilUnauthorized, 0),
        ({"argil_api_url": NOWHERE}, {}, "", ArgilUnreachable, 0),
    ],
)
async def test_operational_error_leaves_it_accepted(
    harness: ProvisioningHarness,
    argil: ArgilSimulator,
    scenario: str,
    error: type[ArgilUnavailable],
    post_count: int,
) -> None:
    accepted = await harness.accepted(scenario)
    with pytest.raises(error) as caught:
        await submit_avatar.fn(accepted, harness.owner)
    current = await harness.reload(accepted)
    assert current.status is Status.ACCEPTED
    assert current.avatar_id is None
    [reason] = current.reasons
    assert (reason.code, reason.message, reason.hint) == (error.code, caught.value.message, caught.value.hint)
    assert "avatars" in reason.hint
    assert await harness.states(current) == [SubmissionState.NOT_CREATED]
    assert len(argil.account.posts) == post_count
    assert argil.account.avatars == []


async def test_retry_is_a_new_submission_without_the_old_reason(
    harness: ProvisioningHarness, argil: ArgilSimulator, gateway: SimulatorGateway
) -> None:
    gateway.canned_responses["POST", "/v1/avatars"] = [Response(status_code=401)]
    accepted = await harness.accepted()
    with pytest.raises(ArgilUnauthorized):
        await submit_avatar.fn(accepted, harness.owner)
    training = await submit_avatar.fn(await harness.reload(accepted), harness.owner)
    assert training.status is Status.TRAINING
    assert training.reasons == []
    assert await harness.states(training) == [SubmissionState.NOT_CREATED, SubmissionState.CREATED]
    assert [submission.ordinal for submission in await harness.submissions(training)] == [1, 2]
    assert len(argil.account.avatars) == 1


async def test_training_starts_when_the_submission_is_recorded(
    harness: ProvisioningHarness, clock: ScriptedClock
) -> None:
    started_at = clock.now()
    training = await harness.submitted("rate-limited")
    assert training.training_started_at == started_at
    assert clock.now() > started_at + timedelta(seconds=13)


async def test_url_signatures_are_stored_in_the_request_only(
    harness: ProvisioningHarness, gateway: SimulatorGateway, provisioning_request: ProvisioningRequest
) -> None:
    echo = {"code": 7, "message": f"cannot fetch {provisioning_request.dataset_video}, key canary-key"}
    gateway.canned_responses["POST", "/v1/avatars"] = [JSONResponse(echo, 422)]
    failed = await harness.submitted()
    assert failed.status is Status.SUBMISSION_FAILED
    stored = [*await harness.events(failed), *await harness.submissions(failed), *failed.reasons]
    assert "canary" not in "".join(record.model_dump_json() for record in stored)
    assert "https://videos.example/ada/dataset.mp4?…" in failed.reasons[0].message


# Lost leases


async def test_nothing_is_sent_without_the_lease(
    harness: ProvisioningHarness, argil: ArgilSimulator, other_owner: LeaseOwner
) -> None:
    accepted = await harness.accepted()
    with pytest.raises(LeaseLost):
        await submit_avatar.fn(accepted, other_owner)
    assert argil.account.posts == []


async def test_nothing_is_sent_after_a_take_over(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock, other_owner: LeaseOwner
) -> None:
    accepted = await harness.accepted()
    clock.advance(LEASE_SECONDS)
    await harness.context.leases.acquire(accepted.id, other_owner, harness.context.lease_duration)
    with pytest.raises(StaleVersion):
        await submit_avatar.fn(accepted, harness.owner)
    assert argil.account.posts == []
    assert await harness.submissions(accepted) == []


async def test_nothing_more_is_sent_after_a_take_over_in_a_retry(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock, other_owner: LeaseOwner
) -> None:
    accepted = await harness.accepted("rate-limited")

    async def take_over() -> None:
        clock.advance(LEASE_SECONDS)
        await harness.context.leases.acquire(accepted.id, other_owner, harness.context.lease_duration)

    clock.during_sleep.append(take_over)
    with pytest.raises(LeaseLost):
        await submit_avatar.fn(accepted, harness.owner)
    assert len(argil.account.posts) == 1
    assert (await harness.reload(accepted)).status is Status.SUBMITTING
    assert await harness.states(accepted) == [SubmissionState.PENDING]


async def test_lease_is_renewed_before_each_attempt(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock, other_owner: LeaseOwner
) -> None:
    """Each wait takes 7 seconds, so the lease of 30 seconds is renewed twice."""
    training = await harness.submitted("rate-limited")
    assert len(argil.account.posts) == 3
    clock.advance(LEASE_SECONDS - 1)
    with pytest.raises(LeaseUnavailable):
        await harness.context.leases.acquire(training.id, other_owner, harness.context.lease_duration)


async def test_cancel_during_a_retry_stops_the_submission(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock
) -> None:
    accepted = await harness.accepted("rate-limited")

    async def cancel() -> None:
        provisioning = await harness.reload(accepted)
        await harness.context.ledger.transition(
            provisioning, harness.owner, "a person cancelled it", new_status=Status.CANCELLED
        )

    clock.during_sleep.append(cancel)
    with pytest.raises(LeaseLost):
        await submit_avatar.fn(accepted, harness.owner)
    assert (await harness.reload(accepted)).status is Status.CANCELLED
    assert argil.account.avatars == []
    assert await harness.states(accepted) == [SubmissionState.PENDING]


async def test_two_provisionings_create_two_avatars(harness: ProvisioningHarness, argil: ArgilSimulator) -> None:
    provisionings: list[Any] = [await harness.submitted(reference=f"ada-{number}") for number in range(2)]
    assert len({provisioning.avatar_id for provisioning in provisionings}) == 2
    assert len(argil.account.avatars) == 2
