"""A refusal counts for the recordings, also if its avatar is not the result of its provisioning."""

from __future__ import annotations

import pytest

from models.media.rules import MediaRole
from models.provisioning import Status
from models.recordings.identity import RecordingIdentity
from services.submissions import build_create_request
from store.erasure import erase
from tasks.adopt_late_avatar import adopt_late_avatar
from tasks.retrain_provisioning import retrain_provisioning
from tests.provisioning_harness import (
    TRAINING_SECONDS,
    VALID_FACTS,
    ProvisioningHarness,
    ScriptedClock,
    list_orphaned,
)

NEW_VIDEO = "https://videos.example/ada/dataset-2.mp4"


@pytest.fixture(autouse=True)
def no_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.account.duplicates.emit_duplicate_event", lambda *_: None)


async def find_quarantine(harness: ProvisioningHarness, url: str) -> str | None:
    return await harness.context.quarantine.find_provisioning_for(RecordingIdentity.from_facts(url))


async def test_refusal_of_a_cancelled_one_quarantines_its_recordings(
    harness: ProvisioningHarness, clock: ScriptedClock
) -> None:
    training = await harness.submitted("refuse")
    await harness.context.ledger.transition(training, harness.owner, "cancelled", new_status=Status.CANCELLED)
    clock.advance(TRAINING_SECONDS)
    for _ in range(2):
        await list_orphaned(harness.owner)
    for url in (harness.request.dataset_video, harness.request.consent_video):
        assert await find_quarantine(harness, url) == training.id
    released = await harness.context.quarantine.release(training, "Grace: reviewed", harness.owner)
    assert sorted(released) == ["https://videos.example/ada/consent.mp4", "https://videos.example/ada/dataset.mp4"]
    await list_orphaned(harness.owner)
    assert await find_quarantine(harness, harness.request.dataset_video) is None


async def test_refusal_of_an_earlier_request_quarantines_its_videos(
    harness: ProvisioningHarness, clock: ScriptedClock
) -> None:
    lost = await harness.resolve_submission(await harness.submitted("cut-before-create"))
    [submission] = await harness.submissions(lost)
    rejected = await harness.context.ledger.transition(lost, harness.owner, "short", new_status=Status.REJECTED)
    waiting = await retrain_provisioning.fn(rejected, harness.owner, "Grace: longer", dataset_video=NEW_VIDEO)
    request = harness.request.model_copy(update={"extras": {"simulator": "refuse"}})
    await harness.context.argil.create_avatar(build_create_request(request, submission.id, request.recordings))
    clock.advance(TRAINING_SECONDS)
    assert await adopt_late_avatar.fn(waiting, harness.owner) == waiting
    assert await find_quarantine(harness, harness.request.dataset_video) == waiting.id
    assert await find_quarantine(harness, harness.request.consent_video) == waiting.id
    assert await find_quarantine(harness, NEW_VIDEO) is None


async def test_refusal_after_an_erasure_is_quarantined_by_digest(
    harness: ProvisioningHarness, clock: ScriptedClock
) -> None:
    facts = {role.value: VALID_FACTS.model_dump(mode="json") for role in MediaRole}
    checked = await harness.context.ledger.transition(
        await harness.accepted("refuse"), harness.owner, "checked", media_facts=facts
    )
    training = await harness.submitted_from(checked)
    cancelled = await harness.context.ledger.transition(
        training, harness.owner, "cancelled", new_status=Status.CANCELLED
    )
    await erase(harness.context.ledger.database, clock, cancelled, harness.owner, "erased")
    clock.advance(TRAINING_SECONDS)
    await list_orphaned(harness.owner)
    assert await find_quarantine(harness, harness.request.dataset_video) == training.id
