"""The check of one recording: the quarantine is always checked, the recording unless the check is off."""

from __future__ import annotations

from typing import Any

import pytest

from models.errors import MediaRejected, MediaUnreachable
from models.image_request import ImageRequest
from models.media.codes import MediaCode
from models.media.facts import MediaFacts
from models.media.image_facts import ImageFacts
from models.media.report import MediaReport, rejected_result
from models.media.rules import MediaRole
from models.provisioning import Provisioning, Status
from models.reason import Reason
from tasks.check_recording import check_recording
from tests.provisioning_harness import VALID_FACTS, VALID_IMAGE, FakeMedia, ProvisioningHarness

SAMPLE = "a" * 64
DATASET, CONSENT, IMAGE = MediaRole.DATASET, MediaRole.CONSENT, MediaRole.IMAGE
BAD_FACTS = VALID_FACTS.model_copy(
    update={"container": "webm", "width": 640, "height": 360, "duration_seconds": 40.0}
)
MODES = [{"avatars_media_check": mode} for mode in ("strict", "warn")]
EVERY_MODE = [*MODES, {"avatars_media_check": "off"}]


async def refused(harness: ProvisioningHarness, media: dict[str, Any] | None = None) -> Provisioning:
    """Return a refused provisioning with other recordings, which are in quarantine."""
    other = await harness.accepted(
        reference="refused",
        dataset_video="https://videos.example/old/dataset.mp4?X-Amz-Signature=1",
        consent_video="https://videos.example/old/consent.mp4?X-Amz-Signature=1",
    )
    if media is not None:
        other = await harness.context.ledger.transition(other, harness.owner, "checked", media_facts=media)
    await harness.context.quarantine.add(other)
    return other


def codes(reasons: list[Reason]) -> list[str]:
    return [reason.code for reason in reasons]


@pytest.mark.parametrize("changes", MODES)
@pytest.mark.parametrize("role", [DATASET, CONSENT])
async def test_valid_recording_returns_its_facts(
    harness: ProvisioningHarness, media: FakeMedia, role: MediaRole
) -> None:
    accepted = await harness.accepted()
    result = await check_recording.fn(accepted, role)
    assert result.role is role
    assert result.reasons == []
    assert result.unreachable is None
    assert result.facts is not None
    assert MediaFacts.model_validate(result.facts).etag == f'"{role}"'
    url = accepted.request.recordings[role]
    assert media.checked == [(url, role)]


@pytest.mark.parametrize("changes", MODES)
async def test_every_violation_is_returned_with_the_facts(harness: ProvisioningHarness, media: FakeMedia) -> None:
    media.results = {DATASET: BAD_FACTS, CONSENT: BAD_FACTS}
    accepted = await harness.accepted()
    dataset = await check_recording.fn(accepted, DATASET)
    consent = await check_recording.fn(accepted, CONSENT)
    assert codes(dataset.reasons) == [
        "dataset.wrong-container",
        "dataset.duration-too-short",
        "dataset.resolution-too-low",
    ]
    assert codes(consent.reasons) == ["consent.wrong-container", "consent.duration-too-long"]
    assert all(reason.message and reason.hint for reason in [*dataset.reasons, *consent.reasons])
    assert dataset.facts == BAD_FACTS.model_dump(mode="json")


@pytest.mark.parametrize("changes", MODES)
async def test_rejection_without_facts_has_its_reason(harness: ProvisioningHarness, media: FakeMedia) -> None:
    rule_result = rejected_result(
        MediaRejected(MediaCode.FORBIDDEN, "it needs a login", hint="publish it"), DATASET
    )
    media.results = {DATASET: MediaReport(role=DATASET, facts=None, checks=(rule_result,))}
    result = await check_recording.fn(await harness.accepted(), DATASET)
    assert codes(result.reasons) == ["dataset.forbidden"]
    assert result.facts is None
    assert result.unreachable is None


@pytest.mark.parametrize("changes", MODES)
async def test_unreachable_host_violates_no_rule(harness: ProvisioningHarness, media: FakeMedia) -> None:
    media.results = {DATASET: MediaUnreachable("no response from videos.example", hint="try later")}
    result = await check_recording.fn(await harness.accepted(), DATASET)
    assert result.reasons == []
    assert result.facts is None
    assert result.unreachable == Reason(
        code="media.unreachable", message="no response from videos.example", hint="try later"
    )


async def test_recording_is_not_read_if_the_check_is_off(harness: ProvisioningHarness, media: FakeMedia) -> None:
    media.results = {DATASET: BAD_FACTS}
    result = await check_recording.fn(await harness.accepted(), DATASET)
    assert (result.reasons, result.facts, result.unreachable) == ([], None, None)
    assert media.checked == []


@pytest.mark.parametrize("changes", EVERY_MODE)
@pytest.mark.parametrize("role", [DATASET, CONSENT])
async def test_quarantine_matches_the_url_without_its_signature(
    harness: ProvisioningHarness, media: FakeMedia, role: MediaRole
) -> None:
    refused_provisioning = await refused(harness)
    url = f"https://VIDEOS.example/old/{role}.mp4?X-Amz-Signature=2"
    accepted = await harness.accepted(**{f"{role}_video": url})
    result = await check_recording.fn(accepted, role)
    [reason] = result.reasons
    assert reason.code == f"{role}.quarantined"
    assert refused_provisioning.id in reason.message
    assert f"avatars release {refused_provisioning.id}" in reason.hint
    assert media.checked == []


