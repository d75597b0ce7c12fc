"""Prefect's global concurrency limit as the shared rate limit, with a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.asyncio import rate_limit as prefect_rate_limit

import services.prefect_api.global_rate_limit as module
from services.prefect_api.global_rate_limit import LIMIT_CACHE_SECONDS, LIMIT_NAME, PrefectRateLimit
from tests.fakes import FakeClock

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api_url")]


@pytest.fixture
def acquired(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The slots that were requested; each request still reaches the limit."""
    requested: list[int] = []

    async def rate_limit(name: str, *, occupy: int, timeout_seconds: float) -> None:
        requested.append(occupy)
        await prefect_rate_limit(name, occupy=occupy, timeout_seconds=timeout_seconds, strict=True)

    monkeypatch.setattr(module, "rate_limit", rate_limit)
    return requested


@pytest.fixture
async def limit() -> AsyncIterator[None]:
    async with get_client() as client:
        await client.create_global_concurrency_limit(
            GlobalConcurrencyLimitCreate(name=LIMIT_NAME, limit=4, slot_decay_per_second=50)
        )
        yield
        await client.delete_global_concurrency_limit_by_name(LIMIT_NAME)


@flow(name="acquires-slots")
async def acquire(shared_limit: PrefectRateLimit, requests: int) -> None:
    await shared_limit.acquire(requests)


async def test_missing_limit_is_cached(acquired: list[int], clock: FakeClock) -> None:
    shared_limit = PrefectRateLimit(clock)
    await acquire(shared_limit, 5)
    assert acquired == []
    async with get_client() as client:
        await client.create_global_concurrency_limit(
            GlobalConcurrencyLimitCreate(name=LIMIT_NAME, limit=4, slot_decay_per_second=50)
        )
        await acquire(shared_limit, 5)
        assert acquired == []
        clock.advance(LIMIT_CACHE_SECONDS)
        await acquire(shared_limit, 4)
        assert acquired == [4]
        await client.delete_global_concurrency_limit_by_name(LIMIT_NAME)


@pytest.mark.usefixtures("limit")
async def test_request_above_the_limit_is_split(acquired: list[int], clock: FakeClock) -> None:
    await acquire(PrefectRateLimit(clock), 10)
    assert acquired == [4, 4, 2]


@pytest.mark.usefixtures("limit")
async def test_no_slots_are_acquired_outside_of_a_run(acquired: list[int], clock: FakeClock) -> None:
    await PrefectRateLimit(clock).acquire(3)
    assert acquired == []


async def test_unusable_limit_is_logged_and_ignored(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    async with get_client() as client:
        await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=LIMIT_NAME, limit=4))
        await acquire(PrefectRateLimit(clock), 3)
        await client.delete_global_concurrency_limit_by_name(LIMIT_NAME)
    assert "is not applied for now" in caplog.text
