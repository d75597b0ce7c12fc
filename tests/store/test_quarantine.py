"""The quarantine on both engines."""

from __future__ import annotations

import pytest

from models.provisioning import Driver, Provisioning
from models.request import ProvisioningRequest
from store.database import Database
from store.provisionings import Ledger
from store.quarantine import Quarantine, Recording, recordings
from tests.fakes import FakeClock


@pytest.fixture
def quarantine(database: Database, clock: FakeClock) -> Quarantine:
    return Quarantine(database, clock)


@pytest.fixture
async def refused(
    database: Database, clock: FakeClock, request_of_ada: ProvisioningRequest, driver: Driver
) -> Provisioning:
    ledger = Ledger(database, clock)
    opened, _ = await ledger.open(request_of_ada, "ada-1", driver)
    media = {"dataset": {"etag": '"d"', "size_bytes": 7}, "consent": {"etag": None, "size_bytes": 8}}
    return await ledger.record(opened, driver, "checked", media=media)


async def test_both_recordings_are_kept_out_by_identity(quarantine: Quarantine, refused: Provisioning) -> None:
    assert await quarantine.holds(Recording("https://videos.example/ada/dataset.mp4")) is None
    await quarantine.put(refused)
    assert await quarantine.holds(Recording("https://videos.example/ada/dataset.mp4")) == refused.id
    assert await quarantine.holds(Recording("https://videos.example/ada/consent.mp4")) == refused.id
    assert await quarantine.holds(Recording("https://videos.example/grace.mp4")) is None


@pytest.mark.parametrize(
    ("etag", "size", "kept_out"),
    [('"d"', 7, True), ('"d"', 8, False), ('"x"', 7, False), (None, 8, False), (None, None, False)],
)
async def test_a_copy_is_kept_out_by_etag_and_size_together(
    quarantine: Quarantine, refused: Provisioning, etag: str | None, size: int | None, *, kept_out: bool
) -> None:
    await quarantine.put(refused)
    holder = await quarantine.holds(Recording("https://elsewhere.example/copy.mp4", etag, size))
    assert (holder == refused.id) is kept_out


async def test_putting_twice_keeps_one_entry_each_and_a_release_lets_both_in(
    quarantine: Quarantine, refused: Provisioning
) -> None:
    await quarantine.put(refused)
    await quarantine.put(refused)
    released = await quarantine.release(refused.id, "reviewed by Eve: consent is hers")
    assert sorted(released) == sorted(one.identity for one in recordings(refused).values())
    assert await quarantine.holds(Recording("https://videos.example/ada/dataset.mp4")) is None
    assert await quarantine.release(refused.id, "again") == []


async def test_the_identity_leaves_out_the_signature(refused: Provisioning) -> None:
    assert recordings(refused)["dataset"].identity == "https://videos.example/ada/dataset.mp4"
