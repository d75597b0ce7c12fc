"""The context is built once per process and event loop, shared by its users, closed by the last one."""

from __future__ import annotations

import asyncio
import ssl
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from models.clock import SystemClock
from models.errors import DatabaseError, SettingsError
from models.provisioning import LeaseOwner
from models.request import ProvisioningRequest
from models.settings import Settings
from services.context import AppContext, app_context, build_context, override_context
from services.store import open_store
from tasks.find_provisioning import find_provisioning
from tasks.get_or_create_provisioning import get_or_create_provisioning
from tests.fakes import FakeClock


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARGIL_API_KEY", "key")
    monkeypatch.setenv("ARGIL_API_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.setenv("AVATARS_RETRAIN_LIMIT", "3")


async def is_closed(context: AppContext) -> bool:
    try:
        await context.argil.get_avatar("a-1")
    except RuntimeError as error:
        return "closed" in str(error)
    except Exception:  # noqa: BLE001  # the request itself fails: the client is open
        return False
    return False


async def test_context_is_built_from_the_environment() -> None:
    async with app_context() as context:
        assert context.settings == Settings.load()
        assert context.settings.avatars_retrain_limit == 3
        assert isinstance(context.clock, SystemClock)
        assert abs((context.clock.now() - datetime.now(UTC)).total_seconds()) < 60
        assert await context.ledger.list_latest(None, 1) == []


async def test_certificates_are_loaded_once_and_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading those of a machine takes 40 ms or more, which would delay all else on the event loop."""
    threads: list[int] = []
    create = ssl.create_default_context

    def record(*args: Any, **options: Any) -> ssl.SSLContext:
        threads.append(threading.get_ident())
        return create(*args, **options)

    monkeypatch.setattr(ssl, "create_default_context", record)
    async with build_context(Settings.load(), SystemClock()):
        assert len(threads) == 1
        assert threads[0] != threading.get_ident()


async def test_concurrent_users_share_one_context() -> None:
    async def use() -> AppContext:
        async with app_context() as context:
            return context

    async with app_context() as first, app_context() as second:
        assert second is first
        assert all(context is first for context in await asyncio.gather(*(use() for _ in range(5))))
        assert not await is_closed(first)


async def test_concurrent_first_users_build_one_context() -> None:
    all_entered = asyncio.Barrier(5)

    async def use() -> AppContext:
        async with app_context() as context:
            await all_entered.wait()
            return context

    assert len({id(context) for context in await asyncio.gather(*(use() for _ in range(5)))}) == 1


async def test_last_user_closes_the_context() -> None:
    release, acquired = asyncio.Event(), asyncio.Event()

    async def hold() -> AppContext:
        async with app_context() as context:
            acquired.set()
            await release.wait()
            assert not await is_closed(context)
        return context

    holder = asyncio.create_task(hold())
    await acquired.wait()
    async with app_context() as context:
        pass
    assert not await is_closed(context)
    release.set()
    assert await holder is context
    assert await is_closed(context)


async def test_next_user_after_the_last_builds_a_new_context() -> None:
    async with app_context() as first:
        pass
    async with app_context() as second:
        assert second is not first
        assert not await is_closed(second)


async def test_context_is_closed_if_its_user_fails() -> None:
    with pytest.raises(ZeroDivisionError):
        async with app_context() as context:
            raise ZeroDivisionError
    assert await is_closed(context)


async def test_each_event_loop_has_its_own_context() -> None:
    def in_another_loop() -> AppContext:
        async def use() -> AppContext:
            async with app_context() as context:
                return context

        return asyncio.run(use())

    async with app_context() as context:
        other = await asyncio.to_thread(in_another_loop)
        assert other is not context
        assert not await is_closed(context)


async def test_override_context_is_used_by_tasks(
    clock: FakeClock, owner: LeaseOwner, provisioning_request: ProvisioningRequest
) -> None:
    async with build_context(Settings.load(), clock) as built, override_context(built):
        async with app_context() as context:
            assert context is built
        opened = await get_or_create_provisioning.fn(provisioning_request, "ada-1", owner)
        assert opened.created_at == clock.now()
        assert await find_provisioning.fn("ada-1") == opened
        assert not await is_closed(built)
    async with app_context() as after:
        assert after is not built


async def test_override_context_does_not_close_the_context(clock: FakeClock) -> None:
    async with build_context(Settings.load(), clock) as built:
        async with override_context(built):
            pass
        assert not await is_closed(built)
    assert await is_closed(built)


async def test_missing_key_does_not_affect_the_next_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ARGIL_API_KEY")
    with pytest.raises(SettingsError, match="ARGIL_API_KEY"):
        async with app_context():
            pass
    monkeypatch.setenv("ARGIL_API_KEY", "key")
    async with app_context() as context:
        assert not await is_closed(context)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("AVATARS_MEDIA_CHECK", "perhaps", SettingsError),
        ("AVATARS_DATABASE_URL", "sqlite+aiosqlite:////no-such-folder/ledger.db", DatabaseError),
    ],
)
async def test_failed_build_does_not_affect_the_next_user(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, error: type[Exception]
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(name, value)
        with pytest.raises(error):
            async with app_context():
                pass
    async with app_context() as context:
        assert await context.ledger.list_latest(None, 1) == []


async def test_each_concurrent_user_gets_the_build_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ARGIL_API_KEY")

    async def use() -> None:
        async with app_context():
            pass

    results = await asyncio.gather(*(use() for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [SettingsError] * 3


async def test_store_needs_no_api_key(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    monkeypatch.delenv("ARGIL_API_KEY")
    async with open_store(Settings.load(), clock) as store:
        assert await store.ledger.list_latest(None, 1) == []
        assert await store.quarantine.list_releases(["unknown-id"]) == {}
