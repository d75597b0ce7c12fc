"""The check of one recording: the quarantine always, the recording itself unless the check is off."""

from __future__ import annotations

from typing import Any

import pytest

from models.errors import MediaRejected, MediaUnreachable
from models.media import MediaFacts, MediaReport, MediaRole, rejection
from models.provisioning import Provisioning, Status
from models.reason import Reason
from tasks.check_recording import check_recording
from tests.tasks.conftest import GOOD_FACTS, Desk, FakeMedia

DATASET, CONSENT = MediaRole.DATASET, MediaRole.CONSENT
BAD_FACTS = GOOD_FACTS.model_copy(
    update={"container": "webm", "width": 640, "height": 360, "duration_seconds": 40.0}
)
MODES = [{"avatars_media_check": mode} for mode in ("strict", "warn")]
EVERY_MODE = [*MODES, {"avatars_media_check": "off"}]


async def refused(desk: Desk, media: dict[str, Any] | None = None) -> Provisioning:
    """Return a provisioning of other recordings' that was refused, its recordings in quarantine."""
    other = await desk.accepted(
        reference="refused",
        dataset_video="https://videos.example/old/dataset.mp4?s=1",
        consent_video="https://videos.example/old/consent.mp4?s=1",
    )
    if media is not None:
        other = await desk.active.ledger.record(other, desk.driver, "checked", media=media)
    await desk.active.quarantine.put(other)
    return other


def codes(reasons: list[Reason]) -> list[str]:
    return [reason.code for reason in reasons]


@pytest.mark.parametrize("changes", MODES)
@pytest.mark.parametrize("role", MediaRole)
async def test_a_good_recording_has_its_facts_noted(desk: Desk, media: FakeMedia, role: MediaRole) -> None:
    accepted = await desk.accepted()
    found = await check_recording.fn(accepted, role)
    assert found.role is role
    assert found.reasons == []
    assert found.unreachable is None
    assert found.facts is not None
    assert MediaFacts.model_validate(found.facts).etag == f'"{role}"'
    url = accepted.request.dataset_video if role is DATASET else accepted.request.consent_video
    assert media.checked == [(url, role)]


@pytest.mark.parametrize("changes", MODES)
async def test_every_rule_a_recording_breaks_is_told_with_its_facts(desk: Desk, media: FakeMedia) -> None:
    media.found = {DATASET: BAD_FACTS, CONSENT: BAD_FACTS}
    accepted = await desk.accepted()
    dataset = await check_recording.fn(accepted, DATASET)
    consent = await check_recording.fn(accepted, CONSENT)
    assert codes(dataset.reasons) == ["dataset.wrong-container", "dataset.too-short", "dataset.too-small"]
    assert codes(consent.reasons) == ["consent.wrong-container", "consent.too-long"]
    assert all(reason.message and reason.hint for reason in [*dataset.reasons, *consent.reasons])
    assert dataset.facts == BAD_FACTS.model_dump(mode="json")


@pytest.mark.parametrize("changes", MODES)
async def test_a_recording_that_is_rejected_before_its_facts_are_known_says_why(
    desk: Desk, media: FakeMedia
) -> None:
    why = rejection(MediaRejected("not-public", "it needs a login", hint="publish it"), DATASET)
    media.found = {DATASET: MediaReport(role=DATASET, facts=None, checks=(why,))}
    found = await check_recording.fn(await desk.accepted(), DATASET)
    assert codes(found.reasons) == ["dataset.not-public"]
    assert found.facts is None
    assert found.unreachable is None


@pytest.mark.parametrize("changes", MODES)
async def test_a_host_that_gives_no_answer_breaks_no_rule(desk: Desk, media: FakeMedia) -> None:
    media.found = {DATASET: MediaUnreachable("no answer from videos.example", hint="try later")}
    found = await check_recording.fn(await desk.accepted(), DATASET)
    assert found.reasons == []
    assert found.facts is None
    assert found.unreachable == Reason(
        code="media.unreachable", message="no answer from videos.example", hint="try later"
    )


