"""The limit `argil-api` that `avatars deploy` creates in Prefect."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from prefect.client.orchestration import get_client

from deployments.registration import ensure_rate_limit
from services.prefect_api.global_rate_limit import LIMIT_NAME

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api_url")]


@pytest.fixture(autouse=True)
async def removed_limit(prefect_api_url: str) -> AsyncIterator[None]:
    """Remove the limit after the test, because other tests share the server."""
    yield
    async with get_client() as client:
        await client.delete_global_concurrency_limit_by_name(LIMIT_NAME)


async def test_missing_limit_is_created_and_an_existing_one_stays() -> None:
    assert await ensure_rate_limit(2.5)
    assert not await ensure_rate_limit(9)
    async with get_client() as client:
        limit = await client.read_global_concurrency_limit_by_name(LIMIT_NAME)
    assert (limit.limit, limit.slot_decay_per_second, limit.active) == (3, 2.5, True)


async def test_limit_below_one_request_per_second_has_a_slot() -> None:
    assert await ensure_rate_limit(0.5)
    async with get_client() as client:
        limit = await client.read_global_concurrency_limit_by_name(LIMIT_NAME)
    assert (limit.limit, limit.slot_decay_per_second) == (1, 0.5)
