"""Watches an avatar until its training ends, its deadline passes, or it is gone."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Protocol

from clients.argil import ArgilClient
from clients.training_news import SharedList
from models.avatar import Avatar
from models.clock import Clock
from models.errors import AvatarNotFound, PollFailed

SHARE_OF_AGE = 0.1
CROWD = 20
"""From so many watched avatars on, one list call serves all."""
TICKS_AN_INTERVAL = 2
"""Of a crowd: hundreds may end between two ticks, to record them takes a while, and each end is to be known within
an interval."""

EARLY_SECONDS = 0.05
"""A pause that ends earlier than by this was cut short by a hint."""

Pause = Callable[[float], Awaitable[None]]
"""Waits so many seconds, or less where something hints that the avatar is worth a look."""


class WatchEnd(Enum):
    """Why a watch ended."""

    SETTLED = auto()
    TIMED_OUT = auto()
    VANISHED = auto()
    STILL_TRAINING = auto()
    """The watcher's own patience ended first."""


@dataclass(frozen=True)
class Watched:
    """The end of a watch. `avatar` is the last answer, None where there was none."""

    end: WatchEnd
    avatar: Avatar | None


def interval_seconds(age_seconds: float, floor: float, ceiling: float) -> float:
    """Return how long to wait between two looks at an avatar of this age: a tenth of it, within bounds."""
    return min(max(SHARE_OF_AGE * age_seconds, floor), ceiling)


def seconds_to_tick(now: float, interval: float, floor: float) -> float:
    """Return how long to wait for a moment in which many look together, no later than after half an interval.

    Such moments are the multiples of half the floor, doubled as often as the interval allows: those of a longer
    interval fall on those of a shorter one, so that one list call serves both.
    """
    step = floor / TICKS_AN_INTERVAL * 2.0 ** math.floor(math.log2(max(interval / floor, 1.0)))
    return step - now % step


class HintSource(Protocol):
    """Knows sooner than the next look that an avatar is worth one."""

    def watching(self, avatar_id: str) -> AbstractAsyncContextManager[Pause]:
        """Enter before the first look, yields the pause between two; no hint from then on is lost."""


class NoHints:
    """Every pause lasts to its end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @contextlib.asynccontextmanager
    async def watching(self, avatar_id: str) -> AsyncIterator[Pause]:  # noqa: ARG002  # HintSource's signature
        """Yield the clock's sleep."""
        yield self._clock.sleep


class TrainingWatch:
    """Any number of watches may run at once: few poll by a GET each, CROWD or more share a list call a tick."""

    def __init__(
        self,
        argil: ArgilClient,
        clock: Clock,
        *,
        floor: float,
        ceiling: float,
        gone_after: float,
        hints: HintSource | None = None,
    ) -> None:
        """Watch with intervals from `floor` to `ceiling`; 404s for `gone_after` mean gone. All in seconds.

        A hint cuts an interval short: it moves the next look, and decides nothing.
        """
        self._argil = argil
        self._clock = clock
        self._floor = floor
        self._ceiling = ceiling
        self._gone_after = timedelta(seconds=gone_after)
        self._hints = hints or NoHints(clock)
        self._watched: Counter[str] = Counter()
        self._shared = SharedList(argil, clock, self._watched, floor / TICKS_AN_INTERVAL / 2)

    @property
    def _crowded(self) -> bool:
        return len(self._watched) >= CROWD

    async def until_end(
        self,
        avatar_id: str,
        since: datetime,
        deadline: datetime,
        on_change: Callable[[Avatar], Awaitable[None]],
    ) -> Watched:
        """Look until the avatar has settled, the deadline has passed, or Argil answers only 404 for too long.

        `since` is when the avatar was created: its age sets the interval. The first look is at once (in a crowd
        not at one just created, which no list shows yet), the last at the deadline. `on_change` is awaited with
        each answer whose status differs from the one before. A poll that fails is a missed poll. Raises
        ArgilUnauthorized.
        """
        self._watched[avatar_id] += 1
        try:
            async with self._hints.watching(avatar_id) as pause:
                return await self._look_until_end(avatar_id, since, deadline, on_change, pause)
        finally:
            self._watched[avatar_id] -= 1
            if not self._watched[avatar_id]:
                del self._watched[avatar_id]

    async def _look_until_end(
        self,
        avatar_id: str,
        since: datetime,
        deadline: datetime,
        on_change: Callable[[Avatar], Awaitable[None]],
        pause: Pause,
    ) -> Watched:
        last: Avatar | None = None
        missing_since: datetime | None = None
        hinted = False
        age = (self._clock.now() - since).total_seconds()
        if self._crowded and 0 <= age < self._floor:
            hinted = await self._pause_until_next(pause, age, 0.0, (deadline - self._clock.now()).total_seconds())
        while True:
            looked_at = self._clock.now()
            wish = 0.0
            try:
                # A hint is newer than what a shared list may still say.
                alone = hinted or not self._crowded
                seen = await (self._argil.get(avatar_id) if alone else self._shared.look(avatar_id))
            except PollFailed as error:
                wish = error.retry_after_seconds or 0.0
            except AvatarNotFound:
                # Right after a create a 404 means "not yet"; one that stays means "gone".
                missing_since = missing_since or looked_at
                if looked_at - missing_since >= self._gone_after:
                    return Watched(WatchEnd.VANISHED, last)
            else:
                missing_since = None
                if last is None or seen.status != last.status:
                    await on_change(seen)
                last = seen
                if seen.is_settled:
                    return Watched(WatchEnd.SETTLED, seen)
            now = self._clock.now()
            if now >= deadline:
                return Watched(WatchEnd.TIMED_OUT, last)
            age = (now - since).total_seconds()
            hinted = await self._pause_until_next(pause, age, wish, (deadline - now).total_seconds())

    async def _pause_until_next(self, pause: Pause, age: float, wish: float, left: float) -> bool:
        """Wait an interval, or longer where Argil wished to be left alone, but not past the deadline.

        Returns whether a hint cut it short.
        """
        interval = interval_seconds(age, self._floor, self._ceiling)
        if self._crowded:
            interval = seconds_to_tick(self._clock.monotonic(), interval, self._floor)
        else:
            interval *= self._clock.jitter()
        if left_alone := min(wish, left):
            await self._clock.sleep(left_alone)  # whatever hints come
        if (rest := min(interval, left) - left_alone) <= 0:
            return False
        until = self._clock.monotonic() + rest
        await pause(rest)
        return self._clock.monotonic() < until - EARLY_SECONDS
