"""Watches an avatar until its training ends, its deadline passes, or it is gone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from clients.argil import ArgilClient
from models.avatar import Avatar
from models.clock import Clock
from models.errors import AvatarNotFound, PollFailed

SHARE_OF_AGE = 0.1


class WatchEnd(Enum):
    """Why a watch ended."""

    SETTLED = auto()
    TIMED_OUT = auto()
    VANISHED = auto()


@dataclass(frozen=True)
class Watched:
    """The end of a watch. `avatar` is the last answer, None where there was none."""

    end: WatchEnd
    avatar: Avatar | None


def interval_seconds(age_seconds: float, floor: float, ceiling: float) -> float:
    """Return how long to wait between two looks at an avatar of this age: a tenth of it, within bounds."""
    return min(max(SHARE_OF_AGE * age_seconds, floor), ceiling)


class TrainingWatch:
    """Polls by GET; any number of watches may run at once."""

    def __init__(
        self, argil: ArgilClient, clock: Clock, *, floor: float, ceiling: float, gone_after: float
    ) -> None:
        """Watch with intervals from `floor` to `ceiling`; 404s for `gone_after` mean gone. All in seconds."""
        self._argil = argil
        self._clock = clock
        self._floor = floor
        self._ceiling = ceiling
        self._gone_after = timedelta(seconds=gone_after)

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
            await self._clock.sleep(min(max(wait, wish), (deadline - now).total_seconds()))
