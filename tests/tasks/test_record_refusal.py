"""Recording a refused avatar and quarantining its recordings."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from models.errors import DatabaseError, UnknownProvisioning
from models.provisioning import LeaseOwner, Provisioning, Status
from models.recordings.identity import RecordingIdentity
from services.context import AppContext, override_context
from simulator.server import ArgilSimulator
from store.database import Database
from store.quarantine import QuarantineRepository, recording_identities
from tasks.record_refusal import record_refusal
from tests.provisioning_harness import ProvisioningHarness

FAILED, REFUSED = "TRAINING_FAILED", "REFUSED"


async def quarantined_by(harness: ProvisioningHarness, provisioning: Provisioning) -> list[str | None]:
    return [
        await harness.context.quarantine.find_provisioning_for(identity)
        for identity in recording_identities(provisioning).values()
    ]


async def test_refusal_is_terminal_and_quarantines_both_videos(
    harness: ProvisioningHarness, argil: ArgilSimulator
) -> None:
    provisioning = await harness.trained("refuse", REFUSED)
    assert await quarantined_by(harness, provisioning) == [None, None]
    refused = await record_refusal.fn(provisioning.id, harness.owner)
    assert refused.status is Status.REFUSED
    assert [reason.code for reason in refused.reasons] == ["avatar.refused"]
    assert await quarantined_by(harness, refused) == [refused.id, refused.id]
    assert len(argil.account.posts) == 1


async def test_quarantine_stores_the_content_of_the_check(harness: ProvisioningHarness) -> None:
    provisioning = await harness.trained("refuse", REFUSED)
    facts: dict[str, Any] = {"dataset": {"sample_sha256": "d" * 64}, "consent": None}
    provisioning = await harness.context.ledger.transition(
        provisioning, harness.owner, "checked", media_facts=facts
    )
    await record_refusal.fn(provisioning.id, harness.owner)
    assert (
        await harness.context.quarantine.find_provisioning_for(
            RecordingIdentity.from_facts("https://elsewhere.example/d.mp4", facts["dataset"])
        )
        == provisioning.id
    )


async def test_recording_a_refusal_twice_has_no_effect(harness: ProvisioningHarness) -> None:
    provisioning = await harness.trained("refuse", REFUSED)
    once = await record_refusal.fn(provisioning.id, harness.owner)
    events = await harness.events(provisioning)
    assert await record_refusal.fn(provisioning.id, harness.owner) == once
    assert await harness.events(provisioning) == events
    assert len(await harness.context.quarantine.release(provisioning, "reviewed", harness.owner)) == 2


async def test_old_refusal_does_not_quarantine_a_released_video(harness: ProvisioningHarness) -> None:
    provisioning = await harness.trained("refuse", REFUSED)
    await record_refusal.fn(provisioning.id, harness.owner)
    await harness.context.quarantine.release(provisioning, "reviewed", harness.owner)
    await record_refusal.fn(provisioning.id, harness.owner)
    assert await quarantined_by(harness, provisioning) == [None, None]


async def test_refusal_is_never_recorded_without_its_quarantine(
    harness: ProvisioningHarness, context: AppContext
) -> None:
    """The quarantine is written first: if it fails, the next run writes both."""

    class Failing(QuarantineRepository):
        async def add(self, provisioning: Provisioning) -> None:
            raise DatabaseError(f"no space left for {provisioning.id}")

    current = await harness.trained("refuse", REFUSED)
    broken = Failing(Database("sqlite+aiosqlite://"), context.clock)
    async with override_context(dataclasses.replace(context, quarantine=broken)):
        with pytest.raises(DatabaseError):
            await record_refusal.fn(current.id, harness.owner)
    assert await harness.reload(current) == current
    async with override_context(context):
        assert (await record_refusal.fn(current.id, harness.owner)).status is Status.REFUSED
    assert await quarantined_by(harness, current) == [current.id, current.id]


@pytest.mark.parametrize("raw_status", ["TRAINING", "IDLE", FAILED, "NEW_ONE"])
async def test_avatar_that_was_not_refused_is_unchanged(harness: ProvisioningHarness, raw_status: str) -> None:
    provisioning = await harness.trained("never", raw_status)
    assert await record_refusal.fn(provisioning.id, harness.owner) == provisioning
    assert await quarantined_by(harness, provisioning) == [None, None]


async def test_unknown_id_raises_unknown_provisioning(context: AppContext, owner: LeaseOwner) -> None:
    with pytest.raises(UnknownProvisioning, match="unknown-id"):
        await record_refusal.fn("unknown-id", owner)