async def test_where_the_check_is_off_nobody_reads_the_recording(desk: Desk, media: FakeMedia) -> None:
    media.found = {DATASET: BAD_FACTS}
    found = await check_recording.fn(await desk.accepted(), DATASET)
    assert (found.reasons, found.facts, found.unreachable) == ([], None, None)
    assert media.checked == []


@pytest.mark.parametrize("changes", EVERY_MODE)
@pytest.mark.parametrize("role", MediaRole)
async def test_a_recording_in_quarantine_is_kept_out_by_its_url_whatever_its_signature(
    desk: Desk, media: FakeMedia, role: MediaRole
) -> None:
    holder = await refused(desk)
    url = f"https://VIDEOS.example/old/{role}.mp4?s=2"
    accepted = await desk.accepted(**{f"{role}_video": url})
    found = await check_recording.fn(accepted, role)
    [reason] = found.reasons
    assert reason.code == f"{role}.quarantined"
    assert holder.id in reason.message
    assert f"avatars release {holder.id}" in reason.hint
    assert media.checked == []


@pytest.mark.parametrize("changes", EVERY_MODE)
async def test_a_recording_that_was_refused_in_the_other_role_is_kept_out_too(desk: Desk) -> None:
    await refused(desk)
    accepted = await desk.accepted(consent_video="https://videos.example/old/dataset.mp4")
    assert codes((await check_recording.fn(accepted, CONSENT)).reasons) == ["consent.quarantined"]


@pytest.mark.parametrize("changes", MODES)
@pytest.mark.parametrize(
    ("etag", "size", "kept_out"),
    [('"d"', 1000, True), ('"d"', 1001, False), ('"x"', 1000, False), (None, 1000, False)],
)
async def test_a_copy_under_another_url_is_kept_out_by_etag_and_size_together(
    desk: Desk, media: FakeMedia, etag: str | None, size: int, *, kept_out: bool
) -> None:
    await refused(desk, {"dataset": {"etag": '"d"', "size_bytes": 1000}, "consent": None})
    media.found = {DATASET: GOOD_FACTS.model_copy(update={"etag": etag, "size_bytes": size})}
    found = await check_recording.fn(await desk.accepted(), DATASET)
    assert codes(found.reasons) == (["dataset.quarantined"] if kept_out else [])
    assert found.facts is not None


@pytest.mark.parametrize("changes", MODES)
async def test_a_bad_copy_of_a_refused_recording_has_all_of_its_reasons_told(desk: Desk, media: FakeMedia) -> None:
    await refused(desk, {"dataset": {"etag": '"d"', "size_bytes": 1000}})
    media.found = {DATASET: BAD_FACTS.model_copy(update={"etag": '"d"'})}
    found = await check_recording.fn(await desk.accepted(), DATASET)
    assert codes(found.reasons) == [
        "dataset.quarantined",
        "dataset.wrong-container",
        "dataset.too-short",
        "dataset.too-small",
    ]


@pytest.mark.parametrize("changes", EVERY_MODE)
async def test_a_released_recording_is_let_in_again(desk: Desk) -> None:
    holder = await refused(desk)
    accepted = await desk.accepted(dataset_video="https://videos.example/old/dataset.mp4")
    assert codes((await check_recording.fn(accepted, DATASET)).reasons) == ["dataset.quarantined"]
    await desk.active.quarantine.release(holder.id, "reviewed by Eve")
    assert (await check_recording.fn(accepted, DATASET)).reasons == []


async def test_a_check_changes_nothing_in_the_ledger(desk: Desk) -> None:
    accepted = await desk.accepted()
    await check_recording.fn(accepted, DATASET)
    assert await desk.now(accepted) == accepted
    assert accepted.status is Status.ACCEPTED
