"""Watches an avatar until its training ends, its deadline passes, or it is gone."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Protocol

from clients.argil import ArgilClient
from clients.intervals import interval_seconds
from clients.training_crowd import Crowd
from clients.watcher import News, Watcher
from models.avatar import Avatar
from models.clock import Clock
from models.errors import AvatarNotFound, PollFailed

CROWD = 20
"""From so many watched avatars on, one list call serves all."""


class WatchEnd(Enum):
    """Why a watch ended."""

    SETTLED = auto()
    TIMED_OUT = auto()
    VANISHED = auto()
    STILL_TRAINING = auto()
    """The watcher's own patience ended first."""


class HintSource(Protocol):
    """Knows sooner than the next look that an avatar is worth one."""

    def watching(self, avatar_id: str, hint: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """Enter before the first look: `hint` is called whenever there is one from then on."""


class NoHints:
    """Nothing is known sooner."""

    def watching(self, avatar_id: str, hint: Callable[[], None]) -> AbstractAsyncContextManager[None]:  # noqa: ARG002  # HintSource's signature
        """Call nothing."""
        return contextlib.nullcontext()


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
        self._hints = hints or NoHints()
        self._watched: Counter[str] = Counter()
        self._crowd = Crowd(argil, clock, floor, ceiling, is_one=self._crowded)

    def _crowded(self) -> bool:
        return len(self._watched) >= CROWD

    async def until_end(
        self,
        avatar_id: str,
        since: datetime,
        deadline: datetime,
        on_change: Callable[[Avatar], Awaitable[None]],
    ) -> WatchEnd:
        """Look until the avatar has settled, the deadline has passed, or Argil answers only 404 for too long.

        `since` is when the avatar was created: its age sets the interval. The first look is at once (in a crowd
        not at one just created, which no list shows yet), the last at the deadline. `on_change` is awaited with
        each answer whose status differs from the one before. A poll that fails is a missed poll. Raises
        ArgilUnauthorized.
        """
        self._watched[avatar_id] += 1
        watcher = Watcher(avatar_id, since, deadline)
        try:
            async with self._hints.watching(avatar_id, watcher.hint):
                return await self._look_until_end(watcher, on_change)
        finally:
            self._watched[avatar_id] -= 1
            if not self._watched[avatar_id]:
                del self._watched[avatar_id]

    async def _look_until_end(self, watcher: Watcher, on_change: Callable[[Avatar], Awaitable[None]]) -> WatchEnd:
        # What was seen is nowhere kept: thousands of whole avatars would be.
        end = await self._look(watcher, await self._first_news(watcher), on_change)
        while end is None:
            end = await self._look(watcher, await self._next_news(watcher), on_change)
        return end

    async def _look(
        self, watcher: Watcher, news: News, on_change: Callable[[Avatar], Awaitable[None]]
    ) -> WatchEnd | None:
        """Take in what there is to see; returns the end of the watch, where that is one."""
        looked_at = self._clock.now()
        watcher.wish = 0.0
        try:
            avatar = await self._see(watcher.avatar_id, news)
        except PollFailed as error:
            watcher.wish = error.retry_after_seconds or 0.0
        except AvatarNotFound:
            # Right after a create a 404 means "not yet"; one that stays means "gone".
            watcher.missing_since = watcher.missing_since or looked_at
            if looked_at - watcher.missing_since >= self._gone_after:
                return WatchEnd.VANISHED
        else:
            watcher.missing_since = None
            if avatar.status != watcher.status:
                await on_change(avatar)
            watcher.status = avatar.status
            if avatar.is_settled:
                return WatchEnd.SETTLED
        return WatchEnd.TIMED_OUT if self._clock.now() >= watcher.until else None

    async def _see(self, avatar_id: str, news: News) -> Avatar:
        if news is None:
            return await self._argil.get(avatar_id)
        if isinstance(news, Avatar):
            return news
        raise news.with_traceback(None)  # thousands are told of one error

    async def _first_news(self, watcher: Watcher) -> News:
        if not self._crowded():
            return None
        age = (self._clock.now() - watcher.since).total_seconds()
        return await (self._next_news(watcher) if 0 <= age < self._floor else self._crowd.news(watcher, 0.0))

    async def _next_news(self, watcher: Watcher) -> News:
        """Wait an interval, or longer where Argil wished to be left alone, but not past the deadline."""
        now = self._clock.now()
        interval = interval_seconds((now - watcher.since).total_seconds(), self._floor, self._ceiling)
        left = (watcher.until - now).total_seconds()
        crowded = self._crowded()
        if crowded:
            interval = self._crowd.seconds_to_tick(interval)
        else:
            interval *= self._clock.jitter()
        if left_alone := min(watcher.wish, left):
            await self._clock.sleep(left_alone)  # whatever hints come
        if (rest := min(interval, left) - left_alone) <= 0:
            return None
        if crowded:
            return await self._crowd.news(watcher, rest)
        hinted = await watcher.nap.take(self._clock, rest)
        return None if hinted or not self._crowded() else await self._crowd.news(watcher, 0.0)
