"""Image requests through the services that video requests use: consent, quarantine, erasure, retrain, callback."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from flows.engine.execution import InlineExecution
from flows.engine.state_machine import run_to_completion
from models.argil.webhook import parse_callback_path
from models.errors import InvalidRequest
from models.image_request import ImageRequest
from models.media.rules import MediaRole
from models.provisioning import Provisioning, Status, VoiceSource
from models.recordings.identity import RecordingIdentity
from services.retraining import retrain
from simulator.server import ArgilSimulator
from tasks.get_or_create_provisioning import get_or_create_provisioning
from tasks.record_refusal import record_refusal
from tests.provisioning_harness import ProvisioningHarness, ScriptedClock

OTHER_IMAGE = "https://videos.example/ada/other.png"
TOKEN = "canary-token-0123456789"


async def submitted(harness: ProvisioningHarness, request: ImageRequest, scenario: str = "") -> Provisioning:
    extras = {"simulator": scenario} if scenario else {}
    request = request.model_copy(update={"extras": extras})
    opened, _ = await harness.context.ledger.get_or_create(request, "ada-1", harness.owner)
    leased = await harness.context.leases.acquire(opened.id, harness.owner, harness.context.lease_duration)
    return await harness.submitted_from(leased)


async def test_image_without_consent_is_refused_if_required(
    harness: ProvisioningHarness, image_request: ImageRequest
) -> None:
    request = image_request.model_copy(update={"consent_video": None})
    with pytest.raises(InvalidRequest) as caught:
        await get_or_create_provisioning.fn(request, "ada-1", harness.owner)
    [(field, rule)] = caught.value.problems
    assert field == "consent_video"
    assert "AVATARS_IMAGE_CONSENT" in rule
    assert await harness.context.ledger.find_statuses(["ada-1"]) == {}


@pytest.mark.parametrize("changes", [{"avatars_image_consent": "optional"}])
async def test_image_without_consent_is_accepted_if_optional(
    harness: ProvisioningHarness, image_request: ImageRequest
) -> None:
    request = image_request.model_copy(update={"consent_video": None})
    accepted = await get_or_create_provisioning.fn(request, "ada-1", harness.owner)
    assert accepted.request.recordings == {MediaRole.IMAGE: image_request.image}


async def test_image_body_is_that_of_the_current_reference(
    harness: ProvisioningHarness, image_request: ImageRequest, argil: ArgilSimulator
) -> None:
    provisioning = await submitted(harness, image_request)
    [submission] = await harness.submissions(provisioning)
    assert argil.account.posts == [
        {
            "type": "IMAGE",
            "name": "Ada",
            "datasetImage": {"url": image_request.image},
            "extras": {"submission_id": submission.id},
        }
    ]


@pytest.mark.parametrize(
    "changes", [{"avatars_webhook_token": TOKEN, "avatars_webhook_url": "https://avatars.example.com"}]
)
async def test_image_create_names_a_callback_url_of_its_own(
    harness: ProvisioningHarness, image_request: ImageRequest, argil: ArgilSimulator
) -> None:
    image = await submitted(harness, image_request)
    await harness.submitted(reference="video")
    [submission] = await harness.submissions(image)
    with_image, with_videos = argil.account.posts
    base, path = with_image["callbackUrl"].rsplit("/", 1)
    assert base == "https://avatars.example.com/webhooks/argil"
    assert parse_callback_path(TOKEN, path) == submission.id
    assert "callbackUrl" not in with_videos


async def test_refused_image_is_quarantined(harness: ProvisioningHarness, image_request: ImageRequest) -> None:
    training = await submitted(harness, image_request, "refuse")
    await harness.context.ledger.transition(training, harness.owner, "Argil reports REFUSED", raw_status="REFUSED")
    refused = await record_refusal.fn(training.id, harness.owner)
    assert refused.status is Status.REFUSED
    for url in image_request.recordings.values():
        found = await harness.context.quarantine.find_provisioning_for(RecordingIdentity.from_facts(url, None))
        assert found == refused.id


async def test_erasure_leaves_nothing_of_an_image_request(
    harness: ProvisioningHarness, image_request: ImageRequest
) -> None:
    voice_id = "3f2b8c1e-5d47-4a90-9b6e-0c1d2e3f4a5b"
    request = image_request.model_copy(update={"name": "Ada Canary", "voice_id": voice_id})
    provisioning = await submitted(harness, request, "invalid")
    assert provisioning.status is Status.SUBMISSION_FAILED
    await erase_in_ledger(harness, provisioning)
    erased = await harness.reload(provisioning)
    assert erased.request.recordings == {}
    assert voice_id not in repr(erased.request)
    assert "Canary" not in repr(dataclasses.asdict(erased))
    request = request.model_copy(update={"extras": {"simulator": "invalid"}})
    attached, is_new = await harness.context.ledger.get_or_create(request, "ada-1", harness.owner)
    assert (attached.id, is_new) == (provisioning.id, False)


async def erase_in_ledger(harness: ProvisioningHarness, provisioning: Provisioning) -> Any:
    from store.erasure import erase

    context = harness.context
    return await erase(context.ledger.database, context.clock, provisioning, harness.owner, "erased")


async def test_retrain_of_an_image_takes_another_image(
    harness: ProvisioningHarness, image_request: ImageRequest
) -> None:
    failed = await submitted(harness, image_request, "invalid")
    reopened = await retrain(harness.context, failed, harness.owner, "a better picture", image=OTHER_IMAGE)
    assert reopened.status is Status.ACCEPTED
    assert reopened.request.recordings[MediaRole.IMAGE] == OTHER_IMAGE


async def test_retrain_refuses_a_recording_of_the_other_kind(
    harness: ProvisioningHarness, image_request: ImageRequest
) -> None:
    failed = await submitted(harness, image_request, "invalid")
    with pytest.raises(InvalidRequest, match="dataset_video"):
        await retrain(harness.context, failed, harness.owner, "a video", dataset_video=OTHER_IMAGE)
    assert (await harness.reload(failed)).status is Status.SUBMISSION_FAILED


async def test_only_accepted_creates_with_images_are_counted(
    harness: ProvisioningHarness, image_request: ImageRequest
) -> None:
    failed = await submitted(harness, image_request, "invalid")
    await harness.submitted(reference="video")
    assert await harness.context.ledger.count_image_creates() == 0
    other = image_request.model_copy(update={"extras": {}})
    for reference in ("ada-2", "ada-3"):
        opened, _ = await harness.context.ledger.get_or_create(other, reference, harness.owner)
        await harness.submitted_from(
            await harness.context.leases.acquire(opened.id, harness.owner, harness.context.lease_duration)
        )
    assert await harness.context.ledger.count_image_creates() == 2
    assert failed.status is Status.SUBMISSION_FAILED


async def test_requests_that_name_one_voice_are_ready_with_it(
    harness: ProvisioningHarness, image_request: ImageRequest, argil: ArgilSimulator
) -> None:
    account = argil.account
    voice = account.voices.add_clone(
        {"name": "House", "audioUrl": "https://videos.example/house.mp3"}, account.now(), creates=True, status=201
    )
    assert voice is not None
    request = image_request.model_copy(update={"voice_id": voice["id"]})
    for reference in ("look-1", "look-2"):
        opened, _ = await harness.context.ledger.get_or_create(request, reference, harness.owner)
        ready = await run_to_completion(opened, harness.owner, None, InlineExecution())
        assert (ready.status, ready.voice_id, ready.voice_source) == (Status.READY, voice["id"], VoiceSource.GIVEN)


async def test_image_avatar_is_ready_soon_after_its_training(
    harness: ProvisioningHarness, image_request: ImageRequest, clock: ScriptedClock, argil: ArgilSimulator
) -> None:
    from tasks.await_training import await_training

    argil.account.timing = dataclasses.replace(argil.account.timing, image_training_seconds=30.0)
    provisioning = await submitted(harness, image_request)
    started_at = clock.now()
    await await_training.fn(provisioning, harness.owner, None)
    assert 30 <= (clock.now() - started_at).total_seconds() <= 35
