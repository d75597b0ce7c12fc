"""An account list without avatars proves nothing if Argil still has avatars that the ledger knows."""

from __future__ import annotations

import uuid

import pytest
from starlette.responses import Response

from models.errors import SubmissionUnresolved, UnknownAvatars
from models.provisioning import LeaseOwner, Provisioning, Status, SubmissionState
from services.account.unknown_avatars import RETRY_SECONDS
from services.submissions import build_create_request
from simulator.server import ArgilSimulator
from tests.provisioning_harness import TRAINING_SECONDS, ProvisioningHarness, ScriptedClock, SimulatorGateway

LIST = "GET", "/v1/avatars"


def empty_lists(count: int = 100) -> list[Response]:
    return [Response("[]", media_type="application/json") for _ in range(count)]


async def unresolved(harness: ProvisioningHarness) -> Provisioning:
    """Return a provisioning whose avatar exists, although its submission got no response."""
    return await harness.submitted("cut-after-create", reference="unresolved", name="Grace")


async def create_unknown(harness: ProvisioningHarness) -> str:
    request = build_create_request(harness.request, str(uuid.uuid4()), harness.request.recordings)
    return (await harness.context.argil.create_avatar(request)).id


def delete_all(argil: ArgilSimulator) -> None:
    """Delete every avatar, as a person can do at Argil."""
    argil.account._avatars.clear()  # Argil's API cannot delete avatars, nor can the simulator's


async def test_wrong_empty_list_does_not_prove_a_loss(
    harness: ProvisioningHarness, gateway: SimulatorGateway, argil: ArgilSimulator
) -> None:
    known = await harness.submitted()
    unknown = await unresolved(harness)
    gateway.canned_responses[LIST] = empty_lists()
    with pytest.raises(
        SubmissionUnresolved, match=f"the list is empty, although Argil has avatar {known.avatar_id}"
    ):
        await harness.resolve_submission(unknown)
    assert (await harness.reload(unknown)).status is Status.SUBMITTING
    gateway.canned_responses[LIST] = []
    assert (await harness.resolve_submission(await harness.reload(unknown))).status is Status.TRAINING
    assert len(argil.account.avatars) == 2


async def test_unreadable_avatar_leaves_an_empty_list_in_doubt(
    harness: ProvisioningHarness, gateway: SimulatorGateway
) -> None:
    known = await harness.submitted()
    gateway.canned_responses["GET", f"/v1/avatars/{known.avatar_id}"] = [Response(status_code=500)]
    gateway.canned_responses[LIST] = empty_lists(1)
    account = await harness.context.argil.list_account()
    assert "could not be read" in account.incomplete_because


async def test_empty_list_is_right_after_the_avatars_were_deleted(
    harness: ProvisioningHarness, gateway: SimulatorGateway, argil: ArgilSimulator
) -> None:
    await harness.submitted()
    lost = await harness.submitted("cut-before-create", reference="lost", name="Grace")
    delete_all(argil)
    requests: list[str] = []
    gateway.on_request = lambda method, path: requests.append(f"{method} {path}")
    assert (await harness.resolve_submission(lost)).status is Status.ACCEPTED
    assert await harness.states(lost) == [SubmissionState.LOST]
    assert len([request for request in requests if request != "GET /v1/avatars"]) == 1


async def test_empty_account_of_a_new_ledger_is_believed(
    harness: ProvisioningHarness, gateway: SimulatorGateway
) -> None:
    requests: list[str] = []
    gateway.on_request = lambda method, path: requests.append(f"{method} {path}")
    assert (await harness.context.argil.list_account()).incomplete_because == ""
    assert requests == ["GET /v1/avatars"]


async def test_wrong_empty_list_keeps_unknown_avatars(
    harness: ProvisioningHarness, gateway: SimulatorGateway, argil: ArgilSimulator
) -> None:
    """Also in a new ledger, which knows no other avatar."""
    avatar_id = await create_unknown(harness)
    context = harness.context
    await context.argil.list_account()
    gateway.canned_responses[LIST] = empty_lists(1)
    await context.argil.list_account()
    with pytest.raises(UnknownAvatars, match=avatar_id):
        await context.account_comparison.require_known_past(context.argil)
    delete_all(argil)
    await context.argil.list_account()
    await context.account_comparison.require_known_past(context.argil)


async def test_wrong_empty_list_shows_no_past(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock
) -> None:
    await harness.submitted()
    avatar_id = await create_unknown(harness)
    context = harness.context
    gateway.canned_responses[LIST] = empty_lists(1)
    await context.account_comparison.require_known_past(context.argil)  # as after a list call that failed
    clock.advance(RETRY_SECONDS)
    with pytest.raises(UnknownAvatars, match=avatar_id):
        await context.account_comparison.require_known_past(context.argil)


async def test_wrong_empty_list_lets_no_avatar_vanish(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock, other_owner: LeaseOwner
) -> None:
    await harness.submitted()
    account = await harness.context.argil.list_account()
    assert account.incomplete_because == ""
    clock.advance(TRAINING_SECONDS)
    gateway.canned_responses[LIST] = empty_lists(1)
    listed = await harness.context.shared_list.fetch(not_before=clock.now())
    assert "the list is empty" in listed.account.incomplete_because
