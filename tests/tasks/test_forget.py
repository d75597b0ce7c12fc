"""When a person may be forgotten, and that nothing goes on with what is left."""

from __future__ import annotations

import pytest

from models.errors import Forgotten, StillInFlight
from models.provisioning import Driver, Provisioning, Status
from tasks.cancel import cancel
from tasks.compare_account import compare_account
from tasks.find_provisioning import reopen_provisioning
from tasks.forget import forget
from tests.tasks.conftest import Desk, EventfulClock, unattended


async def forgotten(desk: Desk, seen: Provisioning) -> list[str]:
    return (await forget(desk.active.ledger, desk.active.clock, seen.id, desk.driver)).avatar_ids


async def test_in_flight_nobody_is_forgotten(desk: Desk) -> None:
    accepted = await desk.accepted()
    with pytest.raises(StillInFlight, match="ACCEPTED") as refused:
        await forgotten(desk, accepted)
    assert f"avatars cancel {accepted.id}" in refused.value.hint
    training = await desk.submitted_from(accepted)
    assert training.status is Status.TRAINING
    with pytest.raises(StillInFlight, match="TRAINING"):
        await forgotten(desk, training)
    assert (await desk.now(training)).forgotten_at is None


async def test_a_create_without_an_answer_is_found_out_first(desk: Desk) -> None:
    seen = await desk.submitted("cut-after-create")
    assert seen.status is Status.SUBMITTING
    cancelled = await cancel(desk.active.ledger, seen, desk.driver, "a person cancelled it")
    with pytest.raises(StillInFlight, match="outcome is not known") as refused:
        await forgotten(desk, cancelled)
    assert f"avatars resume {seen.id}" in refused.value.hint
    await compare_account(desk.active, await desk.active.argil.list_private(), desk.driver)
    assert len(await forgotten(desk, cancelled)) == 1


async def test_nothing_goes_on_with_what_was_forgotten(desk: Desk, clock: EventfulClock, other: Driver) -> None:
    training = await desk.submitted()
    cancelled = await cancel(desk.active.ledger, training, desk.driver, "a person cancelled it")
    assert await forgotten(desk, cancelled) == [training.avatar_id]
    now = await desk.now(cancelled)
    with pytest.raises(Forgotten):
        await reopen_provisioning.fn(now, other)
    clock.pass_(1000)
    # The training has ended at Argil since, which knows the name: it does not come back.
    assert await unattended(other) == []
    assert await desk.now(cancelled) == now


async def test_forgetting_once_more_does_no_harm(desk: Desk) -> None:
    seen = await desk.accepted()
    cancelled = await cancel(desk.active.ledger, seen, desk.driver, "a person cancelled it")
    assert await forgotten(desk, cancelled) == []
    assert await forgotten(desk, cancelled) == []
