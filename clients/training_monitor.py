"""Monitors avatars until their training is terminal, their deadline has passed, or Argil no longer has them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from enum import Enum, auto
from typing import Protocol

from clients.argil import ArgilClient
from clients.individual_poller import IndividualPoller
from clients.list_poller import ListPoller
from clients.poll_health import OutageObserver, PollHealth
from clients.poll_schedule import poll_interval
from clients.training_subscription import (
    INTERVAL_ELAPSED,
    POLL_INDIVIDUALLY,
    AvatarNotFoundUpdate,
    AvatarUpdate,
    PollFailedUpdate,
    PollSignal,
    PollUpdate,
    Subscription,
)
from models.argil.avatar import Avatar
from models.clock import Clock

LIST_POLLING_THRESHOLD = 20
"""Number of monitored avatars from which one list call per tick replaces individual GETs."""


class MonitorResult(Enum):
    """Why monitoring ended."""

    TERMINAL = auto()
    TIMED_OUT = auto()
    NOT_FOUND = auto()
    STILL_TRAINING = auto()
    """Returned by `await_training` only: the timeout of the caller passed before the deadline."""


AbsenceObserver = Callable[[datetime | None], Awaitable[None]]
"""Awaited with the time of the first 404, and with None once Argil returns the avatar again."""


async def _ignore_absence(since: datetime | None) -> None:
    """Store nothing: the time of the first 404 is kept in this process."""


class WakeupSource(Protocol):
    """Reports that an avatar should be polled early, for example because of a webhook delivery."""

    def subscribe(self, avatar_id: str, on_wakeup: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """Call `on_wakeup` for each wake-up while the context is open.

        The monitor enters the context before the first poll.
        """


class NoWakeups:
    """A source without wake-ups."""

    def subscribe(self, avatar_id: str, on_wakeup: Callable[[], None]) -> AbstractAsyncContextManager[None]:  # noqa: ARG002  # WakeupSource's signature
        """Ignore the callback."""
        return contextlib.nullcontext()


class PollStrategy(Protocol):
    """Decides when to poll a subscription, and waits until then."""

    sees_new_avatars: bool
    """False if a response can omit an avatar that was just created."""

    def seconds_until_next_poll(self, interval: float, min_interval_seconds: float) -> float:
        """Return the seconds until the next poll, at most `interval`, given the minimum interval of its kind."""

    async def wait_for_update(self, subscription: Subscription, delay_seconds: float) -> PollUpdate | PollSignal:
        """Wait up to `delay_seconds` for an update.

        Return it, or a PollSignal that says how the caller must poll.
        """


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
        outages: OutageObserver | None = None,
    ) -> None:
        """Create a monitor without subscriptions.

        Args:
            argil: The account's client.
            clock: Its monotonic clock measures intervals, deadlines and 404s.
            min_interval_seconds: Poll interval of a training that just started; the minimum, unless a caller of
                `wait_until_terminal` passes another one.
            max_interval_seconds: Maximum poll interval; the interval is a tenth of the training's age.
            not_found_grace_seconds: If Argil answers 404 for this long, the result is NOT_FOUND.
            wakeups: Each wake-up polls the avatar individually and early. It has no other effect.
            outages: Learns when polls begin to fail, and when Argil answers again.
        """
        self._clock = clock
        self._min_interval_seconds = min_interval_seconds
        self._max_interval_seconds = max_interval_seconds
        self._not_found_grace_seconds = not_found_grace_seconds
        self._wakeups = wakeups or NoWakeups()
        self._subscriptions_by_avatar: Counter[str] = Counter()
        self._received: dict[str, Avatar] = {}
        self._health = PollHealth(outages)
        self._individual_poller = IndividualPoller(argil, clock)
        self._list_poller = ListPoller(
            argil,
            clock,
            min_interval_seconds,
            max_interval_seconds,
            is_active=self._uses_list_polling,
            health=self._health,
        )

    def use_received(self, avatars: Iterable[Avatar]) -> None:
        """Replace the first poll of each of these avatars by the response that the caller has just received.

        Each call replaces the avatars of the previous one, and each avatar is used once.
        """
        self._received = {avatar.id: avatar for avatar in avatars}

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
        submission_id: str | None = None,
        *,
        min_interval_seconds: float | None = None,
        not_found_since: datetime | None = None,
        on_absence: AbsenceObserver = _ignore_absence,
    ) -> MonitorResult:
        """Poll until the avatar is terminal, the deadline has passed, or 404s have lasted for the grace period.

        With individual polling the first poll is immediate; with list polling it may wait. The last poll is due at
        the deadline. Retry-After and a slow list call can delay it by at most their duration. A wake-up polls the
        avatar individually. A failed poll is skipped. Steps of the wall clock have no effect after the call.

        Args:
            avatar_id: The avatar's id at Argil.
            training_started_at: The avatar's age since then sets the poll interval.
            deadline: Monitoring ends with the first poll at or after this time.
            on_change: Awaited with each response whose status differs from the previous one. Its errors propagate.
            submission_id: The avatar's correlation key, if known. A response with another key is a failed poll.
            min_interval_seconds: The minimum poll interval of this training; None: that of the monitor.
            not_found_since: Since when Argil has answered 404, if an earlier process stored it. A time ahead of the
                clock does not count.
            on_absence: Stores it. Its errors propagate.

        Raises:
            ArgilUnauthorized: Argil rejects the API key.
        """
        self._subscriptions_by_avatar[avatar_id] += 1
        now, monotonic_now = self._clock.now(), self._clock.monotonic()

        def to_monotonic(moment: datetime) -> float:
            return monotonic_now + (moment - now).total_seconds()

        absent_since = None if not_found_since is None or not_found_since > now else to_monotonic(not_found_since)
        subscription = Subscription(
            avatar_id,
            to_monotonic(training_started_at),
            to_monotonic(deadline),
            self._min_interval_seconds if min_interval_seconds is None else min_interval_seconds,
            submission_id,
            absent_since,
        )
        try:
            async with self._wakeups.subscribe(avatar_id, subscription.request_poll):
                return await self._poll_until_terminal(subscription, on_change, on_absence)
        finally:
            self._subscriptions_by_avatar[avatar_id] -= 1
            if not self._subscriptions_by_avatar[avatar_id]:
                del self._subscriptions_by_avatar[avatar_id]

    async def _poll_until_terminal(
        self,
        subscription: Subscription,
        on_change: Callable[[Avatar], Awaitable[None]],
        on_absence: AbsenceObserver,
    ) -> MonitorResult:
        # Do not keep the update in a variable: thousands of coroutines wait here, and each would keep a whole
        # avatar in memory.
        result = await self._process_update(
            subscription, await self._next_update(subscription, is_first=True), on_change, on_absence
        )
        while result is None:
            result = await self._process_update(
                subscription, await self._next_update(subscription), on_change, on_absence
            )
        return result

    async def _process_update(
        self,
        subscription: Subscription,
        update: PollUpdate,
        on_change: Callable[[Avatar], Awaitable[None]],
        on_absence: AbsenceObserver,
    ) -> MonitorResult | None:
        """Apply an update to the subscription; return the result if monitoring ends, None otherwise."""
        subscription.retry_after_seconds = 0.0
        if isinstance(update, PollFailedUpdate):
            subscription.retry_after_seconds = update.error.retry_after_seconds or 0.0
        elif isinstance(update, AvatarNotFoundUpdate):
            # A new avatar may be answered with 404 for a while, and a gateway may answer 404 for all of them.
            if subscription.not_found_since is None:
                subscription.not_found_since = update.polled_at_monotonic
                await on_absence(update.polled_at)
            if update.polled_at_monotonic - subscription.not_found_since >= self._not_found_grace_seconds:
                return MonitorResult.NOT_FOUND
        else:
            avatar = update.avatar
            if subscription.not_found_since is not None:
                subscription.not_found_since = None
                await on_absence(None)
            if avatar.status != subscription.status:
                await on_change(avatar)
            subscription.status = avatar.status
            if avatar.is_terminal:
                return MonitorResult.TERMINAL
        return MonitorResult.TIMED_OUT if self._clock.monotonic() >= subscription.deadline else None

    async def _next_update(self, subscription: Subscription, *, is_first: bool = False) -> PollUpdate:
        """Wait for the interval, or for a longer Retry-After, until the deadline at most; then poll.

        A list call that is slow or delayed by its own Retry-After can end after the deadline.
        """
        received = self._received.pop(subscription.avatar_id, None) if is_first else None
        if received is not None and subscription.accepts(received):
            return AvatarUpdate(received)
        now = self._clock.monotonic()
        age = now - subscription.started_at
        remaining = subscription.deadline - now
        strategy = self._select_strategy()
        update: PollUpdate | PollSignal = POLL_INDIVIDUALLY
        minimum = subscription.min_interval_seconds
        is_new_avatar = 0 <= age < minimum
        if is_first and (strategy.sees_new_avatars or not is_new_avatar):
            update = await strategy.wait_for_update(subscription, 0.0)
        else:
            interval = poll_interval(age, minimum, self._max_interval_seconds)
            delay = min(strategy.seconds_until_next_poll(interval, minimum), remaining)
            if retry_after := min(subscription.retry_after_seconds, remaining):
                await self._clock.sleep(retry_after)  # not interruptible: Retry-After applies to wake-ups too
            if delay > retry_after:
                update = await strategy.wait_for_update(subscription, delay - retry_after)
        if update is INTERVAL_ELAPSED:
            # During the interval, other subscriptions may have reached the threshold for list polling.
            update = await self._select_strategy().wait_for_update(subscription, 0.0)
        if isinstance(update, PollSignal):
            polled = await self._individual_poller.poll(subscription)
            if isinstance(polled, PollFailedUpdate):
                self._health.record_failure(polled.error.message)
            else:
                self._health.record_answer()
            return polled
        return update
