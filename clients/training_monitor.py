"""Monitors avatars until their training is terminal, their deadline has passed, or Argil no longer has them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Protocol

from clients.argil import ArgilClient
from clients.individual_poller import IndividualPoller
from clients.list_poller import ListPoller
from clients.poll_schedule import poll_interval
from clients.training_subscription import (
    INTERVAL_ELAPSED,
    POLL_INDIVIDUALLY,
    AvatarNotFoundUpdate,
    PollFailedUpdate,
    PollSignal,
    PollUpdate,
    Subscription,
)
from models.argil_avatar import Avatar
from models.clock import Clock

LIST_POLLING_THRESHOLD = 20
"""From so many monitored avatars on, one list call per tick serves all."""


class MonitorResult(Enum):
    """Why monitoring ended."""

    TERMINAL = auto()
    TIMED_OUT = auto()
    NOT_FOUND = auto()
    STILL_TRAINING = auto()
    """The caller stopped waiting first."""


class WakeupSource(Protocol):
    """Reports that an avatar is worth an early poll, for example because of a webhook delivery."""

    def subscribe(self, avatar_id: str, on_wakeup: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """Call `on_wakeup` for each wake-up while the context is open. Entered before the first poll."""


class NoWakeups:
    """A source without wake-ups."""

    def subscribe(self, avatar_id: str, on_wakeup: Callable[[], None]) -> AbstractAsyncContextManager[None]:  # noqa: ARG002  # WakeupSource's signature
        """Ignore the callback."""
        return contextlib.nullcontext()


class PollStrategy(Protocol):
    """Decides when to poll a subscription, and waits until then."""

    returns_new_avatars: bool
    """Whether a poll returns an avatar that was created just now."""

    def seconds_until_next_poll(self, interval: float) -> float:
        """Return the seconds until the next poll, at most `interval`."""

    async def wait_for_update(self, subscription: Subscription, delay_seconds: float) -> PollUpdate | PollSignal:
        """Wait until the poll in `delay_seconds`; return its update, or how to poll now."""


class TrainingMonitor:
    """Monitors any number of avatars at once.

    There are two poll strategies: IndividualPoller sends a GET per avatar, ListPoller one list call per tick for
    all. `_select_strategy` selects one for each wait, not once per subscription, since other subscriptions start
    and end in the meantime.
    """

    def __init__(
        self,
        argil: ArgilClient,
        clock: Clock,
        *,
        min_interval_seconds: float,
        max_interval_seconds: float,
        not_found_grace_seconds: float,
        wakeups: WakeupSource | None = None,
    ) -> None:
        """Create a monitor without subscriptions.

        Args:
            argil: The account's client.
            clock: Time of intervals and deadlines.
            min_interval_seconds: Poll interval of a new training.
            max_interval_seconds: Poll interval of an old training.
            not_found_grace_seconds: 404s for as long as this mean that Argil no longer has the avatar.
            wakeups: A wake-up moves the next poll forward and has no other effect.
        """
        self._clock = clock
        self._min_interval_seconds = min_interval_seconds
        self._max_interval_seconds = max_interval_seconds
        self._not_found_grace = timedelta(seconds=not_found_grace_seconds)
        self._wakeups = wakeups or NoWakeups()
        self._subscriptions_by_avatar: Counter[str] = Counter()
        self._individual_poller = IndividualPoller(argil, clock)
        self._list_poller = ListPoller(
            argil, clock, min_interval_seconds, max_interval_seconds, is_active=self._uses_list_polling
        )

    def _uses_list_polling(self) -> bool:
        return len(self._subscriptions_by_avatar) >= LIST_POLLING_THRESHOLD

    def _select_strategy(self) -> PollStrategy:
        return self._list_poller if self._uses_list_polling() else self._individual_poller

    async def wait_until_terminal(
        self,
        avatar_id: str,
        training_started_at: datetime,
        deadline: datetime,
        on_change: Callable[[Avatar], Awaitable[None]],
    ) -> MonitorResult:
        """Poll until the avatar is terminal, the deadline has passed, or 404s have lasted for the grace period.

        The first poll is immediate, except for a new avatar with list polling: no list contains it yet. The last
        poll is at the deadline. A failed poll is skipped.

        Args:
            avatar_id: The avatar's id at Argil.
            training_started_at: The avatar's age since then sets the poll interval.
            deadline: Monitoring ends here at the latest.
            on_change: Awaited with each response whose status differs from the previous one. Its errors propagate.

        Raises:
            ArgilUnauthorized: Argil refuses the API key.
        """
        self._subscriptions_by_avatar[avatar_id] += 1
        subscription = Subscription(avatar_id, training_started_at, deadline)
        try:
            async with self._wakeups.subscribe(avatar_id, subscription.request_poll):
                return await self._poll_until_terminal(subscription, on_change)
        finally:
            self._subscriptions_by_avatar[avatar_id] -= 1
            if not self._subscriptions_by_avatar[avatar_id]:
                del self._subscriptions_by_avatar[avatar_id]

    async def _poll_until_terminal(
        self, subscription: Subscription, on_change: Callable[[Avatar], Awaitable[None]]
    ) -> MonitorResult:
        # No variable holds an update: thousands of coroutines wait here, each would keep a whole avatar in memory.
        result = await self._process_update(
            subscription, await self._next_update(subscription, is_first=True), on_change
        )
        while result is None:
            result = await self._process_update(subscription, await self._next_update(subscription), on_change)
        return result

    async def _process_update(
        self, subscription: Subscription, update: PollUpdate, on_change: Callable[[Avatar], Awaitable[None]]
    ) -> MonitorResult | None:
        """Apply an update to the subscription; return the result if monitoring ends, None otherwise."""
        subscription.retry_after_seconds = 0.0
        if isinstance(update, PollFailedUpdate):
            subscription.retry_after_seconds = update.error.retry_after_seconds or 0.0
        elif isinstance(update, AvatarNotFoundUpdate):
            # A new avatar may be answered with 404 for a while; only a lasting 404 means that it is gone.
            subscription.not_found_since = subscription.not_found_since or update.polled_at
            if update.polled_at - subscription.not_found_since >= self._not_found_grace:
                return MonitorResult.NOT_FOUND
        else:
            avatar = update.avatar
            subscription.not_found_since = None
            if avatar.status != subscription.status:
                await on_change(avatar)
            subscription.status = avatar.status
            if avatar.is_terminal:
                return MonitorResult.TERMINAL
        return MonitorResult.TIMED_OUT if self._clock.now() >= subscription.deadline else None

    async def _next_update(self, subscription: Subscription, *, is_first: bool = False) -> PollUpdate:
        """Wait for the interval, or for a longer Retry-After, but not past the deadline; then poll."""
        now = self._clock.now()
        age = (now - subscription.training_started_at).total_seconds()
        remaining = (subscription.deadline - now).total_seconds()
        strategy = self._select_strategy()
        update: PollUpdate | PollSignal = POLL_INDIVIDUALLY
        if is_first and (strategy.returns_new_avatars or not 0 <= age < self._min_interval_seconds):
            update = await strategy.wait_for_update(subscription, 0.0)
        else:
            interval = poll_interval(age, self._min_interval_seconds, self._max_interval_seconds)
            delay = min(strategy.seconds_until_next_poll(interval), remaining)
            if retry_after := min(subscription.retry_after_seconds, remaining):
                await self._clock.sleep(retry_after)  # wake-ups do not shorten it
            if delay > retry_after:
                update = await strategy.wait_for_update(subscription, delay - retry_after)
        if update is INTERVAL_ELAPSED:
            # During the interval, other subscriptions may have reached the threshold for list polling.
            update = await self._select_strategy().wait_for_update(subscription, 0.0)
        if isinstance(update, PollSignal):
            return await self._individual_poller.poll(subscription)
        return update
