"""Prefect's global limit as one request budget: a real server, a real limit."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.asyncio import rate_limit as prefect_rate_limit

import tasks.shared_budget as module
from tasks.shared_budget import KNOWN_SECONDS, NAME, SharedBudget
from tests.fakes import FakeClock

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api_url")]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What was asked of the limit; each is still asked for real."""
    asked: list[int] = []
    real = prefect_rate_limit

    async def rate_limit(name: str, *, occupy: int, timeout_seconds: float) -> None:
        asked.append(occupy)
        await real(name, occupy=occupy, timeout_seconds=timeout_seconds, strict=True)

    monkeypatch.setattr(module, "rate_limit", rate_limit)
    return asked


@pytest.fixture
async def limit() -> AsyncIterator[None]:
    async with get_client() as client:
        await client.create_global_concurrency_limit(
            GlobalConcurrencyLimitCreate(name=NAME, limit=4, slot_decay_per_second=50)
        )
        yield
        await client.delete_global_concurrency_limit_by_name(NAME)


@flow(name="takes-of-the-budget")
async def takes(budget: SharedBudget, requests: int) -> None:
    await budget.take(requests)


async def test_without_a_limit_nothing_is_taken_and_it_is_looked_for_again_only_after_a_while(
    taken: list[int], clock: FakeClock
) -> None:
    budget = SharedBudget(clock)
    await takes(budget, 5)
    assert taken == []
    async with get_client() as client:
        await client.create_global_concurrency_limit(
            GlobalConcurrencyLimitCreate(name=NAME, limit=4, slot_decay_per_second=50)
        )
        await takes(budget, 5)
        assert taken == []
        clock.pass_(KNOWN_SECONDS)
        await takes(budget, 4)
        assert taken == [4]
        await client.delete_global_concurrency_limit_by_name(NAME)


@pytest.mark.usefixtures("limit")
async def test_a_block_larger_than_the_limit_is_taken_in_parts(taken: list[int], clock: FakeClock) -> None:
    await takes(SharedBudget(clock), 10)
    assert taken == [4, 4, 2]


@pytest.mark.usefixtures("limit")
async def test_outside_of_a_run_nothing_is_taken(taken: list[int], clock: FakeClock) -> None:
    await SharedBudget(clock).take(3)
    assert taken == []


async def test_a_limit_that_cannot_be_taken_costs_a_warning_and_not_the_run(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with get_client() as client:
        await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=NAME, limit=4))
        await takes(SharedBudget(clock), 3)
        await client.delete_global_concurrency_limit_by_name(NAME)
    assert "not obeyed for now" in caplog.text
