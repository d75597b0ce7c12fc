"""One stack at a time holds the lease on a real Prefect API; a fake clock replaces the waiting."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import VariableCreate

from deployments.embedded.stack_lease import (
    EXPIRES_AFTER_SECONDS,
    RENEWAL_INTERVAL_SECONDS,
    VARIABLE_NAME,
    StackLease,
)
from models.errors import PrefectError
from tests.fakes import FakeClock

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api_url"), pytest.mark.timeout(300)]


class ScriptedClock(FakeClock):
    """Runs an action at one of its sleeps, as another process would at this time."""

    def __init__(self) -> None:
        super().__init__()
        self.actions: dict[int, Callable[[], Awaitable[object]]] = {}

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        if action := self.actions.pop(len(self.sleeps), None):
            await action()


@pytest.fixture
async def client() -> AsyncIterator[PrefectClient]:
    async with get_client() as client:
        yield client
        if await client.read_variable_by_name(VARIABLE_NAME):
            await client.delete_variable_by_name(VARIABLE_NAME)


@pytest.fixture
def clock() -> ScriptedClock:
    return ScriptedClock()


async def hold(lease: StackLease) -> None:
    """Hold the lease until the clock cancels the task or the lease is lost."""
    with pytest.raises(asyncio.CancelledError):
        await lease.hold()


async def cancel_current_task() -> None:
    raise asyncio.CancelledError


async def test_lease_of_a_live_stack_is_refused(client: PrefectClient, clock: ScriptedClock) -> None:
    first, second = StackLease(client, "first", FakeClock()), StackLease(client, "second", clock)
    await first.acquire()
    clock.actions[int(RENEWAL_INTERVAL_SECONDS)] = first._renew
    with pytest.raises(
        PrefectError, match=r"another `avatars up` uses this Prefect API \(host '.+', process '\d+'\)"
    ):
        await second.acquire()
    assert sum(clock.sleeps) <= RENEWAL_INTERVAL_SECONDS
    assert (await first.is_held(), await second.is_held()) == (True, False)
    await second.release()
    assert await first.is_held()


async def test_lease_of_a_killed_stack_expires(client: PrefectClient, clock: ScriptedClock) -> None:
    await StackLease(client, "killed", FakeClock()).acquire()
    lease = StackLease(client, "next", clock)
    await lease.acquire()
    assert await lease.is_held()
    assert EXPIRES_AFTER_SECONDS <= sum(clock.sleeps) <= EXPIRES_AFTER_SECONDS + 1


async def test_released_lease_is_acquired_without_waiting(client: PrefectClient, clock: ScriptedClock) -> None:
    first, second = StackLease(client, "first", clock), StackLease(client, "second", clock)
    await first.acquire()
    await first.release()
    await second.acquire()
    assert clock.sleeps == []


async def test_one_of_two_stacks_takes_an_expired_lease(client: PrefectClient, clock: ScriptedClock) -> None:
    await StackLease(client, "killed", FakeClock()).acquire()
    faster, slower = StackLease(client, "faster", FakeClock()), StackLease(client, "slower", clock)
    clock.actions[int(EXPIRES_AFTER_SECONDS)] = faster.acquire  # just before the slower one deletes the lease
    clock.actions[int(EXPIRES_AFTER_SECONDS) + 3] = faster._renew
    with pytest.raises(PrefectError, match="another `avatars up`"):
        await slower.acquire()
    assert await faster.is_held()


async def test_stack_that_lost_its_lease_stops(client: PrefectClient, clock: ScriptedClock) -> None:
    """A machine that was in standby for longer than the lease finds that another stack has taken it."""
    first = StackLease(client, "first", clock)
    await first.acquire()
    clock.actions[1] = StackLease(client, "other", FakeClock()).acquire
    with pytest.raises(PrefectError, match="another `avatars up`"):
        await first.hold()


async def test_lease_that_a_person_deleted_is_restored(client: PrefectClient, clock: ScriptedClock) -> None:
    lease = StackLease(client, "first", clock)
    await lease.acquire()
    await client.delete_variable_by_name(VARIABLE_NAME)
    clock.actions[2] = cancel_current_task
    await hold(lease)
    assert await lease.is_held()


async def test_damaged_variable_is_one_clear_error(
    client: PrefectClient, clock: ScriptedClock, clean_environment: Path
) -> None:
    await client.create_variable(VariableCreate(name=VARIABLE_NAME, value="other"))
    path = clean_environment / "prefect/prefect.db"
    with contextlib.closing(sqlite3.connect(path, timeout=60)) as database, database:
        database.execute("UPDATE variable SET value = ? WHERE name = ?", ('"\\ud800"', VARIABLE_NAME))
    with pytest.raises(PrefectError, match="cannot return the variable 'avatars_embedded_stack'") as error:
        await StackLease(client, "first", clock).acquire()
    assert "delete this row of the table `variable`" in error.value.hint
    with contextlib.closing(sqlite3.connect(path, timeout=60)) as database, database:
        database.execute("DELETE FROM variable WHERE name = ?", (VARIABLE_NAME,))


@pytest.mark.parametrize("value", ["text", 7, {"stack": 5}, {"host": "x" * 1000}, []])
async def test_foreign_value_of_the_variable_expires_too(
    client: PrefectClient, clock: ScriptedClock, value: object
) -> None:
    await client.create_variable(VariableCreate(name=VARIABLE_NAME, value=value))
    lease = StackLease(client, "first", clock)
    await lease.acquire()
    assert await lease.is_held()
