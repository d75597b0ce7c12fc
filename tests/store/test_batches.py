"""Batches on record and the provisionings that they take, on both engines."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from models.batch_record import BatchSource
from models.errors import BatchCancelled, ReferenceConflict, UnknownBatch, UnknownProvisioning
from models.manifest.manifest import parse_rows
from models.privacy.erasure import ERASED_PLACEHOLDER
from models.provisioning import LeaseOwner, Provisioning, Status
from models.reopening import CallerAction
from models.request import ProvisioningRequest
from models.tables import batch_table, extra_table
from store.batches import BatchRepository, require_running_batch
from store.database import Database
from store.erasure import erase
from store.leases import LeaseRepository
from store.ledger import Ledger
from store.statements import TAKE_FOR_BATCH
from tests.conftest import CreateDatabase
from tests.fakes import FakeClock

VIDEO = "https://videos.example/v.mp4"


@pytest.fixture
def ledger(database: Database, clock: FakeClock) -> Ledger:
    return Ledger(database, clock)


@pytest.fixture
def batches(database: Database, clock: FakeClock) -> BatchRepository:
    return BatchRepository(database, clock)


@pytest.fixture
def leases(database: Database, clock: FakeClock) -> LeaseRepository:
    return LeaseRepository(database, clock)


@contextlib.asynccontextmanager
async def other_transaction(database: Database) -> AsyncIterator[AsyncConnection]:
    """A transaction of another process, which the test can hold open."""
    engine = create_async_engine(database.engine.url)
    async with engine.begin() as connection:
        yield connection
    await engine.dispose()


def batch_owner(batch_id: str | None = None) -> LeaseOwner:
    run_id = batch_id or str(uuid4())
    return LeaseOwner(actor="provision-batch", id=str(uuid4()), flow_run_id=run_id, batch_id=run_id)


def source(*names: str, manifest: str | None = "week.csv", sha256: str = "a" * 64) -> BatchSource:
    """A manifest with a row for each name; a row without a name is invalid."""
    rows = parse_rows([{"name": name, "dataset_video": VIDEO, "consent_video": VIDEO} for name in names])
    return BatchSource(rows, manifest, sha256, "avatars batch (ada)")


async def extras_of(ledger: Ledger, provisioning: Provisioning) -> dict[str, str]:
    query = select(extra_table).where(extra_table.c.provisioning_id == provisioning.id)
    rows = await ledger.database.read(lambda connection: connection.execute(query).all())
    assert {row.created_at for row in rows} <= {provisioning.created_at}
    return {row.key: row.value for row in rows}


async def test_restarted_run_is_one_batch(batches: BatchRepository, clock: FakeClock) -> None:
    owner = batch_owner()
    first = await batches.begin(source("Ada", ""), owner)
    assert (first.row_count, first.invalid_count, first.ended_at) == (2, 1, None)
    clock.advance(60)
    await batches.end(owner, invalid_count=1)
    clock.advance(60)
    again = await batches.begin(source("Ada", "Eve", sha256="b" * 64), batch_owner(owner.batch_id))
    assert again == await batches.get(first.id.upper())
    assert (again.started_at, again.ended_at) == (first.started_at, None)
    assert (again.manifest_sha256, again.row_count, again.invalid_count) == ("b" * 64, 2, 0)


async def test_pages_of_batches_are_newest_first(batches: BatchRepository, clock: FakeClock) -> None:
    begun = []
    for number in range(5):
        begun.append(await batches.begin(source("Ada"), batch_owner()))
        clock.advance(number % 2)  # some start at the same moment
    expected = sorted(begun, key=lambda item: (item.started_at, item.id), reverse=True)
    first = await batches.list_page(3)
    assert first + await batches.list_page(3, first[-1]) == expected


@pytest.mark.parametrize("key", ["", "a-1", "2d55bc98-47db-4f4d-a2ce-7bd19faad669", "\x00"])
async def test_unknown_batch_is_an_error(batches: BatchRepository, key: str) -> None:
    with pytest.raises(UnknownBatch, match="no batch has the id"):
        await batches.get(key)


async def test_row_counts_for_the_batch_that_took_it_last(
    ledger: Ledger, batches: BatchRepository, provisioning_request: ProvisioningRequest
) -> None:
    monday, tuesday = batch_owner(), batch_owner()
    opened, _ = await ledger.get_or_create(provisioning_request, "r-1", monday)
    assert opened.batch_id == monday.batch_id
    ready = await ledger.transition(opened, monday, "rejected", new_status=Status.REJECTED)
    await ledger.get_or_create(provisioning_request, "r-2", monday)
    attached, is_new = await ledger.get_or_create(provisioning_request, "r-1", tuesday)
    assert (attached.batch_id, is_new, attached.version) == (tuesday.batch_id, False, ready.version)
    assert await ledger.get("r-1") == attached
    ids = [monday.batch_id or "", tuesday.batch_id or "", "unknown"]
    assert await batches.count_by_status(ids) == {
        ids[0]: {Status.ACCEPTED: 1},
        ids[1]: {Status.REJECTED: 1},
        "unknown": {},
    }


async def test_request_without_a_batch_leaves_the_batch(
    ledger: Ledger, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> None:
    taken, _ = await ledger.get_or_create(provisioning_request, "r-1", batch_owner())
    attached, _ = await ledger.get_or_create(provisioning_request, "r-1", owner)
    assert attached.batch_id == taken.batch_id is not None


async def test_batch_takes_neither_conflicts_nor_erased_provisionings(
    ledger: Ledger, provisioning_request: ProvisioningRequest, owner: LeaseOwner, clock: FakeClock
) -> None:
    opened, _ = await ledger.get_or_create(provisioning_request, "r-1", owner)
    cancelled = await ledger.transition(opened, owner, "cancelled", new_status=Status.CANCELLED)
    with pytest.raises(ReferenceConflict):
        await ledger.get_or_create(provisioning_request.model_copy(update={"name": "Eve"}), "r-1", batch_owner())
    assert await ledger.get("r-1") == cancelled
    await erase(ledger.database, clock, cancelled, owner, "erased")
    attached, _ = await ledger.get_or_create(provisioning_request, "r-1", batch_owner())
    assert attached.batch_id is None


async def test_extras_are_those_of_the_request(
    ledger: Ledger, provisioning_request: ProvisioningRequest, owner: LeaseOwner, clock: FakeClock
) -> None:
    first = provisioning_request.model_copy(update={"extras": {"team": "berlin", "year": "2026"}})
    opened, _ = await ledger.get_or_create(first, "r-1", owner)
    assert await extras_of(ledger, opened) == {"team": "berlin", "year": "2026"}
    clock.advance(1)
    second = provisioning_request.model_copy(update={"extras": {"team": "paris"}})
    replaced, _ = await ledger.get_or_create(second, "r-1", batch_owner())
    assert await extras_of(ledger, replaced) == {"team": "paris"}


async def test_cancelled_batch_takes_no_row(
    ledger: Ledger,
    batches: BatchRepository,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    clock: FakeClock,
) -> None:
    run = batch_owner()
    begun = await batches.begin(source("Ada"), run)
    rejected, _ = await ledger.get_or_create(provisioning_request, "rejected", run)
    rejected = await ledger.transition(rejected, run, "rejected", new_status=Status.REJECTED)
    await batches.cancel(begun.id)
    cancelled_at = (await batches.get(begun.id)).cancelled_at
    assert cancelled_at is not None
    clock.advance(60)
    await batches.cancel(begun.id)  # the first time stays
    again = batch_owner(run.batch_id)
    assert (await batches.begin(source("Ada"), again)).cancelled_at == cancelled_at
    with pytest.raises(BatchCancelled):
        await ledger.get_or_create(provisioning_request, "new", again)
    with pytest.raises(BatchCancelled):
        await ledger.reopen(rejected, again, CallerAction.REQUEST, "requested again", Status.ACCEPTED)
    with pytest.raises(UnknownProvisioning):
        await ledger.get("new")
    assert (await ledger.get("rejected")).status is Status.REJECTED
    reopened = await ledger.reopen(rejected, owner, CallerAction.RETRY, "retried", Status.ACCEPTED)
    assert reopened.batch_id == run.batch_id
    _, is_new = await ledger.get_or_create(provisioning_request, "new", batch_owner())
    assert is_new


async def test_cancelled_batch_submits_nothing_more(
    ledger: Ledger,
    batches: BatchRepository,
    leases: LeaseRepository,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
) -> None:
    run = batch_owner()
    begun = await batches.begin(source("Ada"), run)
    accepted, _ = await ledger.get_or_create(provisioning_request, "a-1", run)
    leased = await leases.acquire(accepted.id, run, timedelta(seconds=30))
    await batches.cancel(begun.id)
    with pytest.raises(BatchCancelled):
        await ledger.begin_submission(leased, run, "recorded")
    with pytest.raises(BatchCancelled):
        await ledger.begin_voice_clone(leased, run, "d" * 64)
    assert await ledger.list_submissions(accepted.id) == []
    assert await ledger.list_voice_clones(accepted.id) == []
    assert (await ledger.get("a-1")).status is Status.ACCEPTED
    await leases.release(accepted.id, run)
    resumed = await leases.acquire(accepted.id, owner, timedelta(seconds=30))
    submitting, _ = await ledger.begin_submission(resumed, owner, "a person resumed it")
    assert submitting.status is Status.SUBMITTING


@pytest.mark.postgres
async def test_cancellation_waits_for_a_row_that_is_recorded(
    create_postgresql_database: CreateDatabase, empty_postgresql_ledger: str, clock: FakeClock
) -> None:
    """The query that follows a cancellation finds the row. SQLite has one writer at a time."""
    database = Database(create_postgresql_database(template=empty_postgresql_ledger))
    batches, run = BatchRepository(database, clock), batch_owner()
    begun = await batches.begin(source("Ada"), run)
    async with other_transaction(database) as connection:
        await connection.run_sync(lambda recording: require_running_batch(recording, run, lock=True))
        cancelling = asyncio.create_task(batches.cancel(begun.id))
        await asyncio.wait([cancelling], timeout=0.2)
        assert not cancelling.done()
    await cancelling
    assert (await batches.get(begun.id)).cancelled_at is not None
    await database.close()


@pytest.mark.postgres
async def test_erasure_and_a_row_of_its_batch_do_not_deadlock(
    create_postgresql_database: CreateDatabase,
    empty_postgresql_ledger: str,
    clock: FakeClock,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
) -> None:
    """Both lock the batch before the provisioning. SQLite has one writer at a time."""
    database = Database(create_postgresql_database(template=empty_postgresql_ledger))
    ledger, batches, run = Ledger(database, clock), BatchRepository(database, clock), batch_owner()
    await batches.begin(source("Ada", manifest=f"{provisioning_request.name}.csv"), run)
    opened, _ = await ledger.get_or_create(provisioning_request, "r-1", owner)
    cancelled = await ledger.transition(opened, owner, "cancelled", new_status=Status.CANCELLED)
    async with other_transaction(database) as connection:
        await connection.run_sync(lambda recording: require_running_batch(recording, run, lock=True))
        erasing = asyncio.create_task(erase(database, clock, cancelled, owner, "erased"))
        await asyncio.wait([erasing], timeout=0.5)
        assert not erasing.done()
        await connection.execute(TAKE_FOR_BATCH, {"id_": opened.id, "taken_by": run.batch_id})
    await erasing
    assert (await batches.get(run.batch_id or "")).manifest == ERASED_PLACEHOLDER
    await database.close()


@pytest.mark.postgres
@pytest.mark.parametrize("action", ["record", "reopen"])
async def test_row_waits_for_a_cancellation_that_is_written(
    create_postgresql_database: CreateDatabase,
    empty_postgresql_ledger: str,
    clock: FakeClock,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    action: str,
) -> None:
    """Otherwise the row would be recorded after the query that follows the cancellation."""
    database = Database(create_postgresql_database(template=empty_postgresql_ledger))
    ledger, batches, run = Ledger(database, clock), BatchRepository(database, clock), batch_owner()
    await batches.begin(source("Ada"), run)
    opened, _ = await ledger.get_or_create(provisioning_request, "rejected", owner)
    rejected = await ledger.transition(opened, owner, "rejected", new_status=Status.REJECTED)
    async with other_transaction(database) as connection:
        own = batch_table.c.id == run.batch_id
        await connection.execute(update(batch_table).where(own).values(cancelled_at=clock.now()))
        row = asyncio.create_task(
            ledger.get_or_create(provisioning_request, "new", run)
            if action == "record"
            else ledger.reopen(rejected, run, CallerAction.REQUEST, "requested again", Status.ACCEPTED)
        )
        await asyncio.wait([row], timeout=0.3)
        assert not row.done()
    with pytest.raises(BatchCancelled):
        await row
    assert [item.reference for item in await ledger.list_latest(Status.ACCEPTED, 9)] == []
    await database.close()
