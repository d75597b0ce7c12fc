"""Poll strategy for many subscriptions: one list call per tick for all of them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from itertools import islice

from clients.argil import ArgilClient
from clients.interruptible_sleep import InterruptibleSleep
from clients.poll_health import PollHealth
from clients.poll_schedule import TICKS_PER_INTERVAL, poll_interval, seconds_until_next_tick
from clients.training_subscription import (
    POLL_INDIVIDUALLY,
    AvatarUpdate,
    PollFailedUpdate,
    PollSignal,
    PollUpdate,
    Subscription,
)
from models.argil.avatar_list import AvatarList
from models.clock import Clock
from models.errors import PollFailed

MIN_CALL_SPACING_RATIO = 0.5
"""Minimum time between the starts of two list calls, as a ratio of the minimum tick period."""
MAX_FALLBACK_POLLS = 50
"""Maximum number of subscriptions that poll individually if a list call fails or is slow. The others skip it."""
SLOW_LIST_SECONDS = 10.0
"""While a list call is in progress, fallback polls are sent each time this many seconds have passed."""
COALESCE_SECONDS = 0.05
"""A subscription that is due within this time after a tick is served by that tick."""


class ListPoller:
    """Polls the account's avatar list once per tick and dispatches changes to all waiting subscriptions.

    One task serves all waiting subscriptions. The tick interval is the shortest of its kinds of
    trainings, each that of the youngest one.
    """

    sees_new_avatars = False
    """Argil's list can omit new avatars for minutes (`ArgilClient.list_avatars`)."""

    def __init__(
        self,
        argil: ArgilClient,
        clock: Clock,
        min_interval_seconds: float,
        max_interval_seconds: float,
        *,
        is_active: Callable[[], bool],
        health: PollHealth | None = None,
    ) -> None:
        """Create a poller without a task; the first wait starts it.

        Args:
            argil: The account's client.
            clock: Clock of ticks, ages and deadlines.
            min_interval_seconds: Poll interval of a training that just started; the minimum.
            max_interval_seconds: Maximum poll interval; the interval is a tenth of the training's age.
            is_active: Called at each tick. If it returns False, every subscription polls individually instead.
            health: Each failed poll since the last answer halves the fallback polls and doubles the tick interval.
        """
        self._argil = argil
        self._clock = clock
        self._min_interval_seconds = min_interval_seconds
        self._max_interval_seconds = max_interval_seconds
        self._is_active = is_active
        self._health = health or PollHealth()
        self._phase = max_interval_seconds * (1 - clock.jitter())
        """Random, so that processes that started together do not poll at the same time."""
        self._waiters: dict[Subscription, None] = {}
        """In the order in which they started to wait."""
        self._poll_task: asyncio.Task[None] | None = None
        self._sleep = InterruptibleSleep()
        self._next_poll_at = math.inf
        """The next tick, or the earliest due time of the subscriptions added since the last tick."""
        self._last_poll_at = -math.inf
        self._retry_after_until = -math.inf

    def seconds_until_next_poll(self, interval: float, min_interval_seconds: float) -> float:
        """Return the seconds until a tick, at most half an interval."""
        return seconds_until_next_tick(self._clock.monotonic() + self._phase, interval, min_interval_seconds)

    async def wait_for_update(self, subscription: Subscription, delay_seconds: float) -> PollUpdate | PollSignal:
        """Wait until a list call returns a status that differs from the last known one, or until a GET is due.

        A list call starts after at most `delay_seconds`; the spacing of calls and Retry-After can delay it. After
        its deadline, a subscription receives the result of the next list call even if its status is unchanged.

        Raises:
            ArgilUnauthorized: Argil rejects the API key. Every waiting subscription raises it.
        """
        subscription.waiting_since = self._clock.monotonic()
        subscription.poll_due_at = subscription.waiting_since + delay_seconds
        self._waiters[subscription] = None
        if subscription.poll_due_at < self._next_poll_at - COALESCE_SECONDS:
            self._next_poll_at = subscription.poll_due_at
            self._sleep.interrupt()
        if self._poll_task is None:
            self._poll_task = asyncio.create_task(self._poll_loop())
        try:
            return await subscription.wait()
        finally:
            del self._waiters[subscription]
            if not self._waiters and self._poll_task is not None:
                poll_task, self._poll_task = self._poll_task, None
                poll_task.cancel()
                await asyncio.wait((poll_task,))

    async def _poll_loop(self) -> None:
        try:
            while True:
                await self._sleep_until_tick()
                await self._poll_once()
                await asyncio.sleep(0)  # let notified subscriptions end their wait before the next tick is computed
        except Exception as error:  # noqa: BLE001  # raised in every waiting subscription
            for subscription in self._waiters:
                subscription.notify_error(error)
            self._poll_task = None

    async def _sleep_until_tick(self) -> None:
        youngest: dict[float, float] = {}
        for subscription in self._waiters:
            minimum, started_at = subscription.min_interval_seconds, subscription.started_at
            if started_at > youngest.get(minimum, -math.inf):
                youngest[minimum] = started_at
        first_deadline = min(subscription.deadline for subscription in self._waiters)
        now = self._clock.monotonic()
        next_ticks = (
            self.seconds_until_next_poll(
                poll_interval(now - started_at, minimum, self._max_interval_seconds), minimum
            )
            for minimum, started_at in youngest.items()
        )
        tick_in = min(*next_ticks, first_deadline - now)
        self._next_poll_at = min(self._next_poll_at, now + tick_in)
        min_tick_seconds = min(youngest) / TICKS_PER_INTERVAL
        earliest_call_at = self._last_poll_at + min_tick_seconds * MIN_CALL_SPACING_RATIO
        while True:
            due = max(self._next_poll_at, earliest_call_at, self._retry_after_until)
            if (remaining := due - self._clock.monotonic()) <= 0:
                return
            await self._sleep.sleep(self._clock, remaining)

    async def _poll_once(self) -> None:
        self._next_poll_at = math.inf
        if not self._is_active():
            for subscription in self._waiters:
                subscription.notify(POLL_INDIVIDUALLY)
            return
        self._last_poll_at = self._clock.monotonic()
        list_call = asyncio.create_task(self._argil.list_avatars_lazy())
        try:
            while not await self._completes_in_time(list_call):
                self._poll_some_individually()
            self._dispatch(list_call.result())
        except PollFailed as error:
            self._handle_list_error(error)
        finally:
            list_call.cancel()
            await asyncio.wait((list_call,))

    async def _completes_in_time(self, list_call: asyncio.Task[AvatarList]) -> bool:
        """Wait for the list call, at most SLOW_LIST_SECONDS; return whether it is complete."""
        timeout = asyncio.ensure_future(self._clock.sleep(SLOW_LIST_SECONDS))
        await asyncio.wait((list_call, timeout), return_when=asyncio.FIRST_COMPLETED)
        timeout.cancel()
        return list_call.done()

    def _dispatch(self, avatars: AvatarList) -> None:
        self._health.record_answer()
        now = self._clock.monotonic()
        for subscription in self._waiters:
            is_past_deadline = subscription.deadline <= now
            if subscription.waiting_since > self._last_poll_at or (
                avatars.has_status(subscription.avatar_id, subscription.last_known_status) and not is_past_deadline
            ):
                continue  # it started to wait after the list call was sent, or its status is unchanged
            avatar = avatars.get(subscription.avatar_id)
            if avatar is not None and subscription.accepts(avatar):
                subscription.notify(AvatarUpdate(avatar))
            elif is_past_deadline or subscription.poll_due_at <= now + COALESCE_SECONDS:
                subscription.notify(POLL_INDIVIDUALLY)

    def _handle_list_error(self, error: PollFailed) -> None:
        now = self._clock.monotonic()
        if error.retry_after_seconds is not None:
            self._retry_after_until = now + error.retry_after_seconds
            return
        self._poll_some_individually(max(MAX_FALLBACK_POLLS >> self._health.failures, 1))
        if self._health.failures:
            backoff = self._min_interval_seconds * 2.0 ** min(self._health.failures, 30)
            self._retry_after_until = now + min(backoff, self._max_interval_seconds)
        self._health.record_failure(error.message)
        for subscription in self._waiters:
            if subscription.deadline <= now:
                subscription.notify(PollFailedUpdate(error))  # no effect on a fallback poll notified above

    def _poll_some_individually(self, count: int = MAX_FALLBACK_POLLS) -> None:
        """Notify up to `count` due subscriptions to poll individually, the longest waiting first."""
        now = self._clock.monotonic()
        due = (
            subscription
            for subscription in self._waiters
            if subscription.deadline <= now or subscription.poll_due_at <= now + COALESCE_SECONDS
        )
        for subscription in islice(due, count):
            subscription.notify(POLL_INDIVIDUALLY)
