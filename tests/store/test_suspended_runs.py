"""Suspended runs: listed once their provisioning is terminal."""

from __future__ import annotations

from models.provisioning import LeaseOwner, Status
from models.request import ProvisioningRequest
from store.database import Database
from store.ledger import Ledger
from store.suspended_runs import SuspendedRunRepository
from tests.fakes import FakeClock


async def test_suspended_run_of_terminal_provisioning_is_listed(
    database: Database, clock: FakeClock, owner: LeaseOwner, provisioning_request: ProvisioningRequest
) -> None:
    ledger, suspended_runs = Ledger(database, clock), SuspendedRunRepository(database, clock)
    opened, _ = await ledger.get_or_create(provisioning_request, "ada-1", owner)
    for _ in range(2):
        await suspended_runs.add("run-1", opened.id)
    assert await suspended_runs.exists("run-1")
    assert await suspended_runs.provisioning_id_of("run-1") == opened.id
    assert not await suspended_runs.exists("run-2")
    assert await suspended_runs.list_with_terminal_provisioning() == []
    await ledger.transition(opened, owner, "cancelled", new_status=Status.CANCELLED)
    assert await suspended_runs.list_with_terminal_provisioning() == ["run-1"]
    await suspended_runs.remove("run-1")
    assert await suspended_runs.list_with_terminal_provisioning() == []
    assert not await suspended_runs.exists("run-1")


async def test_open_provisionings_are_found_by_flow_run_id(
    database: Database, clock: FakeClock, provisioning_request: ProvisioningRequest
) -> None:
    ledger = Ledger(database, clock)
    owner = LeaseOwner(actor="test", id="d-1", flow_run_id="run-1")
    opened, _ = await ledger.get_or_create(provisioning_request, "ada-1", owner)
    assert [provisioning.id for provisioning in await ledger.find_open_by_flow_run_ids(["run-1", "run-2"])] == [
        opened.id
    ]
    assert await ledger.find_open_by_flow_run_ids([]) == []
    await ledger.transition(opened, owner, "cancelled", new_status=Status.CANCELLED)
    assert await ledger.find_open_by_flow_run_ids(["run-1"]) == []


async def test_duplicate_is_new_once_and_keeps_the_version(
    database: Database, clock: FakeClock, owner: LeaseOwner, provisioning_request: ProvisioningRequest
) -> None:
    ledger = Ledger(database, clock)
    opened, _ = await ledger.get_or_create(provisioning_request, "ada-1", owner)
    cancelled = await ledger.transition(opened, owner, "cancelled", new_status=Status.CANCELLED)
    results = [await ledger.record_duplicate(opened, owner, "s-1", "avatar-2", "duplicate") for _ in range(2)]
    assert results == [True, False]
    assert (await ledger.get(opened.id)).version == cancelled.version
    last = (await ledger.list_events(opened.id))[-1]
    assert (last.from_status, last.to_status, last.message) == (Status.CANCELLED, Status.CANCELLED, "duplicate")
