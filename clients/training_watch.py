"""Watches an avatar until its training ends, its deadline passes, or it is gone."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Protocol

from clients.argil import ArgilClient
from models.avatar import Avatar
from models.clock import Clock
from models.errors import AvatarNotFound, PollFailed

SHARE_OF_AGE = 0.1

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
    """Polls by GET; any number of watches may run at once."""

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

    async def until_end(
        self,
        avatar_id: str,
        since: datetime,
        deadline: datetime,
        on_change: Callable[[Avatar], Awaitable[None]],
    ) -> Watched:
        """Look until the avatar has settled, the deadline has passed, or Argil answers only 404 for too long.

        `since` is when the avatar was created: its age sets the interval. The first look is at once, the last
        at the deadline. `on_change` is awaited with each answer whose status differs from the one before.
        A poll that fails is a missed poll. Raises ArgilUnauthorized.
        """
        async with self._hints.watching(avatar_id) as pause:
            return await self._look_until_end(avatar_id, since, deadline, on_change, pause)

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
        while True:
            looked_at = self._clock.now()
            wish = 0.0
            try:
                seen = await self._argil.get(avatar_id)
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
            wait = interval_seconds(age, self._floor, self._ceiling) * self._clock.jitter()
            await self._wait(pause, wait, wish, (deadline - now).total_seconds())

    async def _wait(self, pause: Pause, interval: float, wish: float, left: float) -> None:
        """Wait an interval, or longer where Argil wished to be left alone, but not past the deadline."""
        if left_alone := min(wish, left):
            await self._clock.sleep(left_alone)  # whatever hints come
        if (rest := min(interval, left) - left_alone) > 0:
            await pause(rest)
