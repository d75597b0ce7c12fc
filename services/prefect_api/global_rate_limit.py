"""The rate limit that all workers share: Prefect's global concurrency limit `argil-api`, if it exists."""

from __future__ import annotations

import logging

from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import rate_limit
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound

from models.clock import Clock
from services.run_log import log_to_run

LIMIT_NAME = "argil-api"
LIMIT_CACHE_SECONDS = 60.0
"""How long the number of concurrency slots is cached."""
ACQUIRE_TIMEOUT_SECONDS = 300.0


class PrefectRateLimit:
    """Acquires concurrency slots of the limit.

    It does not wait without the limit, outside of a run or if Prefect fails.

    `avatars deploy` creates the limit. It needs a slot decay, as `prefect gcl create argil-api --limit 5
    --slot-decay-per-second 5` sets it. It reduces the
    load on Argil; no guarantee of the ledger depends on it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._limit = 0
        self._fetched_at: float | None = None

    async def acquire(self, requests: int) -> None:
        """Wait until this many more requests may be sent."""
        if FlowRunContext.get() is None:
            return
        try:
            remaining = requests
            while remaining > 0 and (limit := await self._cached_limit()) > 0:
                slots = min(remaining, limit)
                await rate_limit(LIMIT_NAME, occupy=slots, timeout_seconds=ACQUIRE_TIMEOUT_SECONDS)
                remaining -= slots
        except Exception as error:  # noqa: BLE001  # Prefect's client raises errors of many kinds
            log_to_run(
                "the limit %s is not applied for now: %s", LIMIT_NAME, type(error).__name__, level=logging.WARNING
            )

    async def _cached_limit(self) -> int:
        """Return the number of concurrency slots of the limit, 0 if it does not exist or is inactive."""
        now = self._clock.monotonic()
        if self._fetched_at is None or now - self._fetched_at >= LIMIT_CACHE_SECONDS:
            async with get_client() as client:
                try:
                    limit = await client.read_global_concurrency_limit_by_name(LIMIT_NAME)
                    self._limit = limit.limit if limit.active else 0
                except ObjectNotFound:
                    self._limit = 0
            self._fetched_at = now
        return self._limit
