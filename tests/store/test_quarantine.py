"""The quarantine on both engines."""

from __future__ import annotations

import pytest
from sqlalchemy import insert

from models.errors import InvalidRequest, NotInQuarantine
from models.media.rules import MediaRole
from models.provisioning import LeaseOwner, Provisioning
from models.recordings.identity import RecordingIdentity, legacy_digest
from models.request import ProvisioningRequest
from models.tables import quarantine_table
from store.database import Database
from store.ledger import Ledger
from store.quarantine import QuarantineRepository, recording_identities
from tests.fakes import FakeClock

SAMPLE, CONSENT_SAMPLE, CONTENT, OTHER = (digit * 64 for digit in "abcd")
ETAG = f'"{"0f" * 16}"'
FACTS: dict[str, dict[str, object]] = {
    "dataset": {"etag": ETAG, "size_bytes": 7, "sample_sha256": SAMPLE},
    "consent": {"etag": '"1"', "size_bytes": 8, "sample_sha256": CONSENT_SAMPLE, "sha256": CONTENT},
}


@pytest.fixture
def quarantine(database: Database, clock: FakeClock) -> QuarantineRepository:
    return QuarantineRepository(database, clock)


@pytest.fixture
async def refused(
    database: Database, clock: FakeClock, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> Provisioning:
    ledger = Ledger(database, clock)
    opened, _ = await ledger.get_or_create(provisioning_request, "ada-1", owner)
    return await ledger.transition(opened, owner, "checked", media_facts=FACTS)


async def quarantining(quarantine: QuarantineRepository, url: str, **facts: object) -> str | None:
    return await quarantine.find_provisioning_for(RecordingIdentity.from_facts(url, facts))


async def test_both_recordings_are_quarantined_by_identity(
    quarantine: QuarantineRepository, refused: Provisioning
) -> None:
    dataset, consent = "https://videos.example/ada/dataset.mp4", "https://videos.example/ada/consent.mp4"
    assert await quarantining(quarantine, dataset) is None
    await quarantine.add(refused)
    for url in (
        dataset,
        consent,
        f"{dataset}?X-Amz-Signature=2",
        "https://videos.example.:443/x/../ada/%64ataset.mp4",
    ):
        assert await quarantining(quarantine, url) == refused.id
    for url in ("https://videos.example/grace.mp4", f"{dataset}?id=2"):
        assert await quarantining(quarantine, url) is None


@pytest.mark.parametrize(
    ("facts", "is_quarantined"),
    [
        ({"sample_sha256": SAMPLE}, True),
        ({"sample_sha256": SAMPLE, "sha256": CONTENT}, True),
        ({"sample_sha256": OTHER}, False),
        ({"sha256": CONTENT}, True),
        ({"sha256": CONTENT, "sample_sha256": OTHER}, True),
        ({"sha256": OTHER, "sample_sha256": CONSENT_SAMPLE}, False),
        ({"sample_sha256": CONSENT_SAMPLE}, True),
        ({"sample_sha256": None, "sha256": None}, False),
        ({"etag": ETAG, "size_bytes": 7}, True),
        ({"etag": ETAG, "size_bytes": 7, "sample_sha256": SAMPLE, "sha256": OTHER}, True),
        ({"etag": ETAG, "size_bytes": 7, "sample_sha256": OTHER}, False),
        ({"etag": ETAG, "size_bytes": 8}, False),
        ({"etag": None, "size_bytes": 7}, False),
        ({"etag": '"1"', "size_bytes": 8}, False),
        ({"etag": f"W/{ETAG}", "size_bytes": 7}, False),
    ],
)
async def test_copy_is_quarantined_by_its_content(
    quarantine: QuarantineRepository, refused: Provisioning, facts: dict[str, object], *, is_quarantined: bool
) -> None:
    await quarantine.add(refused)
    actual = await quarantining(quarantine, "https://elsewhere.example/copy.mp4", **facts)
    assert (actual == refused.id) is is_quarantined


async def test_legacy_entry_blocks_any_query(
    quarantine: QuarantineRepository, database: Database, refused: Provisioning
) -> None:
    url = "https://videos.example/old.mp4"
    values = {
        "provisioning_id": refused.id,
        "legacy_identity_sha256": legacy_digest(url),
        "input_identity": "(erased)",
        "quarantined_at": refused.created_at,
    }
    await database.write(lambda connection: connection.execute(insert(quarantine_table), values))
    for equivalent in (url, f"{url}?id=2", "https://videos.example:443/%6fld.mp4?sig=3"):
        assert await quarantining(quarantine, equivalent) == refused.id
    assert await quarantining(quarantine, "https://videos.example/new.mp4") is None


async def test_add_is_idempotent_and_release_frees_both(
    quarantine: QuarantineRepository, refused: Provisioning, owner: LeaseOwner
) -> None:
    await quarantine.add(refused)
    await quarantine.add(refused)
    released = await quarantine.release(refused, "reviewed by Eve: consent is hers", owner)
    assert sorted(released) == sorted(recording.shown for recording in recording_identities(refused).values())
    assert await quarantining(quarantine, "https://videos.example/ada/dataset.mp4", **FACTS["dataset"]) is None
    assert await quarantine.release(refused, "again", owner) == []


async def test_release_without_a_quarantine_is_an_error(
    quarantine: QuarantineRepository, refused: Provisioning, owner: LeaseOwner
) -> None:
    with pytest.raises(NotInQuarantine, match=f"{refused.id}, which is ACCEPTED, put no recording"):
        await quarantine.release(refused, "reviewed", owner)
    assert await quarantine.list_releases([refused.id]) == {}


async def test_release_is_an_event_of_its_own(
    database: Database, clock: FakeClock, quarantine: QuarantineRepository, refused: Provisioning, owner: LeaseOwner
) -> None:
    ledger = Ledger(database, clock)
    await quarantine.add(refused)
    assert await quarantine.list_releases([refused.id]) == {}
    await quarantine.release(refused, "reviewed by Eve", owner)
    await quarantine.release(refused, "again", owner)
    event = (await ledger.list_events(refused.id))[-1]
    assert event.message == "a person released 2 recordings from quarantine: reviewed by Eve"
    assert (event.from_status, event.to_status, event.actor) == (refused.status, refused.status, owner.actor)
    assert event.flow_run_id == owner.flow_run_id
    [release] = (await quarantine.list_releases([refused.id, "other"]))[refused.id]
    assert (release.reason, release.recordings) == ("reviewed by Eve", 2)
    assert release.released_at == event.occurred_at


async def test_release_with_a_refused_reason_changes_nothing(
    database: Database, clock: FakeClock, quarantine: QuarantineRepository, refused: Provisioning, owner: LeaseOwner
) -> None:
    await quarantine.add(refused)
    before = await Ledger(database, clock).list_events(refused.id)
    for reason in ("", " \n", "x" * 1001, "hid\u202eden"):
        with pytest.raises(InvalidRequest, match="reason"):
            await quarantine.release(refused, reason, owner)
    assert await Ledger(database, clock).list_events(refused.id) == before
    assert await quarantine.list_releases([refused.id]) == {}


async def test_provisioning_with_a_quarantined_recording_is_not_released(
    quarantine: QuarantineRepository, refused: Provisioning, database: Database, clock: FakeClock, owner: LeaseOwner
) -> None:
    await quarantine.add(refused)
    await quarantine.release(refused, "reviewed", owner)
    row = {"provisioning_id": refused.id, "input_identity": "x", "quarantined_at": clock.now()}
    await database.write(lambda connection: connection.execute(insert(quarantine_table), row))
    assert await quarantine.list_releases([refused.id]) == {}
    assert await quarantine.list_releases([]) == {}


async def test_shown_identity_omits_the_query(refused: Provisioning) -> None:
    assert recording_identities(refused)[MediaRole.DATASET].shown == "https://videos.example/ada/dataset.mp4"
