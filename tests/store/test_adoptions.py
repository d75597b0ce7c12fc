"""Adoptions in the ledger, on both engines: all or none, once, and no avatar for two provisionings."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, text

from models.adoption import Adoption, adopt_request
from models.argil.avatar import Avatar
from models.argil.webhook import WebhookDelivery
from models.errors import (
    AvatarOnRecord,
    AvatarTaken,
    DatabaseError,
    ReferenceConflict,
    ReferenceIsAdopted,
    ReferenceIsId,
)
from models.provisioning import LeaseOwner, Status, SubmissionState
from models.request import ProvisioningRequest, RequestKind
from models.tables import provisioning_table
from store import migrate
from store.database import Database
from store.erasure import erase
from store.ledger import Ledger
from store.webhook_deliveries import WebhookDeliveryRepository
from tests.fakes import FakeClock
from tests.store.test_migrations import alembic_config, insert_provisioning

from alembic import command  # isort: skip


def adoption(avatar_id: str, reference: str, status: str = "IDLE", **fields: Any) -> Adoption:
    avatar = Avatar.parse({"id": avatar_id, "status": status, "name": "Mary", **fields})
    assert avatar is not None
    request = adopt_request(avatar, reference)
    return Adoption(avatar_id, request.reference or "", request, avatar)


@pytest.fixture
def ledger(database: Database, clock: FakeClock) -> Ledger:
    return Ledger(database, clock)


async def count(database: Database) -> int:
    query = select(provisioning_table.c.id)
    return len(await database.read(lambda connection: connection.execute(query).all()))


async def test_adopted_avatar_is_on_record_without_a_submission(ledger: Ledger, owner: LeaseOwner) -> None:
    [result] = await ledger.adopt([adoption("a-1", "r-1", extras={"team": "berlin"})], owner)
    assert result.provisioning is not None
    read = await ledger.get("r-1")
    assert (read, result.is_new) == (result.provisioning, True)
    assert (read.kind, read.status, read.avatar_id) == (RequestKind.ADOPTED, Status.READY, "a-1")
    assert (read.raw_status, read.submission_count, read.training_started_at) == ("IDLE", 0, None)
    assert (read.name, read.request.extras) == ("Mary", {"team": "berlin"})
    assert await ledger.list_submissions(read.id) == []
    [event] = await ledger.list_events(read.id)
    assert (event.from_status, event.to_status, event.raw_status) == (None, Status.READY, "IDLE")


async def test_adopting_again_changes_nothing(ledger: Ledger, owner: LeaseOwner, database: Database) -> None:
    [first] = await ledger.adopt([adoption("a-1", "r-1")], owner)
    [again] = await ledger.adopt([adoption("a-1", "r-1", "TRAINING", name="Other")], owner)
    assert (again.provisioning, again.is_new, again.problem) == (first.provisioning, False, None)
    assert await count(database) == 1


async def test_problem_of_one_leaves_all_out(
    ledger: Ledger, owner: LeaseOwner, database: Database, provisioning_request: ProvisioningRequest
) -> None:
    [adopted] = await ledger.adopt([adoption("a-1", "r-1")], owner)
    opened, _ = await ledger.get_or_create(provisioning_request, "r-2", owner)
    results = await ledger.adopt(
        [
            adoption("a-1", "r-9"),
            adoption("a-3", "r-1"),
            adoption("a-4", "r-2"),
            adoption("a-5", opened.id.upper()),
            adoption("a-6", "r-6"),
        ],
        owner,
    )
    kinds = [type(result.problem) for result in results]
    assert kinds == [AvatarOnRecord, ReferenceIsAdopted, ReferenceConflict, ReferenceIsId, type(None)]
    assert adopted.provisioning is not None
    assert adopted.provisioning.id in str(results[0].problem)
    assert await count(database) == 2


async def test_avatar_of_a_submission_or_a_duplicate_is_on_record(
    ledger: Ledger, owner: LeaseOwner, provisioning_request: ProvisioningRequest
) -> None:
    opened, _ = await ledger.get_or_create(provisioning_request, "r-1", owner)
    submitting, submission = await ledger.begin_submission(opened, owner, "sending")
    accepted = await ledger.resolve_submission(
        submitting, owner, "lost", submission, SubmissionState.LOST, new_status=Status.ACCEPTED
    )
    await ledger.record_avatar(submission, "a-1")
    await ledger.record_duplicate(accepted, owner, submission.id, "a-2", "duplicate")
    for avatar_id in ("a-1", "a-2"):
        [result] = await ledger.adopt([adoption(avatar_id, "r-2")], owner)
        assert isinstance(result.problem, AvatarOnRecord)
        assert opened.id in result.problem.message


async def test_preview_writes_nothing(ledger: Ledger, owner: LeaseOwner, database: Database) -> None:
    [result] = await ledger.adopt([adoption("a-1", "r-1")], owner, is_preview=True)
    assert (result.provisioning, result.is_new) == (None, True)
    assert await count(database) == 0


async def test_two_processes_adopt_each_avatar_once(
    database: Database, owner: LeaseOwner, clock: FakeClock
) -> None:
    adoptions = [adoption(f"a-{number}", f"r-{number}") for number in range(50)]
    ledgers = [Ledger(database, clock) for _ in range(4)]
    reports = await asyncio.gather(*(ledger.adopt(adoptions, owner) for ledger in ledgers))
    assert sum(result.is_new for report in reports for result in report) == 50
    assert not any(result.problem for report in reports for result in report)
    assert await count(database) == 50


async def test_two_processes_adopt_in_opposite_orders(
    database: Database, owner: LeaseOwner, clock: FakeClock
) -> None:
    adoptions = [adoption(f"a-{number}", f"r-{number}") for number in range(200)]
    ledgers = [Ledger(database, clock) for _ in range(2)]
    orders = (adoptions, adoptions[::-1])
    reports = await asyncio.gather(
        *(ledger.adopt(order, owner) for ledger, order in zip(ledgers, orders, strict=True))
    )
    assert sum(result.is_new for report in reports for result in report) == 200
    for report, order in zip(reports, orders, strict=True):
        found = [result.provisioning and result.provisioning.avatar_id for result in report]
        assert found == [item.avatar.id for item in order]


@pytest.mark.parametrize(
    ("status", "voice_id", "is_due"), [("IDLE", "v-1", True), ("IDLE", None, False), ("TRAINING", "v-1", False)]
)
async def test_voice_of_an_earlier_delivery_is_due(
    ledger: Ledger,
    owner: LeaseOwner,
    database: Database,
    clock: FakeClock,
    status: str,
    voice_id: str | None,
    is_due: bool,
) -> None:
    delivery = WebhookDelivery("AVATAR_TRAINING_SUCCESS", "a-1", "0", "{}", voice_id)
    await WebhookDeliveryRepository(database, clock).add(delivery)
    [result] = await ledger.adopt([adoption("a-1", "r-1", status)], owner)
    assert result.provisioning is not None
    assert result.provisioning.voice_due_at == (clock.now() if is_due else None)


async def test_avatar_of_an_adoption_is_not_recorded_for_a_submission(
    ledger: Ledger, owner: LeaseOwner, provisioning_request: ProvisioningRequest
) -> None:
    await ledger.adopt([adoption("a-1", "r-1")], owner)
    opened, _ = await ledger.get_or_create(provisioning_request, "r-2", owner)
    submitting, submission = await ledger.begin_submission(opened, owner, "sending")
    with pytest.raises(AvatarTaken, match="a-1"):
        await ledger.resolve_submission(
            submitting,
            owner,
            "created",
            submission,
            SubmissionState.CREATED,
            new_status=Status.TRAINING,
            avatar_id="a-1",
        )
    assert (await ledger.get(opened.id)).status is Status.SUBMITTING


async def test_request_with_the_reference_of_an_adoption_is_a_conflict(
    ledger: Ledger, owner: LeaseOwner, provisioning_request: ProvisioningRequest
) -> None:
    await ledger.adopt([adoption("a-1", "r-1")], owner)
    with pytest.raises(ReferenceIsAdopted, match="made elsewhere and has no recordings"):
        await ledger.get_or_create(provisioning_request, "r-1", owner)


async def test_adopted_one_can_be_erased(
    ledger: Ledger, owner: LeaseOwner, database: Database, clock: FakeClock
) -> None:
    [result] = await ledger.adopt([adoption("a-1", "r-1", name="Canary", extras={"team": "canary"})], owner)
    assert result.provisioning is not None
    report = await erase(database, clock, result.provisioning, owner, "erased")
    assert report.avatar_ids == ["a-1"]
    erased = await ledger.get(result.provisioning.id)
    assert "anary" not in str(erased)


async def test_upgrade_names_provisionings_that_share_an_avatar(database_url: str) -> None:
    """On a ledger of the previous revision; nothing is changed until one of them gives the avatar up."""
    database = Database(database_url)

    def create(connection: Any) -> None:
        command.upgrade(alembic_config(connection), "cancelled_batches")
        for key, avatar_id in (("p-1", "a-1"), ("p-2", "a-1"), ("p-3", "a-3"), ("p-4", None), ("p-5", None)):
            insert_provisioning(connection, key, key, avatar_id=avatar_id)

    await asyncio.to_thread(database.create_file)
    await database.write(create)
    for _ in range(2):
        with pytest.raises(DatabaseError, match="avatar a-1 of provisionings p-1, p-2; nothing was changed"):
            await migrate.upgrade(database)
        assert (await migrate.schema_revisions(database))[0] == "cancelled_batches"
    give_up = text("UPDATE provisionings SET avatar_id = NULL, version = version + 1 WHERE id = 'p-2'")
    await database.write(lambda connection: connection.execute(give_up))
    await migrate.upgrade(database)
    repeat = text("UPDATE provisionings SET avatar_id = 'a-3' WHERE id = 'p-2'")
    with pytest.raises(DatabaseError):
        await database.write(lambda connection: connection.execute(repeat))
    await database.write(lambda connection: command.downgrade(alembic_config(connection), "cancelled_batches"))
    await database.write(lambda connection: connection.execute(repeat))
    assert await count(database) == 5
    await database.close()
