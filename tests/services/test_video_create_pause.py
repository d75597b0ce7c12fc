"""The pause after Argil has removed the video create: videos wait, images go on, a probe ends it."""

from __future__ import annotations

import uuid

import pytest

from models.errors import ArgilVideoCreateRemoved, VideoCreatePaused
from models.image_request import ImageRequest
from models.limits import MAX_PAUSE, PauseCause
from models.provisioning import LeaseOwner, Provisioning, Status, SubmissionState
from models.request import RequestKind
from services.pending import PendingProvisionings
from services.ticks import Tick
from simulator.server import ArgilSimulator
from tasks.check_limits import check_limits
from tasks.submit_avatar import submit_avatar
from tests.provisioning_harness import ProvisioningHarness, ScriptedClock

PAUSE_SECONDS = MAX_PAUSE.total_seconds()


async def enqueue(harness: ProvisioningHarness, request: ImageRequest | None = None) -> Provisioning:
    reference = str(uuid.uuid4())
    recorded, _ = await harness.context.ledger.get_or_create(request or harness.request, reference, harness.owner)
    return recorded


async def remove_video_create(harness: ProvisioningHarness, argil: ArgilSimulator) -> Provisioning:
    argil.account.creates_from_videos = False
    accepted = await harness.accepted(reference="first")
    with pytest.raises(ArgilVideoCreateRemoved):
        await submit_avatar.fn(accepted, harness.owner)
    await harness.context.leases.release(accepted.id, harness.owner)
    return accepted


async def take_pending(harness: ProvisioningHarness) -> list[Provisioning]:
    """Return what one tick takes, each submitted; a refusal ends nothing."""
    owner = LeaseOwner(actor="provision-pending", id=str(uuid.uuid4()))
    pending = PendingProvisionings(harness.context, owner, Tick(harness.context.clock, 3600))
    taken = []
    while (provisioning := await pending.acquire_next()) is not None:
        taken.append(provisioning)
        try:
            await check_limits.fn(provisioning, owner)
            await submit_avatar.fn(provisioning, owner)
        except (ArgilVideoCreateRemoved, VideoCreatePaused):
            pass
        finally:
            await harness.context.leases.release(provisioning.id, owner)
    return taken


async def test_removed_video_create_leaves_the_request_accepted(
    harness: ProvisioningHarness, argil: ArgilSimulator
) -> None:
    refused = await harness.reload(await remove_video_create(harness, argil))
    assert (refused.status, [reason.code for reason in refused.reasons]) == (
        Status.ACCEPTED,
        ["argil.video-create-removed"],
    )
    assert "image" in refused.reasons[0].hint
    assert await harness.states(refused) == [SubmissionState.NOT_CREATED]
    [pause] = (await harness.context.limits.read(harness.context.guard)).pauses
    assert pause.cause is PauseCause.VIDEO_CREATE


async def test_pause_of_videos_lets_images_pass(
    harness: ProvisioningHarness, argil: ArgilSimulator, image_request: ImageRequest
) -> None:
    await remove_video_create(harness, argil)
    video = await harness.accepted(reference="second")
    for task in (check_limits, submit_avatar):
        with pytest.raises(VideoCreatePaused):
            await task.fn(video, harness.owner)
    assert await harness.submissions(video) == []
    image, _ = await harness.context.ledger.get_or_create(image_request, "image", harness.owner)
    image = await harness.context.leases.acquire(image.id, harness.owner, harness.context.lease_duration)
    await check_limits.fn(image, harness.owner)
    assert (await submit_avatar.fn(image, harness.owner)).status is Status.TRAINING
    assert len(argil.account.posts) == 2
    with pytest.raises(VideoCreatePaused):  # the success of an image does not end the pause of videos
        await check_limits.fn(video, harness.owner)


async def test_pending_images_are_taken_past_waiting_videos(
    harness: ProvisioningHarness, argil: ArgilSimulator, image_request: ImageRequest, clock: ScriptedClock
) -> None:
    await remove_video_create(harness, argil)
    for _ in range(3):
        await enqueue(harness)
    images = {(await enqueue(harness, image_request)).id for _ in range(3)}
    clock.advance(1)
    taken = await take_pending(harness)
    assert {provisioning.id for provisioning in taken} == images
    assert len(argil.account.posts) == 1 + len(images)


async def test_one_video_is_tried_every_15_minutes(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock
) -> None:
    await remove_video_create(harness, argil)
    waiting = [await enqueue(harness) for _ in range(5)]
    for minute in range(1, 46):
        clock.advance(60)
        await take_pending(harness)
        assert len(argil.account.posts) == 1 + minute // 15
    argil.account.creates_from_videos = True
    clock.advance(PAUSE_SECONDS)
    taken = await take_pending(harness)
    assert {provisioning.id for provisioning in waiting} <= {provisioning.id for provisioning in taken}
    assert (await harness.context.limits.read(harness.context.guard)).pauses == ()


async def test_image_request_replaces_the_waiting_video_request(
    harness: ProvisioningHarness, argil: ArgilSimulator, image_request: ImageRequest
) -> None:
    refused = await remove_video_create(harness, argil)
    caller = LeaseOwner(actor="batch", id=str(uuid.uuid4()))
    replaced, is_new = await harness.context.ledger.get_or_create(image_request, refused.reference, caller)
    assert (replaced.id, is_new, replaced.kind) == (refused.id, False, RequestKind.IMAGE)
    assert replaced.request == image_request.model_copy(update={"reference": refused.reference})
    assert (replaced.status, replaced.reasons) == (Status.ACCEPTED, [])
    leased = await harness.context.leases.acquire(replaced.id, harness.owner, harness.context.lease_duration)
    assert (await submit_avatar.fn(leased, harness.owner)).status is Status.TRAINING
