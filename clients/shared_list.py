"""One list call for many callers that ask at about the same time whether the account has their avatar."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import datetime

from clients.argil import ArgilClient
from models.clock import Clock
from models.errors import PollFailed

MAX_AGE_SECONDS = 10.0
"""How long callers share one list call, counted from its start."""


@dataclass(frozen=True)
class ListedIds:
    """The ids in the account list."""

    started_at: datetime
    """When the list call started."""
    avatar_ids: frozenset[str]
    incomplete_because: str
    """Empty if the list is complete."""


class SharedList:
    """The ids in the account list, or the error of its last call, shared for MAX_AGE_SECONDS."""

    def __init__(self, argil: ArgilClient, clock: Clock) -> None:
        self._argil = argil
        self._clock = clock
        self._lock = asyncio.Lock()
        self._started_at: datetime | None = None
        self._expires_at = -math.inf
        """Monotonic time."""
        self._result: ListedIds | PollFailed | None = None

    async def fetch(self, not_before: datetime) -> ListedIds:
        """Return the ids in the account list of a call that started at `not_before` or later.

        Raises:
            PollFailed: The call failed. Callers share the error, too.
            ArgilUnauthorized: Argil rejects the API key.
        """
        async with self._lock:
            now = self._clock.now()
            is_current = self._clock.monotonic() <= self._expires_at
            if self._result is None or self._started_at is None or not is_current or self._started_at < not_before:
                self._expires_at = self._clock.monotonic() + MAX_AGE_SECONDS
                self._result, self._started_at = await self._call(now), now
            if isinstance(self._result, PollFailed):
                raise self._result
            return self._result

    async def _call(self, now: datetime) -> ListedIds | PollFailed:
        try:
            account = await self._argil.list_account()
        except PollFailed as error:
            return error
        return ListedIds(now, frozenset(avatar.id for avatar in account.avatars), account.incomplete_because)
