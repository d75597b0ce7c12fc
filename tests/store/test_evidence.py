"""The evidence of submissions and the erasure of personal data, on both engines."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from sqlalchemy import text

from models.argil.webhook import WebhookDelivery
from models.errors import DatabaseError, ProvisioningErased, StaleVersion
from models.evidence import evidence_report
from models.image_request import ImageRequest
from models.media.rules import MediaRole
from models.privacy.erasure import ERASED_PLACEHOLDER
from models.provisioning import LeaseOwner, Provisioning, Status, Submission, SubmissionState
from models.reason import Reason
from models.recordings.canonical_form import shown_form
from models.recordings.identity import RecordingIdentity, identity_digest
from models.request import ProvisioningRequest
from store.database import Database
from store.erasure import erase
from store.evidence import list_evidence
from store.ledger import Ledger
from store.quarantine import QuarantineRepository
from store.webhook_deliveries import WebhookDeliveryRepository
from tests.fakes import FakeClock

CONSENT_SHA256 = hashlib.sha256(b"consent").hexdigest()
MEDIA: dict[str, Any] = {
    "dataset": {"etag": '"d"', "size_bytes": 7, "sha256": None, "container": "mp4"},
    "consent": {"etag": None, "size_bytes": 8, "sha256": CONSENT_SHA256, "container": "mov"},
}
DATASET_URL = "https://videos.example/ada/dataset.mp4"


@pytest.fixture
def ledger(database: Database, clock: FakeClock) -> Ledger:
    return Ledger(database, clock)


@pytest.fixture
async def submitted(
    ledger: Ledger, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> tuple[Provisioning, Submission]:
    request = provisioning_request.model_copy(update={"extras": {"city": "London"}})
    opened, _ = await ledger.get_or_create(request, "creator-1", owner)
    checked = await ledger.transition(opened, owner, "checked", media_facts=MEDIA)
    return await ledger.begin_submission(checked, owner, "submission recorded")


async def refused(ledger: Ledger, submitted: tuple[Provisioning, Submission], owner: LeaseOwner) -> Provisioning:
    provisioning, submission = submitted
    provisioning = await ledger.resolve_submission(
        provisioning,
        owner,
        "Argil created avatar a-1 of Ada",
        submission,
        SubmissionState.CREATED,
        new_status=Status.TRAINING,
        avatar_id="a-1",
        response={"name": "Ada"},
        avatar_snapshot={"id": "a-1", "name": "Ada", "extras": {"city": "London"}},
    )
    await QuarantineRepository(ledger.database, FakeClock()).add(provisioning)
    reason = Reason(code="refused", message=f"of Ada, {DATASET_URL}", hint="ask Ada")
    return await ledger.transition(
        provisioning, owner, f"refused: {DATASET_URL}", new_status=Status.REFUSED, reasons=[reason]
    )


async def test_each_submission_has_evidence(
    ledger: Ledger, submitted: tuple[Provisioning, Submission], owner: LeaseOwner, clock: FakeClock
) -> None:
    provisioning, submission = submitted
    [record] = await list_evidence(ledger.database, provisioning.id)
    dataset, consent = record.recordings[MediaRole.DATASET], record.recordings[MediaRole.CONSENT]
    assert (record.submission_id, record.reference, record.actor) == (submission.id, "creator-1", "test")
    assert record.recorded_at == clock.now()
    assert dataset.identity_sha256 == hashlib.sha256(DATASET_URL.encode()).hexdigest()
    assert (
        dataset.etag,
        dataset.size_bytes,
        dataset.sha256,
    ) == ('"d"', 7, None)
    assert (
        consent.etag,
        consent.size_bytes,
        consent.sha256,
    ) == (None, 8, CONSENT_SHA256)
    assert consent.facts == MEDIA["consent"]
    again = await ledger.resolve_submission(
        provisioning, owner, "not created", submission, SubmissionState.NOT_CREATED, new_status=Status.ACCEPTED
    )
    await ledger.begin_submission(again, owner, "once more")
    assert [record.submission_id for record in await list_evidence(ledger.database, provisioning.id)] == [
        submission.id for submission in await ledger.list_submissions(provisioning.id)
    ]


async def test_evidence_of_an_unchecked_recording_has_no_facts(
    ledger: Ledger, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> None:
    opened, _ = await ledger.get_or_create(provisioning_request, "creator-2", owner)
    provisioning, _ = await ledger.begin_submission(opened, owner, "unchecked")
    [record] = await list_evidence(ledger.database, provisioning.id)
    consent = record.recordings[MediaRole.CONSENT]
    assert (consent.facts, consent.sha256, consent.size_bytes) == (None, None, None)


async def test_evidence_of_an_image_request_names_its_recordings(
    ledger: Ledger, image_request: ImageRequest, owner: LeaseOwner
) -> None:
    opened, _ = await ledger.get_or_create(image_request, "creator-2", owner)
    provisioning, submission = await ledger.begin_submission(opened, owner, "unchecked")
    evidence = await list_evidence(ledger.database, provisioning.id)
    assert {role: recording.identity_sha256 for role, recording in evidence[0].recordings.items()} == {
        role: identity_digest(url) for role, url in image_request.recordings.items()
    }
    [record] = evidence_report(provisioning, [submission], evidence)["evidence"]
    assert record["image"]["identity"] == shown_form(image_request.image)
    assert "dataset" not in record


async def test_stale_submission_leaves_no_evidence(
    ledger: Ledger, submitted: tuple[Provisioning, Submission], owner: LeaseOwner
) -> None:
    provisioning, submission = submitted
    accepted = await ledger.resolve_submission(
        provisioning, owner, "not created", submission, SubmissionState.NOT_CREATED, new_status=Status.ACCEPTED
    )
    await ledger.transition(accepted, owner, "changed by another owner")
    with pytest.raises(StaleVersion):
        await ledger.begin_submission(accepted, owner, "too late")
    assert len(await list_evidence(ledger.database, provisioning.id)) == 1


@pytest.mark.parametrize("statement", ["UPDATE evidence SET reference = 'x'", "DELETE FROM evidence"])
async def test_database_rejects_changes_of_evidence(
    statement: str, ledger: Ledger, submitted: tuple[Provisioning, Submission]
) -> None:
    with pytest.raises(DatabaseError, match="append-only"):
        await ledger.database.write(lambda connection: connection.execute(text(statement)))
    assert len(await list_evidence(ledger.database, submitted[0].id)) == 1


async def test_evidence_report(
    ledger: Ledger, submitted: tuple[Provisioning, Submission], owner: LeaseOwner
) -> None:
    provisioning = await refused(ledger, submitted, owner)
    document = evidence_report(
        provisioning,
        await ledger.list_submissions(provisioning.id),
        await list_evidence(ledger.database, provisioning.id),
    )
    assert (document["id"], document["name"], document["status"]) == (provisioning.id, "Ada", "REFUSED")
    [record] = document["evidence"]
    assert record["dataset"]["identity"] == DATASET_URL
    assert record["consent"]["sha256"] == CONSENT_SHA256
    assert (record["state"], record["avatar_id"]) == ("CREATED", "a-1")
    assert "canary-signature" not in str(document)


async def dump_tables(database: Database) -> str:
    """Return every value of every table, as text."""
    tables = (
        "provisionings",
        "submissions",
        "events",
        "quarantine",
        "webhook_deliveries",
        "evidence",
        "duplicates",
    )
    queries = [text(f"SELECT * FROM {table}") for table in tables]  # noqa: S608  # constant names
    return await database.read(
        lambda connection: repr([tuple(row) for query in queries for row in connection.execute(query)])
    )


async def test_erase_removes_personal_data_and_keeps_history(
    ledger: Ledger, submitted: tuple[Provisioning, Submission], owner: LeaseOwner, clock: FakeClock
) -> None:
    provisioning = await refused(ledger, submitted, owner)
    quarantine = QuarantineRepository(ledger.database, clock)
    await quarantine.release(provisioning, "Ada said so", owner)
    delivery = WebhookDelivery.parse(
        b'{"event": "AVATAR_TRAINING_FAILED", "data": {"avatarId": "a-1", "name": "Ada"}}'
    )
    assert delivery is not None
    await WebhookDeliveryRepository(ledger.database, clock).add(delivery)
    assert "Ada" in await dump_tables(ledger.database)
    before = await list_evidence(ledger.database, provisioning.id)
    events = await ledger.list_events(provisioning.id)

    report = await erase(ledger.database, clock, provisioning, owner, "asked for")

    dump = await dump_tables(ledger.database)
    assert not [word for word in ("Ada", "London", "ada/", "canary", "videos.example") if word in dump]
    assert report.avatar_ids == ["a-1"]
    assert any("a-1" in step and "Argil" in step for step in report.remaining_steps("1"))
    erased = await ledger.get("creator-1")
    assert (erased.id, erased.status, erased.avatar_id, erased.erased_at) == (
        provisioning.id,
        Status.REFUSED,
        "a-1",
        clock.now(),
    )
    assert (erased.name, erased.request.extras, [reason.code for reason in erased.reasons]) == (
        ERASED_PLACEHOLDER,
        {},
        ["refused"],
    )
    assert await list_evidence(ledger.database, provisioning.id) == before
    after = await ledger.list_events(provisioning.id)
    assert [(event.occurred_at, event.from_status, event.to_status) for event in after[:-1]] == [
        (event.occurred_at, event.from_status, event.to_status) for event in events
    ]
    document = evidence_report(erased, await ledger.list_submissions(erased.id), before)
    assert (document["name"], document["evidence"][0]["consent"]["identity"]) == (None, None)


async def test_quarantine_remains_after_erasure(
    ledger: Ledger, submitted: tuple[Provisioning, Submission], owner: LeaseOwner, clock: FakeClock
) -> None:
    provisioning = await refused(ledger, submitted, owner)
    await erase(ledger.database, clock, provisioning, owner, "asked for")
    quarantine = QuarantineRepository(ledger.database, clock)
    copy = RecordingIdentity.from_facts("https://elsewhere.example/copy.mp4", {"sha256": CONSENT_SHA256})
    for recording in (RecordingIdentity.from_facts(DATASET_URL), copy):
        assert await quarantine.find_provisioning_for(recording) == provisioning.id


async def test_same_request_attaches_to_erased_provisioning(
    ledger: Ledger,
    submitted: tuple[Provisioning, Submission],
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    clock: FakeClock,
) -> None:
    before = await refused(ledger, submitted, owner)
    await erase(ledger.database, clock, before, owner, "asked for")
    request = provisioning_request.model_copy(update={"extras": {"city": "London"}})
    provisioning, is_new = await ledger.get_or_create(request, "creator-1", owner)
    assert (provisioning.id, is_new, provisioning.name) == (before.id, False, ERASED_PLACEHOLDER)
    with pytest.raises(ProvisioningErased):
        await ledger.transition(provisioning, owner, "Argil reports IDLE", avatar_snapshot={"name": "Ada"})
    with pytest.raises(StaleVersion):
        await erase(ledger.database, clock, before, owner, "stale version")
