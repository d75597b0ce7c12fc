"""A ledger that lost submissions continues with their avatars, and only with those of its own requests."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

import pytest
from starlette.responses import JSONResponse

from flows.engine.execution import InlineExecution
from flows.engine.state_machine import run_to_completion
from models.argil.avatar import Avatar
from models.attempts import RECOVERED, list_attempts
from models.errors import UnknownAvatars
from models.provisioning import Provisioning, Status, SubmissionState
from models.submission_ids import new_submission_id
from models.submission_resolution import Resolution, resolve_submissions
from services.submissions import build_create_request
from simulator.server import ArgilSimulator
from tests.provisioning_harness import ProvisioningHarness, ScriptedClock, SimulatorGateway, list_orphaned

LIST = "GET", "/v1/avatars"


async def create_lost(harness: ProvisioningHarness, provisioning: Provisioning, scenario: str = "") -> Avatar:
    """Create an avatar of this request whose submission the ledger does not have."""
    submission_id = new_submission_id(provisioning.reference, provisioning.request_fingerprint)
    body = build_create_request(provisioning.request, submission_id, provisioning.request.recordings)
    if scenario:
        body = body.model_copy(update={"extras": {**body.extras, "simulator": scenario}})
    return await harness.context.argil.create_avatar(body)


async def undecided(harness: ProvisioningHarness) -> int:
    return await harness.context.unknown_avatars.count_undecided()


async def test_reconciliation_continues_with_the_avatar_of_a_waiting_request(
    harness: ProvisioningHarness, argil: ArgilSimulator
) -> None:
    accepted = await harness.accepted()
    avatar = await create_lost(harness, accepted)
    await list_orphaned(harness.owner)
    current = await harness.reload(accepted)
    assert (current.status, current.avatar_id, current.reasons) == (Status.TRAINING, avatar.id, [])
    assert await harness.states(accepted) == [SubmissionState.CREATED]
    assert await undecided(harness) == 0
    submissions = await harness.context.ledger.list_submissions(accepted.id)
    events = await harness.context.ledger.list_events(accepted.id)
    assert [item.kind for item in resolve_submissions(submissions, events, []).values()] == [Resolution.RECOVERED]
    [attempt] = list_attempts(submissions, events)
    cause = f"{RECOVERED}: Argil has its avatar {avatar.id}"
    assert (attempt.requested_by, attempt.cause) == (events[-1].actor, cause)
    assert argil.account.count("GET /avatars") == 1
    assert argil.account.count(f"GET /avatars/{avatar.id}") == 0
    ended = await run_to_completion(current, harness.owner, None, InlineExecution())
    assert (ended.status, len(argil.account.posts)) == (Status.READY, 1)


async def test_run_continues_with_the_avatar_of_its_request(
    harness: ProvisioningHarness, argil: ArgilSimulator
) -> None:
    accepted = await harness.accepted()
    avatar = await create_lost(harness, accepted)
    ended = await run_to_completion(accepted, harness.owner, None, InlineExecution())
    assert (ended.status, ended.avatar_id) == (Status.READY, avatar.id)
    assert len(argil.account.posts) == 1


async def test_usable_avatar_is_preferred_and_the_other_is_a_duplicate(
    harness: ProvisioningHarness, clock: ScriptedClock, argil: ArgilSimulator
) -> None:
    accepted = await harness.accepted()
    failed = await create_lost(harness, accepted, "fail")
    usable = await create_lost(harness, accepted)
    clock.advance(1000)
    await list_orphaned(harness.owner)
    current = await harness.reload(accepted)
    assert (current.status, current.avatar_id) == (Status.TRAINING, usable.id)
    assert await harness.states(accepted) == [SubmissionState.CREATED, SubmissionState.LOST]
    [duplicate] = await harness.context.ledger.list_duplicates(accepted.id)
    assert duplicate.avatar_id == failed.id
    assert len(argil.account.posts) == 2


async def test_cancelled_one_gets_its_avatar_and_stays_cancelled(harness: ProvisioningHarness) -> None:
    accepted = await harness.accepted()
    cancelled = await harness.context.ledger.transition(
        accepted, harness.owner, "cancelled", new_status=Status.CANCELLED
    )
    avatar = await create_lost(harness, cancelled)
    await list_orphaned(harness.owner)
    current = await harness.reload(accepted)
    assert (current.status, current.avatar_id) == (Status.CANCELLED, avatar.id)


async def test_rejected_one_continues_with_it_after_a_retry(
    harness: ProvisioningHarness, argil: ArgilSimulator
) -> None:
    accepted = await harness.accepted()
    rejected = await harness.context.ledger.transition(
        accepted, harness.owner, "rejected", new_status=Status.REJECTED
    )
    avatar = await create_lost(harness, rejected)
    await list_orphaned(harness.owner)
    rejected = await harness.reload(accepted)
    assert (rejected.status, await undecided(harness)) == (Status.REJECTED, 0)
    accepted = await harness.context.ledger.transition(
        rejected, harness.owner, "retried", new_status=Status.ACCEPTED
    )
    ended = await run_to_completion(accepted, harness.owner, None, InlineExecution())
    assert (ended.status, ended.avatar_id, len(argil.account.posts)) == (Status.READY, avatar.id, 1)


@pytest.mark.parametrize("changed", ["reference", "request", "earlier version"])
async def test_avatar_of_another_request_still_stops_submissions(
    harness: ProvisioningHarness, argil: ArgilSimulator, changed: str
) -> None:
    accepted = await harness.accepted()
    reference = "ada-2" if changed == "reference" else accepted.reference
    fingerprint = "0" * 64 if changed == "request" else accepted.request_fingerprint
    is_earlier = changed == "earlier version"
    submission_id = str(uuid.uuid4()) if is_earlier else new_submission_id(reference, fingerprint)
    request = accepted.request
    await harness.context.argil.create_avatar(build_create_request(request, submission_id, request.recordings))
    await list_orphaned(harness.owner)
    with pytest.raises(UnknownAvatars):
        await run_to_completion(accepted, harness.owner, None, InlineExecution())
    assert (await harness.reload(accepted)).status is Status.ACCEPTED
    assert (await undecided(harness), len(argil.account.posts)) == (1, 1)


async def test_ignored_avatar_is_left_as_it_is(harness: ProvisioningHarness) -> None:
    accepted = await harness.accepted()
    await create_lost(harness, accepted)
    await harness.context.argil.list_account()
    await harness.context.unknown_avatars.ignore_all("a person")
    await list_orphaned(harness.owner)
    current = await harness.reload(accepted)
    assert (current.status, current.submission_count) == (Status.ACCEPTED, 0)


@pytest.mark.parametrize("answer", ["404", "another key", "500"])
async def test_avatar_that_argil_does_not_confirm_is_not_recovered(
    harness: ProvisioningHarness, argil: ArgilSimulator, gateway: SimulatorGateway, answer: str
) -> None:
    accepted = await harness.accepted()
    avatar = await create_lost(harness, accepted)
    await harness.context.argil.list_account()
    other = {**avatar.raw, "extras": {"submission_id": str(uuid.uuid4())}}
    gateway.canned_responses["GET", f"/v1/avatars/{avatar.id}"] = [
        {
            "404": JSONResponse({"code": 404, "message": "Avatar not found"}, status_code=404),
            "another key": JSONResponse(other),
            "500": JSONResponse({}, status_code=500),
        }[answer]
    ]
    with pytest.raises(UnknownAvatars):
        await run_to_completion(accepted, harness.owner, None, InlineExecution())
    assert (await harness.reload(accepted)).status is Status.ACCEPTED
    assert len(argil.account.posts) == 1


async def test_avatar_without_usable_id_stays_unknown(
    harness: ProvisioningHarness, gateway: SimulatorGateway
) -> None:
    accepted = await harness.accepted()
    submission_id = new_submission_id(accepted.reference, accepted.request_fingerprint)
    item = {"id": None, "status": "IDLE", "extras": {"submission_id": submission_id}}
    gateway.canned_responses[LIST] = [JSONResponse([item])]
    await list_orphaned(harness.owner)
    assert (await harness.reload(accepted)).status is Status.ACCEPTED
    assert await undecided(harness) == 1


async def test_request_that_is_replaced_meanwhile_does_not_get_the_avatar(
    harness: ProvisioningHarness, gateway: SimulatorGateway, ledger_file: Path
) -> None:
    """The fingerprint changes between the search of the ledger and the record, while Argil is asked."""
    accepted = await harness.accepted()
    avatar = await create_lost(harness, accepted)
    await harness.context.argil.list_account()
    gateway.canned_responses[LIST] = [JSONResponse([])]
    gateway.canned_responses[LIST][0].headers["x-total-count"] = "1"

    def replace(method: str, path: str) -> None:
        if path.endswith(avatar.id):
            with closing(sqlite3.connect(ledger_file)) as connection, connection:
                connection.execute("UPDATE provisionings SET request_fingerprint = ?", ["0" * 64])

    gateway.on_request = replace
    await list_orphaned(harness.owner)
    current = await harness.reload(accepted)
    assert (current.status, current.submission_count) == (Status.ACCEPTED, 0)
    assert await undecided(harness) == 1
