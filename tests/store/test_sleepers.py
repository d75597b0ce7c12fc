"""Runs that sleep: found once what they sleep over has ended."""

from __future__ import annotations

from models.provisioning import Driver, Status
from models.request import ProvisioningRequest
from store.database import Database
from store.provisionings import Ledger
from store.sleepers import Sleepers
from tests.fakes import FakeClock


async def test_a_sleeper_is_found_when_its_provisioning_has_ended_until_it_is_forgotten(
    database: Database, clock: FakeClock, driver: Driver, request_of_ada: ProvisioningRequest
) -> None:
    ledger, sleepers = Ledger(database, clock), Sleepers(database, clock)
    opened, _ = await ledger.open(request_of_ada, "ada-1", driver)
    for _ in range(2):
        await sleepers.add("run-1", opened.id)
    assert await sleepers.has("run-1")
    assert not await sleepers.has("run-2")
    assert await sleepers.over_ended() == []
    await ledger.record(opened, driver, "cancelled", to=Status.CANCELLED)
    assert await sleepers.over_ended() == ["run-1"]
    await sleepers.remove("run-1")
    assert await sleepers.over_ended() == []
    assert not await sleepers.has("run-1")


async def test_open_provisionings_are_found_by_their_run(
    database: Database, clock: FakeClock, request_of_ada: ProvisioningRequest
) -> None:
    ledger = Ledger(database, clock)
    mine = Driver(actor="test", id="d-1", flow_run_id="run-1")
    opened, _ = await ledger.open(request_of_ada, "ada-1", mine)
    assert [one.id for one in await ledger.open_of_runs(["run-1", "run-2"])] == [opened.id]
    assert await ledger.open_of_runs([]) == []
    await ledger.record(opened, mine, "cancelled", to=Status.CANCELLED)
    assert await ledger.open_of_runs(["run-1"]) == []


async def test_a_duplicate_is_new_once_and_disturbs_no_driver(
    database: Database, clock: FakeClock, driver: Driver, request_of_ada: ProvisioningRequest
) -> None:
    ledger = Ledger(database, clock)
    opened, _ = await ledger.open(request_of_ada, "ada-1", driver)
    moved = await ledger.record(opened, driver, "cancelled", to=Status.CANCELLED)
    told = [await ledger.note_duplicate(opened, driver, "s-1", "avatar-2", "duplicate") for _ in range(2)]
    assert told == [True, False]
    assert (await ledger.get(opened.id)).version == moved.version
    last = (await ledger.events(opened.id))[-1]
    assert (last.from_status, last.to_status, last.why) == (Status.CANCELLED, Status.CANCELLED, "duplicate")
