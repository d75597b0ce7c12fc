"""The quarantine on both engines."""

from __future__ import annotations

import pytest

from models.provisioning import LeaseOwner, Provisioning
from models.request import ProvisioningRequest
from store.database import Database
from store.ledger import Ledger
from store.quarantine import QuarantineRepository, RecordingIdentity, recording_identities
from tests.fakes import FakeClock


@pytest.fixture
def quarantine(database: Database, clock: FakeClock) -> QuarantineRepository:
    return QuarantineRepository(database, clock)


@pytest.fixture
async def refused(
    database: Database, clock: FakeClock, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> Provisioning:
    ledger = Ledger(database, clock)
    opened, _ = await ledger.get_or_create(provisioning_request, "ada-1", owner)
    media = {"dataset": {"etag": '"d"', "size_bytes": 7}, "consent": {"etag": None, "size_bytes": 8}}
    return await ledger.transition(opened, owner, "checked", media_facts=media)


async def test_both_recordings_are_quarantined_by_identity(
    quarantine: QuarantineRepository, refused: Provisioning
) -> None:
    assert (
        await quarantine.find_provisioning_for(RecordingIdentity("https://videos.example/ada/dataset.mp4")) is None
    )
    await quarantine.add(refused)
    assert (
        await quarantine.find_provisioning_for(RecordingIdentity("https://videos.example/ada/dataset.mp4"))
        == refused.id
    )
    assert (
        await quarantine.find_provisioning_for(RecordingIdentity("https://videos.example/ada/consent.mp4"))
        == refused.id
    )
    assert await quarantine.find_provisioning_for(RecordingIdentity("https://videos.example/grace.mp4")) is None


@pytest.mark.parametrize(
    ("etag", "size", "is_quarantined"),
    [('"d"', 7, True), ('"d"', 8, False), ('"x"', 7, False), (None, 8, False), (None, None, False)],
)
async def test_copy_is_quarantined_by_etag_and_size_together(
    quarantine: QuarantineRepository,
    refused: Provisioning,
    etag: str | None,
    size: int | None,
    *,
    is_quarantined: bool,
) -> None:
    await quarantine.add(refused)
    provisioning_id = await quarantine.find_provisioning_for(
        RecordingIdentity("https://elsewhere.example/copy.mp4", etag, size)
    )
    assert (provisioning_id == refused.id) is is_quarantined


async def test_add_is_idempotent_and_release_frees_both(
    quarantine: QuarantineRepository, refused: Provisioning
) -> None:
    await quarantine.add(refused)
    await quarantine.add(refused)
    released = await quarantine.release(refused.id, "reviewed by Eve: consent is hers")
    assert sorted(released) == sorted(recording.identity for recording in recording_identities(refused).values())
    assert (
        await quarantine.find_provisioning_for(RecordingIdentity("https://videos.example/ada/dataset.mp4")) is None
    )
    assert await quarantine.release(refused.id, "again") == []


async def test_identity_omits_the_signature(refused: Provisioning) -> None:
    assert recording_identities(refused)["dataset"].identity == "https://videos.example/ada/dataset.mp4"
