"""The evidence of submissions, and forgetting a person, on both engines."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from sqlalchemy import text

from models.errors import DatabaseError, Forgotten, StaleVersion
from models.evidence import evidence_document
from models.forgetting import FORGOTTEN
from models.provisioning import Driver, Provisioning, Status, Submission, SubmissionState
from models.reason import Reason
from models.request import ProvisioningRequest
from models.webhook import Delivery
from store.database import Database
from store.deliveries import Deliveries
from store.evidence import evidence
from store.forgetting import forget
from store.provisionings import Ledger
from store.quarantine import Quarantine, Recording
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
    ledger: Ledger, request_of_ada: ProvisioningRequest, driver: Driver
) -> tuple[Provisioning, Submission]:
    request = request_of_ada.model_copy(update={"extras": {"city": "London"}})
    opened, _ = await ledger.open(request, "creator-1", driver)
    checked = await ledger.record(opened, driver, "checked", media=MEDIA)
    return await ledger.begin_submission(checked, driver, "a create was recorded")


async def refused(ledger: Ledger, submitted: tuple[Provisioning, Submission], driver: Driver) -> Provisioning:
    seen, submission = submitted
    seen = await ledger.settle_submission(
        seen,
        driver,
        "Argil created avatar a-1 of Ada",
        submission,
        SubmissionState.TAKEN,
        to=Status.TRAINING,
        avatar_id="a-1",
        answer={"name": "Ada"},
        avatar={"id": "a-1", "name": "Ada", "extras": {"city": "London"}},
    )
    await Quarantine(ledger.database, FakeClock()).put(seen)
    reason = Reason(code="refused", message=f"of Ada, {DATASET_URL}", hint="ask Ada")
    return await ledger.record(seen, driver, f"refused: {DATASET_URL}", to=Status.REFUSED, reasons=[reason])


async def test_each_submission_has_its_evidence(
    ledger: Ledger, submitted: tuple[Provisioning, Submission], driver: Driver, clock: FakeClock
) -> None:
    seen, submission = submitted
    [record] = await evidence(ledger.database, seen.id)
    assert (record.submission_id, record.reference, record.actor) == (submission.id, "creator-1", "test")
    assert record.at == clock.now()
    assert record.dataset.identity_sha256 == hashlib.sha256(DATASET_URL.encode()).hexdigest()
    assert (record.dataset.etag, record.dataset.size_bytes, record.dataset.sha256) == ('"d"', 7, None)
    assert (record.consent.etag, record.consent.size_bytes, record.consent.sha256) == (None, 8, CONSENT_SHA256)
    assert record.consent.facts == MEDIA["consent"]
    again = await ledger.settle_submission(
        seen, driver, "not taken", submission, SubmissionState.NOT_TAKEN, to=Status.ACCEPTED
    )
    await ledger.begin_submission(again, driver, "once more")
    assert [one.submission_id for one in await evidence(ledger.database, seen.id)] == [
        one.id for one in await ledger.submissions(seen.id)
    ]


async def test_the_evidence_of_what_was_not_read_says_so(
    ledger: Ledger, request_of_ada: ProvisioningRequest, driver: Driver
) -> None:
    opened, _ = await ledger.open(request_of_ada, "creator-2", driver)
    seen, _ = await ledger.begin_submission(opened, driver, "unchecked")
    [record] = await evidence(ledger.database, seen.id)
    assert (record.consent.facts, record.consent.sha256, record.consent.size_bytes) == (None, None, None)


async def test_a_submission_that_lost_its_race_leaves_none(
    ledger: Ledger, submitted: tuple[Provisioning, Submission], driver: Driver
) -> None:
    seen, submission = submitted
    accepted = await ledger.settle_submission(
        seen, driver, "not taken", submission, SubmissionState.NOT_TAKEN, to=Status.ACCEPTED
    )
    await ledger.record(accepted, driver, "another driver wrote")
    with pytest.raises(StaleVersion):
        await ledger.begin_submission(accepted, driver, "too late")
    assert len(await evidence(ledger.database, seen.id)) == 1


@pytest.mark.parametrize("statement", ["UPDATE evidence SET reference = 'x'", "DELETE FROM evidence"])
async def test_the_database_itself_refuses_to_change_it(
    statement: str, ledger: Ledger, submitted: tuple[Provisioning, Submission]
) -> None:
    with pytest.raises(DatabaseError, match="only ever added to"):
        async with ledger.database.writing() as connection:
            await connection.execute(text(statement))
    assert len(await evidence(ledger.database, submitted[0].id)) == 1


async def test_the_document_of_an_auditor(
    ledger: Ledger, submitted: tuple[Provisioning, Submission], driver: Driver
) -> None:
    seen = await refused(ledger, submitted, driver)
    document = evidence_document(seen, await ledger.submissions(seen.id), await evidence(ledger.database, seen.id))
    assert (document["id"], document["name"], document["status"]) == (seen.id, "Ada", "REFUSED")
    [record] = document["evidence"]
    assert record["dataset"]["identity"] == DATASET_URL
    assert record["consent"]["sha256"] == CONSENT_SHA256
    assert (record["state"], record["avatar_id"]) == ("TAKEN", "a-1")
    assert "canary-signature" not in str(document)


async def everything(database: Database) -> str:
    """Every value of every table, as text."""
    tables = ("provisionings", "submissions", "events", "quarantine", "deliveries", "evidence", "duplicates")
    async with database.reading() as connection:
        found = [[tuple(row) for row in await connection.execute(text(f"SELECT * FROM {one}"))] for one in tables]  # noqa: S608  # names of ours
    return repr(found)


async def test_forgetting_leaves_the_bare_fact(
    ledger: Ledger, submitted: tuple[Provisioning, Submission], driver: Driver, clock: FakeClock
) -> None:
    seen = await refused(ledger, submitted, driver)
    quarantine = Quarantine(ledger.database, clock)
    await quarantine.release(seen.id, "Ada said so")
    delivery = Delivery.read(b'{"event": "AVATAR_TRAINING_FAILED", "data": {"avatarId": "a-1", "name": "Ada"}}')
    assert delivery is not None
    await Deliveries(ledger.database, clock).add(delivery)
    assert "Ada" in await everything(ledger.database)
    before = await evidence(ledger.database, seen.id)
    events = await ledger.events(seen.id)

    remains = await forget(ledger.database, clock, seen, driver, "asked for")

    told = await everything(ledger.database)
    assert not [word for word in ("Ada", "London", "ada/", "canary", "videos.example") if word in told]
    assert remains.avatar_ids == ["a-1"]
    assert any("a-1" in step and "Argil" in step for step in remains.steps)
    now = await ledger.get("creator-1")
    assert (now.id, now.status, now.avatar_id, now.forgotten_at) == (seen.id, Status.REFUSED, "a-1", clock.now())
    assert (now.name, now.request.extras, [one.code for one in now.reasons]) == (FORGOTTEN, {}, ["refused"])
    assert await evidence(ledger.database, seen.id) == before
    after = await ledger.events(seen.id)
    assert [(one.at, one.from_status, one.to_status) for one in after[:-1]] == [
        (one.at, one.from_status, one.to_status) for one in events
    ]
    document = evidence_document(now, await ledger.submissions(now.id), before)
    assert (document["name"], document["evidence"][0]["consent"]["identity"]) == (None, None)


async def test_what_was_refused_stays_out_after_its_person_was_forgotten(
    ledger: Ledger, submitted: tuple[Provisioning, Submission], driver: Driver, clock: FakeClock
) -> None:
    seen = await refused(ledger, submitted, driver)
    await forget(ledger.database, clock, seen, driver, "asked for")
    quarantine = Quarantine(ledger.database, clock)
    assert await quarantine.holds(Recording(DATASET_URL)) == seen.id
    assert await quarantine.holds(Recording("https://elsewhere.example/copy.mp4", '"d"', 7)) == seen.id


async def test_the_same_request_attaches_to_what_was_forgotten_and_nothing_moves_it(
    ledger: Ledger,
    submitted: tuple[Provisioning, Submission],
    request_of_ada: ProvisioningRequest,
    driver: Driver,
    clock: FakeClock,
) -> None:
    seen = await refused(ledger, submitted, driver)
    await forget(ledger.database, clock, seen, driver, "asked for")
    request = request_of_ada.model_copy(update={"extras": {"city": "London"}})
    found, is_new = await ledger.open(request, "creator-1", driver)
    assert (found.id, is_new, found.name) == (seen.id, False, FORGOTTEN)
    with pytest.raises(Forgotten):
        await ledger.record(found, driver, "Argil says IDLE", avatar={"name": "Ada"})
    with pytest.raises(StaleVersion):
        await forget(ledger.database, clock, seen, driver, "by a driver that read it before")
