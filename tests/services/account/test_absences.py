"""404 for known avatars: a gateway or a wrong key makes none vanish; one that is gone does, and may return."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.responses import JSONResponse, Response

from clients.training_monitor import MonitorResult
from models.errors import AvatarsMissing, StaleVersion
from models.provisioning import LeaseOwner, Provisioning, Status
from models.reason import Reason
from simulator.server import ArgilSimulator
from store.erasure import erase
from tasks.await_training import await_training
from tasks.record_absence import record_absence
from tasks.reopen_provisioning import reopen_provisioning
from tests.provisioning_harness import ProvisioningHarness, ScriptedClock, SimulatorGateway, list_orphaned

GONE_AFTER = 60.0
NOT_FOUND = json.dumps({"code": 404, "message": "no such avatar"})

pytestmark = pytest.mark.parametrize(
    "changes", [{"avatars_gone_after_seconds": GONE_AFTER, "avatars_training_timeout_seconds": 1e6}]
)


def not_found() -> Response:
    return Response(NOT_FOUND, status_code=404, media_type="application/json")


async def train(harness: ProvisioningHarness, count: int, scenario: str = "never") -> list[Provisioning]:
    return [await harness.submitted(scenario, reference=f"ada-{n}", name=f"Ada {n}") for n in range(count)]


def hide(gateway: SimulatorGateway, provisionings: list[Provisioning], *, polls: int, lists: int) -> None:
    """Answer 404 for these avatars, and with an account list that has another avatar only."""
    for provisioning in provisionings:
        gateway.canned_responses["GET", f"/v1/avatars/{provisioning.avatar_id}"] = [
            not_found() for _ in range(polls)
        ]
    gateway.canned_responses["GET", "/v1/avatars"] = [
        JSONResponse([{"id": "another", "status": "IDLE"}]) for _ in range(lists)
    ]


async def release(harness: ProvisioningHarness, provisionings: list[Provisioning], clock: ScriptedClock) -> None:
    for provisioning in provisionings:
        await harness.context.leases.release(provisioning.id, harness.owner)
    clock.advance(30)


async def test_gone_avatar_is_found_by_reconciliation_after_the_span(
    harness: ProvisioningHarness, clock: ScriptedClock, gateway: SimulatorGateway
) -> None:
    gone, *_ = trained = await train(harness, 3)
    await release(harness, trained, clock)
    for seconds, expected in ((0, []), (GONE_AFTER - 1, []), (1, [gone.id])):
        clock.advance(seconds)
        hide(gateway, [gone], polls=1, lists=0)
        listed = [
            avatar.raw for avatar in await harness.context.argil.list_avatars() if avatar.id != gone.avatar_id
        ]
        gateway.canned_responses["GET", "/v1/avatars"] = [Response(json.dumps(listed))]
        assert [item.id for item in await list_orphaned(harness.owner)] == expected
    assert (await harness.reload(gone)).not_found_since is not None


async def test_one_gone_avatar_vanishes_and_returns(
    harness: ProvisioningHarness, clock: ScriptedClock, gateway: SimulatorGateway
) -> None:
    [training] = await train(harness, 1)
    hide(gateway, [training], polls=100, lists=1)
    current, result = await await_training.fn(training, harness.owner, None)
    assert result is MonitorResult.NOT_FOUND
    vanished = await record_absence.fn(current, harness.owner)
    assert vanished.status is Status.VANISHED
    gateway.canned_responses.clear()
    await release(harness, [vanished], clock)
    [found] = await list_orphaned(harness.owner)
    reopened = await reopen_provisioning.fn(found, harness.owner)
    assert (reopened.status, reopened.not_found_since) == (Status.TRAINING, None)


@pytest.mark.parametrize("lists", [0, 9], ids=["gateway", "other workspace"])
async def test_mass_absence_makes_none_vanish(
    harness: ProvisioningHarness, clock: ScriptedClock, gateway: SimulatorGateway, lists: int
) -> None:
    trained = await train(harness, 4)
    await release(harness, trained, clock)
    for _ in range(3):
        hide(gateway, trained, polls=2, lists=lists)
        if not lists:
            gateway.canned_responses["GET", "/v1/avatars"] = [not_found(), not_found()]
        assert await list_orphaned(harness.owner) == []
        clock.advance(GONE_AFTER)
    absent = await harness.reload(trained[0])
    with pytest.raises(AvatarsMissing, match="404 for more than half"):
        await record_absence.fn(absent, harness.owner)
    gateway.canned_responses.clear()
    assert await list_orphaned(harness.owner) == []
    assert await harness.context.ledger.count_absences() == (4, 0)
    assert {(await harness.reload(item)).status for item in trained} == {Status.TRAINING}


async def test_reason_of_a_mass_absence_is_stored_once_and_cleared(
    harness: ProvisioningHarness, clock: ScriptedClock, gateway: SimulatorGateway
) -> None:
    trained = await train(harness, 3)
    await release(harness, trained, clock)
    for expected in ([], ["argil.avatars-missing"], ["argil.avatars-missing"]):
        hide(gateway, trained, polls=1, lists=1)
        await list_orphaned(harness.owner)
        absent = await harness.reload(trained[0])
        assert [reason.code for reason in absent.reasons] == expected
        clock.advance(GONE_AFTER)
    messages = await harness.event_messages(absent)
    assert sum("answers 404" in message for message in messages) == 1
    await list_orphaned(harness.owner)
    assert (await harness.reload(absent)).reasons == []


async def test_gateway_that_recovers_during_a_pass_makes_none_vanish(
    harness: ProvisioningHarness, clock: ScriptedClock, gateway: SimulatorGateway
) -> None:
    trained = await train(harness, 4)
    await release(harness, trained, clock)
    hide(gateway, trained, polls=1, lists=1)
    await list_orphaned(harness.owner)
    clock.advance(GONE_AFTER)
    hide(gateway, trained[:1], polls=1, lists=1)
    assert await list_orphaned(harness.owner) == []
    assert await harness.context.ledger.count_absences() == (4, 1)


@pytest.mark.parametrize("lists", [1, 0], ids=["other workspace", "gateway"])
async def test_deadline_ends_a_training_in_a_mass_absence(
    harness: ProvisioningHarness, clock: ScriptedClock, gateway: SimulatorGateway, lists: int
) -> None:
    trained = await train(harness, 3)
    await harness.context.ledger.record_not_found([item.id for item in trained], clock.now())
    clock.advance(1e6)
    hide(gateway, trained, polls=0, lists=lists)
    absent = await harness.reload(trained[0])
    assert (await record_absence.fn(absent, harness.owner)).status is Status.TIMED_OUT


async def test_gone_avatars_share_one_list_call(
    harness: ProvisioningHarness, clock: ScriptedClock, gateway: SimulatorGateway
) -> None:
    gone = (await train(harness, 9))[:4]
    await harness.context.ledger.record_not_found([item.id for item in gone], clock.now())
    clock.advance(GONE_AFTER)
    hide(gateway, gone, polls=0, lists=1)
    calls: list[tuple[str, str]] = []
    gateway.on_request = lambda *request: calls.append(request)
    absent = [await harness.reload(item) for item in gone]
    vanished = await asyncio.gather(*(record_absence.fn(item, harness.owner) for item in absent))
    assert {item.status for item in vanished} == {Status.VANISHED}
    assert calls == [("GET", "/v1/avatars")]


async def test_resume_overtakes_a_decision_in_progress(
    harness: ProvisioningHarness, clock: ScriptedClock, other_owner: LeaseOwner
) -> None:
    [training] = await train(harness, 1)
    await harness.context.ledger.record_not_found([training.id], clock.now())
    absent = await harness.reload(training)
    resumed = await reopen_provisioning.fn(absent, other_owner, "Ada: the gateway is repaired", by_person=True)
    assert (resumed.status, resumed.avatar_id, resumed.not_found_since) == (
        Status.TRAINING,
        training.avatar_id,
        None,
    )
    with pytest.raises(StaleVersion):
        await harness.context.ledger.transition(absent, harness.owner, "gone", new_status=Status.VANISHED)
    assert (await harness.event_messages(training))[-1].endswith("Ada: the gateway is repaired")
    assert await reopen_provisioning.fn(resumed, other_owner, by_person=True) == resumed


async def test_resume_during_the_span_starts_it_again(harness: ProvisioningHarness, clock: ScriptedClock) -> None:
    [training] = await train(harness, 1)
    await harness.context.ledger.record_not_found([training.id], clock.now())
    absent = await harness.reload(training)
    await harness.context.ledger.clear_not_found([training.id])
    clock.advance(GONE_AFTER)
    kept = await record_absence.fn(absent, harness.owner)
    assert (kept.status, kept.not_found_since) == (Status.TRAINING, None)


async def test_erased_one_that_is_listed_again_stays_vanished(
    harness: ProvisioningHarness, clock: ScriptedClock
) -> None:
    [training] = await train(harness, 1)
    vanished = await harness.context.ledger.transition(training, harness.owner, "gone", new_status=Status.VANISHED)
    await erase(harness.context.ledger.database, clock, vanished, harness.owner, "erased")
    await release(harness, [vanished], clock)
    assert await list_orphaned(harness.owner) == []


async def test_poll_clears_the_reason_of_an_operational_error(harness: ProvisioningHarness) -> None:
    [training] = await train(harness, 1)
    blocked = await harness.context.ledger.transition(
        training, harness.owner, "401", reasons=[Reason(code="argil.unauthorized", message="401")]
    )
    polled, _ = await await_training.fn(blocked, harness.owner, 0.0)
    assert polled.reasons == []


async def test_stored_404_survives_the_process(
    harness: ProvisioningHarness, clock: ScriptedClock, gateway: SimulatorGateway
) -> None:
    [training] = await train(harness, 1)
    hide(gateway, [training], polls=2, lists=0)
    _, result = await await_training.fn(training, harness.owner, 0.0)
    assert result is MonitorResult.STILL_TRAINING
    stored = await harness.reload(training)
    assert (since := stored.not_found_since) is not None
    clock.advance(GONE_AFTER)
    current, result = await await_training.fn(stored, harness.owner, 0.0)
    assert (result, current.not_found_since) == (MonitorResult.NOT_FOUND, since)


async def test_answer_with_the_avatar_clears_the_404(
    harness: ProvisioningHarness, gateway: SimulatorGateway
) -> None:
    [training] = await train(harness, 1)
    hide(gateway, [training], polls=1, lists=0)
    current, _ = await await_training.fn(training, harness.owner, 40.0)
    assert current.not_found_since is None
    assert (await harness.reload(training)).not_found_since is None


async def test_listed_avatar_does_not_vanish(
    harness: ProvisioningHarness, clock: ScriptedClock, argil: ArgilSimulator
) -> None:
    [training] = await train(harness, 1)
    await harness.context.ledger.record_not_found([training.id], clock.now())
    clock.advance(GONE_AFTER)
    kept = await record_absence.fn(await harness.reload(training), harness.owner)
    assert (kept.status, kept.not_found_since) == (Status.TRAINING, None)
    assert len(argil.account.posts) == 1


@pytest.mark.parametrize(
    "response",
    [
        Response(status_code=502),
        not_found(),
        Response("[]", media_type="application/json", headers={"x-total-count": "9"}),
    ],
    ids=["failed", "404", "one page"],
)
async def test_list_that_proves_nothing_is_operational(
    harness: ProvisioningHarness, clock: ScriptedClock, gateway: SimulatorGateway, response: Response
) -> None:
    [training] = await train(harness, 1)
    await harness.context.ledger.record_not_found([training.id], clock.now())
    clock.advance(GONE_AFTER)
    gateway.canned_responses["GET", "/v1/avatars"] = [response]
    absent = await harness.reload(training)
    with pytest.raises(AvatarsMissing):
        await record_absence.fn(absent, harness.owner)
    assert await harness.reload(training) == absent