@pytest.mark.parametrize("changes", EVERY_MODE)
async def test_quarantine_blocks_no_other_file_of_the_path(harness: ProvisioningHarness) -> None:
    other = await harness.accepted(
        reference="refused",
        dataset_video="https://videos.example/dl?id=1",
        consent_video="https://videos.example/dl?id=2",
    )
    await harness.context.quarantine.add(other)
    strangers = await harness.accepted(dataset_video="https://videos.example/dl?id=3")
    assert (await check_recording.fn(strangers, DATASET)).reasons == []


@pytest.mark.parametrize("changes", EVERY_MODE)
async def test_quarantine_applies_to_both_roles(harness: ProvisioningHarness) -> None:
    await refused(harness)
    accepted = await harness.accepted(consent_video="https://videos.example/old/dataset.mp4")
    assert codes((await check_recording.fn(accepted, CONSENT)).reasons) == ["consent.quarantined"]


@pytest.mark.parametrize("changes", MODES)
@pytest.mark.parametrize(
    ("facts", "is_quarantined"),
    [
        ({"sample_sha256": SAMPLE, "etag": '"other"'}, True),
        ({"sample_sha256": "b" * 64}, False),
        ({"etag": '"1"', "size_bytes": 1000}, False),
    ],
)
async def test_quarantine_matches_a_copy_by_its_content(
    harness: ProvisioningHarness, media: FakeMedia, facts: dict[str, object], *, is_quarantined: bool
) -> None:
    refused_facts = {"etag": '"1"', "size_bytes": 1000, "sample_sha256": SAMPLE}
    await refused(harness, {"dataset": refused_facts, "consent": None})
    media.results = {DATASET: VALID_FACTS.model_copy(update=facts)}
    result = await check_recording.fn(await harness.accepted(), DATASET)
    assert codes(result.reasons) == (["dataset.quarantined"] if is_quarantined else [])
    assert result.facts is not None


@pytest.mark.parametrize("changes", MODES)
async def test_quarantined_copy_also_returns_its_violations(harness: ProvisioningHarness, media: FakeMedia) -> None:
    await refused(harness, {"dataset": {"sample_sha256": SAMPLE}})
    media.results = {DATASET: BAD_FACTS.model_copy(update={"sample_sha256": SAMPLE})}
    result = await check_recording.fn(await harness.accepted(), DATASET)
    assert codes(result.reasons) == [
        "dataset.quarantined",
        "dataset.wrong-container",
        "dataset.duration-too-short",
        "dataset.resolution-too-low",
    ]


@pytest.mark.parametrize("changes", EVERY_MODE)
async def test_released_recording_is_accepted(harness: ProvisioningHarness) -> None:
    refused_provisioning = await refused(harness)
    accepted = await harness.accepted(dataset_video="https://videos.example/old/dataset.mp4")
    assert codes((await check_recording.fn(accepted, DATASET)).reasons) == ["dataset.quarantined"]
    await harness.context.quarantine.release(refused_provisioning, "reviewed", harness.owner)
    assert (await check_recording.fn(accepted, DATASET)).reasons == []


async def test_check_does_not_change_the_ledger(harness: ProvisioningHarness) -> None:
    accepted = await harness.accepted()
    await check_recording.fn(accepted, DATASET)
    assert await harness.reload(accepted) == accepted
    assert accepted.status is Status.ACCEPTED


async def accepted_image(harness: ProvisioningHarness, reference: str, image: str) -> Provisioning:
    """Return a leased provisioning of an image request."""
    request = ImageRequest(name="Ada", image=image, consent_video="https://videos.example/c.mp4")
    opened, _ = await harness.context.ledger.get_or_create(request, reference, harness.owner)
    return await harness.context.leases.acquire(opened.id, harness.owner, harness.context.lease_duration)


@pytest.mark.parametrize("changes", MODES)
async def test_image_is_checked_by_its_own_rules(harness: ProvisioningHarness, media: FakeMedia) -> None:
    accepted = await accepted_image(harness, "ada", "https://images.example/ada.png")
    result = await check_recording.fn(accepted, IMAGE)
    assert (result.role, result.reasons) == (IMAGE, [])
    assert media.checked == [("https://images.example/ada.png", IMAGE)]
    assert result.facts is not None
    assert ImageFacts.model_validate(result.facts).sha256 == VALID_IMAGE.sha256
    media.results = {IMAGE: VALID_IMAGE.model_copy(update={"height": 1081, "is_transparent": True})}
    broken = await check_recording.fn(accepted, IMAGE)
    assert codes(broken.reasons) == ["image.wrong-aspect-ratio"]
    assert codes(broken.warnings) == ["image.transparent"]


@pytest.mark.parametrize("changes", MODES)
async def test_copy_of_a_refused_image_is_rejected_by_its_digest(
    harness: ProvisioningHarness, media: FakeMedia
) -> None:
    refused_image = await accepted_image(harness, "refused", "https://images.example/old.png")
    facts = {"image": VALID_IMAGE.model_dump(mode="json")}
    checked = await harness.context.ledger.transition(refused_image, harness.owner, "checked", media_facts=facts)
    await harness.context.quarantine.add(checked)
    copy = await accepted_image(harness, "copy", "https://other.example/copy.jpg")
    [reason] = (await check_recording.fn(copy, IMAGE)).reasons
    assert reason.code == "image.quarantined"
    assert reason.message.startswith("the image belongs to provisioning")
    media.results = {IMAGE: VALID_IMAGE.model_copy(update={"sha256": "f" * 64})}
    assert (await check_recording.fn(copy, IMAGE)).reasons == []
