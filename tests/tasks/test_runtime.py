"""The runtime: built once a process and event loop, shared by all that need it, closed by the last."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.clock import SystemClock
from models.errors import DatabaseError, SettingsError
from models.provisioning import Driver
from models.request import ProvisioningRequest
from models.settings import Settings
from tasks.find_provisioning import find_provisioning
from tasks.open_provisioning import open_provisioning
from tasks.runtime import Runtime, build, open_store, runtime, sharing
from tests.fakes import FakeClock


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARGIL_API_KEY", "key")
    monkeypatch.setenv("ARGIL_API_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.setenv("AVATARS_RETRAIN_LIMIT", "3")


async def is_closed(seen: Runtime) -> bool:
    try:
        await seen.argil.get("a-1")
    except RuntimeError as error:
        return "closed" in str(error)
    except Exception:  # noqa: BLE001  # any failure of the request itself
        return False
    return False


async def test_it_is_built_from_the_environment_with_the_clock_of_this_machine() -> None:
    async with runtime() as active:
        assert active.settings == Settings.load()
        assert active.settings.avatars_retrain_limit == 3
        assert isinstance(active.clock, SystemClock)
        assert abs((active.clock.now() - datetime.now(UTC)).total_seconds()) < 60
        assert await active.ledger.newest(None, 1) == []


async def test_all_who_need_it_at_once_share_one() -> None:
    async def use() -> Runtime:
        async with runtime() as active:
            return active

    async with runtime() as first, runtime() as second:
        assert second is first
        assert all(active is first for active in await asyncio.gather(*(use() for _ in range(5))))
        assert not await is_closed(first)


async def test_many_who_are_the_first_at_once_build_one() -> None:
    all_met = asyncio.Barrier(5)

    async def use() -> Runtime:
        async with runtime() as active:
            await all_met.wait()
            return active

    assert len({id(active) for active in await asyncio.gather(*(use() for _ in range(5)))}) == 1


async def test_the_last_to_go_closes_it() -> None:
    leave, left = asyncio.Event(), asyncio.Event()

    async def stay() -> Runtime:
        async with runtime() as active:
            left.set()
            await leave.wait()
            assert not await is_closed(active)
        return active

    staying = asyncio.create_task(stay())
    await left.wait()
    async with runtime() as active:
        pass
    assert not await is_closed(active)
    leave.set()
    assert await staying is active
    assert await is_closed(active)


async def test_the_next_after_the_last_builds_a_new_one() -> None:
    async with runtime() as first:
        pass
    async with runtime() as second:
        assert second is not first
        assert not await is_closed(second)


async def test_it_is_closed_where_its_user_fails() -> None:
    with pytest.raises(ZeroDivisionError):
        async with runtime() as active:
            raise ZeroDivisionError
    assert await is_closed(active)


async def test_each_event_loop_has_its_own() -> None:
    def in_another_loop() -> Runtime:
        async def use() -> Runtime:
            async with runtime() as active:
                return active

        return asyncio.run(use())

    async with runtime() as ours:
        theirs = await asyncio.to_thread(in_another_loop)
        assert theirs is not ours
        assert not await is_closed(ours)


async def test_one_built_by_hand_is_shared_with_every_task(
    clock: FakeClock, driver: Driver, request_of_ada: ProvisioningRequest
) -> None:
    async with build(Settings.load(), clock) as built, sharing(built):
        async with runtime() as active:
            assert active is built
        opened = await open_provisioning.fn(request_of_ada, "ada-1", driver)
        assert opened.created_at == clock.now()
        assert await find_provisioning.fn("ada-1") == opened
        assert not await is_closed(built)
    async with runtime() as after:
        assert after is not built


async def test_one_built_by_hand_is_closed_by_who_built_it(clock: FakeClock) -> None:
    async with build(Settings.load(), clock) as built:
        async with sharing(built):
            pass
        assert not await is_closed(built)
    assert await is_closed(built)


async def test_without_a_key_it_is_an_error_that_the_next_one_does_not_inherit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ARGIL_API_KEY")
    with pytest.raises(SettingsError, match="ARGIL_API_KEY"):
        async with runtime():
            pass
    monkeypatch.setenv("ARGIL_API_KEY", "key")
    async with runtime() as active:
        assert not await is_closed(active)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("AVATARS_MEDIA_CHECK", "perhaps", SettingsError),
        ("AVATARS_DATABASE_URL", "sqlite+aiosqlite:////no-such-folder/ledger.db", DatabaseError),
    ],
)
async def test_what_cannot_be_built_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, error: type[Exception]
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(name, value)
        with pytest.raises(error):
            async with runtime():
                pass
    async with runtime() as active:
        assert await active.ledger.newest(None, 1) == []


async def test_one_of_many_at_once_who_cannot_build_it_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ARGIL_API_KEY")

    async def use() -> None:
        async with runtime():
            pass

    results = await asyncio.gather(*(use() for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [SettingsError] * 3


async def test_the_ledger_alone_needs_no_key(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    monkeypatch.delenv("ARGIL_API_KEY")
    async with open_store(Settings.load(), clock) as (ledger, _, quarantine):
        assert await ledger.newest(None, 1) == []
        assert await quarantine.release("nobody", "test") == []
