"""The rate that all workers share: Prefect's global concurrency limit `argil-api`, where there is one."""

from __future__ import annotations

import logging

from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import rate_limit
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound

from models.clock import Clock
from tasks.narrate import narrate

NAME = "argil-api"
KNOWN_SECONDS = 60.0
"""How long what was learned of the limit is taken for true."""
PATIENCE_SECONDS = 300.0


class SharedBudget:
    """Takes requests from the limit; without one, outside of a run, or where Prefect fails, nothing is waited for.

    The limit needs a slot decay: `prefect gcl create argil-api --limit 5 --slot-decay-per-second 5`. It spares
    Argil; nothing that the ledger promises depends on it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._limit = 0
        self._asked_at: float | None = None

    async def take(self, requests: int) -> None:
        """Wait until so many more requests may be sent."""
        if FlowRunContext.get() is None:
            return
        try:
            left = requests
            while left > 0 and (limit := await self._known()) > 0:
                block = min(left, limit)
                await rate_limit(NAME, occupy=block, timeout_seconds=PATIENCE_SECONDS)
                left -= block
        except Exception as error:  # noqa: BLE001  # whatever Prefect's client raises
            narrate("the limit %s is not obeyed for now: %s", NAME, type(error).__name__, level=logging.WARNING)

    async def _known(self) -> int:
        """Return how many slots the limit has, 0 where there is none or it is switched off."""
        now = self._clock.monotonic()
        if self._asked_at is None or now - self._asked_at >= KNOWN_SECONDS:
            async with get_client() as client:
                try:
                    found = await client.read_global_concurrency_limit_by_name(NAME)
                    self._limit = found.limit if found.active else 0
                except ObjectNotFound:
                    self._limit = 0
            self._asked_at = now
        return self._limit
