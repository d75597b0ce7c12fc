"""The other provisionings that may be of an erased person: by recording in any role and form, and by name."""

from __future__ import annotations

from uuid import uuid4

import pytest

from models.provisioning import LeaseOwner, Provisioning
from models.request import ProvisioningRequest
from services.erasure import find_data_subject
from store.database import Database
from store.erasure import erase
from store.ledger import Ledger
from store.same_person import find_other_references
from tests.fakes import FakeClock

DATASET = "https://videos.example/ada/dätaset_1%20final.mp4"
CONSENT = "https://videos.example/download?file=ada"


@pytest.fixture
def ledger(database: Database, clock: FakeClock) -> Ledger:
    return Ledger(database, clock)


def request(name: str, dataset: str, consent: str) -> ProvisioningRequest:
    return ProvisioningRequest(name=name, dataset_video=dataset, consent_video=consent)


async def record(ledger: Ledger, owner: LeaseOwner, reference: str, *fields: str) -> Provisioning:
    provisioning, _ = await ledger.get_or_create(request(*fields), reference, owner)
    return await ledger.transition(provisioning, owner, "cancelled", new_status=provisioning.status.CANCELLED)


async def others(ledger: Ledger, key: str) -> list[str]:
    subject = await find_data_subject(ledger, key)
    return await find_other_references(ledger.database, await ledger.get(key), subject)


@pytest.mark.parametrize(
    ("name", "dataset", "consent", "is_found"),
    [
        ("Ada", "https://h.example/1.mp4", "https://h.example/2.mp4", True),
        ("Ada Lovelace", "https://h.example/1.mp4", "https://h.example/2.mp4", False),
        ("Eve", DATASET, "https://h.example/2.mp4", True),
        ("Eve", f"{DATASET}?X-Amz-Signature=canary-signature", "https://h.example/2.mp4", True),
        ("Eve", "https://Videos.Example:443/ada/d%C3%A4taset_1%20final.mp4", "https://h.example/2.mp4", True),
        ("Eve", f"{DATASET}.bak.mp4", "https://h.example/2.mp4", False),
        ("Eve", "https://h.example/1.mp4", DATASET, True),
        ("Eve", "https://h.example/1.mp4", CONSENT, True),
        ("Eve", "https://h.example/1.mp4", CONSENT.replace("ada", "eve"), False),
    ],
)
async def test_recordings_and_names_are_found(
    ledger: Ledger, owner: LeaseOwner, name: str, dataset: str, consent: str, is_found: bool
) -> None:
    await record(ledger, owner, "own", "Ada", DATASET, CONSENT)
    await record(ledger, owner, "other", name, dataset, consent)
    await record(ledger, owner, "stranger", "Bob", "https://h.example/b.mp4", "https://h.example/c.mp4")
    assert await others(ledger, "own") == (["other"] if is_found else [])


async def test_erased_ones_are_left_out_and_all_others_are_named(
    ledger: Ledger, owner: LeaseOwner, clock: FakeClock
) -> None:
    references = [f"r-{number}" for number in range(30)]
    for reference in references:
        await record(ledger, owner, reference, f"Name {uuid4()}", f"https://h.example/{reference}.mp4", CONSENT)
        clock.advance(1)
    assert await others(ledger, "r-3") == [reference for reference in references if reference != "r-3"]
    await erase(ledger.database, clock, await ledger.get("r-4"), owner, "erased")
    assert "r-4" not in await others(ledger, "r-3")
    assert await others(ledger, "r-4") == []
