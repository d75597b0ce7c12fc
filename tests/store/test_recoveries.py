"""Submissions that a ledger lost, recorded again on both engines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Table, func, select

from models.argil.avatar import Avatar
from models.errors import StaleVersion
from models.limits import SubmissionGuard, day_counter
from models.provisioning import LeaseOwner, Provisioning, Status, SubmissionState
from models.request import ProvisioningRequest
from models.spend_limits import SpendLimits
from models.submission_ids import new_submission_id, request_tag
from models.tables import counter_table, evidence_table, unknown_avatar_table
from store.database import Database
from store.erasure import erase
from store.ledger import Ledger
from tests.chaos.invariants import find_counter_differences
from tests.fakes import FakeClock

SECRET = "https://videos.example/a.mp4?X-Amz-Signature=canary-signature"


@pytest.fixture
def ledger(database: Database, clock: FakeClock) -> Ledger:
    return Ledger(database, clock)


def tag(provisioning: Provisioning) -> str:
    return request_tag(provisioning.reference, provisioning.request_fingerprint)


def avatar_of(provisioning: Provisioning, avatar_id: str = "a-1", **changes: Any) -> Avatar:
    submission_id = new_submission_id(provisioning.reference, provisioning.request_fingerprint)
    extras = {"submission_id": submission_id}
    parsed = Avatar.parse({"id": avatar_id, "status": "TRAINING", "extras": extras, **changes})
    assert parsed is not None
    return parsed


async def recover(ledger: Ledger, provisioning: Provisioning, owner: LeaseOwner, avatar: Avatar) -> Provisioning:
    return await ledger.recover_submission(provisioning, owner, avatar.submission_id or "", avatar)


async def read_counter(database: Database, name: str) -> int | None:
    query = select(counter_table.c.count).where(counter_table.c.name == name)
    return await database.read(lambda connection: connection.execute(query).scalar_one_or_none())


async def count_rows(database: Database, table: Table) -> int:
    query = select(func.count()).select_from(table)
    return await database.read(lambda connection: connection.execute(query).scalar_one())


async def test_accepted_continues_with_the_avatar(
    ledger: Ledger,
    database: Database,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    clock: FakeClock,
) -> None:
    opened, _ = await ledger.get_or_create(provisioning_request, "ada-1", owner)
    created_at = clock.now() - timedelta(hours=30)
    avatar = avatar_of(opened, createdAt=created_at.isoformat(), thumbnailUrl=SECRET)
    unknown = {"submission_id": avatar.submission_id, "name": "Ada", "first_seen_at": clock.now()}
    await database.write(lambda connection: connection.execute(unknown_avatar_table.insert(), unknown))

    recovered = await recover(ledger, opened, owner, avatar)
    assert (recovered.status, recovered.avatar_id, recovered.raw_status) == (Status.TRAINING, "a-1", "TRAINING")
    assert (recovered.training_started_at, recovered.submission_count) == (created_at, 1)
    assert "canary" not in str(recovered.avatar_snapshot)
    [submission] = await ledger.list_submissions(opened.id)
    assert (submission.id, submission.state) == (avatar.submission_id, SubmissionState.CREATED)
    assert (submission.avatar_id, submission.created_at) == ("a-1", created_at)
    assert submission.request_fingerprint == opened.request_fingerprint
    assert await read_counter(database, day_counter(created_at)) == 1
    event = (await ledger.list_events(opened.id))[-1]
    assert (event.submission_id, event.to_status) == (avatar.submission_id, Status.TRAINING)
    assert await count_rows(database, unknown_avatar_table) == 0
    assert await count_rows(database, evidence_table) == 0


async def test_budget_of_the_day_counts_but_does_not_stop_a_recovery(
    ledger: Ledger,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    database: Database,
    clock: FakeClock,
) -> None:
    guard = SubmissionGuard(SpendLimits(per_day=1))
    first, _ = await ledger.get_or_create(provisioning_request, "ada-1", owner)
    await ledger.begin_submission(first, owner, "sending", guard)
    second, _ = await ledger.get_or_create(provisioning_request, "ada-2", owner)
    assert (await recover(ledger, second, owner, avatar_of(second))).status is Status.TRAINING
    assert await read_counter(database, day_counter(clock.now())) == 2


async def test_recovery_counts_for_the_utc_day_of_any_zone(
    ledger: Ledger,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    database: Database,
    clock: FakeClock,
) -> None:
    opened, _ = await ledger.get_or_create(provisioning_request, "ada-1", owner)
    created_at = clock.now().replace(hour=1) - timedelta(days=1)
    local = created_at.astimezone(timezone(timedelta(hours=-5)))
    assert local.date() < created_at.date()
    await recover(ledger, opened, owner, avatar_of(opened, createdAt=local.isoformat()))
    assert await read_counter(database, day_counter(created_at)) == 1
    assert await database.read(find_counter_differences) == []


async def test_other_status_stays_and_its_submission_is_lost(
    ledger: Ledger, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> None:
    opened, _ = await ledger.get_or_create(provisioning_request, "ada-1", owner)
    submitting, _ = await ledger.begin_submission(opened, owner, "sending")
    recovered = await recover(ledger, submitting, owner, avatar_of(submitting))
    assert (recovered.status, recovered.avatar_id, recovered.submission_count) == (Status.SUBMITTING, None, 2)
    submissions = await ledger.list_submissions(opened.id)
    assert [item.state for item in submissions] == [SubmissionState.PENDING, SubmissionState.LOST]
    assert submissions[1].avatar_id is None


async def test_recovery_of_an_older_version_writes_nothing(
    ledger: Ledger, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> None:
    opened, _ = await ledger.get_or_create(provisioning_request, "ada-1", owner)
    avatar = avatar_of(opened)
    await recover(ledger, opened, owner, avatar)
    with pytest.raises(StaleVersion):
        await recover(ledger, opened, owner, avatar)
    assert len(await ledger.list_submissions(opened.id)) == 1


async def test_ids_by_tag_leave_out_final_and_erased(
    ledger: Ledger,
    database: Database,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    clock: FakeClock,
) -> None:
    opened = [(await ledger.get_or_create(provisioning_request, f"ada-{n}", owner))[0] for n in range(4)]
    training = await recover(ledger, opened[1], owner, avatar_of(opened[1]))
    await ledger.transition(training, owner, "ready", new_status=Status.READY)
    await ledger.transition(opened[2], owner, "cancelled", new_status=Status.CANCELLED)
    cancelled = await ledger.transition(opened[3], owner, "cancelled", new_status=Status.CANCELLED)
    await erase(database, clock, cancelled, owner, "erased")
    found = await ledger.find_ids_by_tag({tag(item) for item in opened})
    assert found == {tag(opened[0]): opened[0].id, tag(opened[2]): opened[2].id}
    assert await ledger.find_ids_by_tag({"0" * 15}) == {}


@pytest.mark.parametrize(
    ("created_at", "expected"),
    [
        ("2026-11-22T09:00:00Z", datetime(2026, 11, 22, 9, tzinfo=UTC)),
        ("2026-11-22T09:00:00", datetime(2026, 11, 22, 9, tzinfo=UTC)),
        ("2026-11-23T19:00:00Z", FakeClock().now()),
        ("0001-01-01T00:00:00+14:00", FakeClock().now()),
        ("9999-12-31T23:59:59-12:00", FakeClock().now()),
        ("soon", FakeClock().now()),
        (None, FakeClock().now()),
    ],
)
def test_creation_time_is_used_only_if_plausible(created_at: str | None, expected: datetime) -> None:
    avatar = Avatar.parse({"id": "a-1", "status": "IDLE", "createdAt": created_at})
    assert avatar is not None
    assert avatar.created_by(FakeClock().now()) == expected
