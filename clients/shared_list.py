"""One list call of the account for many callers that need it at about the same time, and its error if it fails.

A caller that waits for the call of another one does not send its own. Without this, each of hundreds of lookups
would list the account by itself, also while Argil fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from clients.argil import ArgilClient
from models.argil.account_list import AccountList
from models.clock import Clock
from models.errors import ArgilUnavailable, PollFailed

MAX_AGE_SECONDS = 10.0
"""How long callers share one list call: from its start if it succeeded, from its end if it failed."""


@dataclass(frozen=True, slots=True)
class ListedAccount:
    """The account as one list call returned it."""

    started_at: datetime
    """When the list call started."""
    number: int
    """The list calls of this process count from 1: a higher one started later, whatever the clocks say."""
    started_monotonic: float
    """The same by the monotonic clock of this process, in seconds."""
    account: AccountList


@dataclass(frozen=True, slots=True)
class _Failure:
    error: PollFailed | ArgilUnavailable
    ended_monotonic: float


class SharedList:
    """The account, or the error of the last list call. The account is kept in memory for MAX_AGE_SECONDS."""

    def __init__(self, argil: ArgilClient, clock: Clock) -> None:
        self._argil = argil
        self._clock = clock
        self._lock = asyncio.Lock()
        self._started_calls = 0
        self._listed: ListedAccount | None = None
        self._failure: _Failure | None = None
        """The error of the last call; None if it succeeded."""

    async def fetch(self, not_before: datetime) -> ListedAccount:
        """Return the account of a list call that started at `not_before` or later, and recently.

        Raises:
            PollFailed: The call failed. Callers share the error, too.
            ArgilUnauthorized: Argil rejects the API key.
        """
        return await self._fetch(MAX_AGE_SECONDS, MAX_AGE_SECONDS, lambda listed: listed.started_at >= not_before)

    async def fetch_newer(self, max_age_seconds: float, max_failure_age_seconds: float) -> ListedAccount:
        """Return the account of a list call that started less than `max_age_seconds` before this call, or after it.

        Args:
            max_age_seconds: 0 for an account that is requested after this call.
            max_failure_age_seconds: The error of the last call is raised again if it ended less than this before
                this call, or after it.

        Raises:
            PollFailed: The call failed. Callers share the error, too.
            ArgilUnauthorized: Argil rejects the API key.
        """
        return await self._fetch(max_age_seconds, max_failure_age_seconds, lambda _: True)

    async def _fetch(
        self, max_age: float, max_failure_age: float, is_usable: Callable[[ListedAccount], bool]
    ) -> ListedAccount:
        asked_at, calls_before = self._clock.monotonic(), self._started_calls
        async with self._lock:
            failure, listed = self._failure, self._listed
            if failure is not None and asked_at - failure.ended_monotonic < max_failure_age:
                raise failure.error
            if failure is None and listed is not None and is_usable(listed):
                is_later = listed.number > calls_before
                if is_later or asked_at - listed.started_monotonic < max_age:
                    return listed
            return await self._call()

    async def _call(self) -> ListedAccount:
        self._started_calls += 1
        number, started_at, started_monotonic = self._started_calls, self._clock.now(), self._clock.monotonic()
        try:
            account = await self._argil.list_account()
        except (PollFailed, ArgilUnavailable) as error:
            self._failure = _Failure(error, self._clock.monotonic())
            raise
        self._failure = None
        self._listed = listed = ListedAccount(started_at, number, started_monotonic, account)
        # By the time of the event loop: it only frees memory, and an account has thousands of avatars.
        asyncio.get_running_loop().call_later(MAX_AGE_SECONDS, self._drop, listed)
        return listed

    def _drop(self, listed: ListedAccount) -> None:
        if self._listed is listed:
            self._listed = None
