"""One list call a tick for all who watch, which wakes those alone for whom it has news."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from itertools import islice

from clients.argil import ArgilClient
from clients.intervals import TICKS_AN_INTERVAL, interval_seconds, seconds_to_tick
from clients.nap import Nap
from clients.watcher import News, Watcher
from models.avatar import Listing
from models.clock import Clock
from models.errors import ArgilUnauthorized, AvatarNotFound, PollFailed

FRESH_SHARE = 0.5
"""Of the shortest time from tick to tick: so old a list may be before somebody who asks has another one made."""
FALLBACK_GETS = 50
"""How many look by themselves in place of a list call that failed, or is slow; the others miss that look."""
SLOW_SECONDS = 10.0
"""Each so long that a list call takes, so many look by themselves."""
TOLERANCE_SECONDS = 0.05
"""A tick that comes earlier than somebody's time by less serves that one, too."""


class Crowd:
    """Who waits here is one entry in a dict: there is one task for all, and a list call a tick of the youngest."""

    def __init__(
        self, argil: ArgilClient, clock: Clock, floor: float, ceiling: float, *, is_one: Callable[[], bool]
    ) -> None:
        """Tick by intervals from `floor` to `ceiling` seconds; no list is asked for once `is_one` says no."""
        self._argil = argil
        self._clock = clock
        self._floor = floor
        self._ceiling = ceiling
        self._is_one = is_one
        self._phase = ceiling * (1 - clock.jitter())
        """So that processes of one machine do not all ask at once."""
        self._waiting: dict[Watcher, None] = {}
        """In the order in which they came back from their last look."""
        self._ticker: asyncio.Task[None] | None = None
        self._nap = Nap()
        self._tick_at = math.inf
        """The next tick, or the earliest wish of those who came since the last one."""
        self._asked_at = -math.inf
        self._left_alone_until = -math.inf

    def seconds_to_tick(self, interval: float) -> float:
        """Return how long to wait for a tick, no later than after half an interval."""
        return seconds_to_tick(self._clock.monotonic() + self._phase, interval, self._floor)

    async def news(self, watcher: Watcher, wait: float) -> News:
        """Wait until a list says something else than what was seen, or it is time to look by oneself.

        A list is asked for in `wait` seconds at the latest. Past `until` it is told of what there is then.
        """
        watcher.joined_at = self._clock.monotonic()
        watcher.look_at = watcher.joined_at + wait
        self._waiting[watcher] = None
        if watcher.look_at < self._tick_at - TOLERANCE_SECONDS:
            self._tick_at = watcher.look_at
            self._nap.end()
        if self._ticker is None:
            self._ticker = asyncio.create_task(self._run())
        try:
            return await watcher.news()
        finally:
            del self._waiting[watcher]
            if not self._waiting and self._ticker is not None:
                ticker, self._ticker = self._ticker, None
                ticker.cancel()
                await asyncio.wait((ticker,))

    async def _run(self) -> None:
        try:
            while True:
                await self._until_tick()
                await self._tick()
                await asyncio.sleep(0)  # who was told something leaves first
        except Exception as error:  # noqa: BLE001  # raised where somebody waits for it
            for watcher in self._waiting:
                watcher.fail(error)
            self._ticker = None

    async def _until_tick(self) -> None:
        youngest = max(one.since for one in self._waiting)
        first_end = min(one.until for one in self._waiting)
        now, wall = self._clock.monotonic(), self._clock.now()
        interval = interval_seconds((wall - youngest).total_seconds(), self._floor, self._ceiling)
        tick_in = min(self.seconds_to_tick(interval), (first_end - wall).total_seconds())
        self._tick_at = min(self._tick_at, now + tick_in)
        fresh_until = self._asked_at + self._floor / TICKS_AN_INTERVAL * FRESH_SHARE
        while True:
            due = max(self._tick_at, fresh_until, self._left_alone_until)
            if (left := due - self._clock.monotonic()) <= 0:
                return
            await self._nap.take(self._clock, left)

    async def _tick(self) -> None:
        self._tick_at = math.inf
        if not self._is_one():
            for watcher in self._waiting:
                watcher.tell(None)
            return
        self._asked_at = self._clock.monotonic()
        listing = asyncio.create_task(self._argil.listing())
        try:
            while not await self._came(listing):
                self._let_some_look()
            self._listed(listing.result())
        except ArgilUnauthorized as error:
            for watcher in self._waiting:
                watcher.tell(error)
        except (PollFailed, AvatarNotFound) as error:
            self._list_failed(error)
        finally:
            listing.cancel()
            await asyncio.wait((listing,))

    async def _came(self, listing: asyncio.Task[Listing]) -> bool:
        """Tell whether the list has come, as soon as it has, or is slow."""
        slow = asyncio.ensure_future(self._clock.sleep(SLOW_SECONDS))
        await asyncio.wait((listing, slow), return_when=asyncio.FIRST_COMPLETED)
        slow.cancel()
        return listing.done()

    def _listed(self, listing: Listing) -> None:
        now, wall = self._clock.monotonic(), self._clock.now()
        for watcher in self._waiting:
            is_last = watcher.until <= wall
            if watcher.joined_at > self._asked_at or (
                listing.says(watcher.avatar_id, watcher.shown) and not is_last
            ):
                continue  # what it has seen by itself may be newer, or is the same
            avatar = listing.avatar(watcher.avatar_id)
            if avatar is None:
                if is_last or watcher.look_at <= now + TOLERANCE_SECONDS:
                    watcher.tell(None)
            else:
                watcher.tell(avatar)

    def _list_failed(self, error: PollFailed | AvatarNotFound) -> None:
        if isinstance(error, PollFailed) and error.retry_after_seconds is not None:
            self._left_alone_until = self._clock.monotonic() + error.retry_after_seconds
            return
        self._let_some_look()
        wall = self._clock.now()
        for watcher in self._waiting:
            if watcher.until <= wall:
                watcher.tell(PollFailed(error.message))  # unless it was told to look

    def _let_some_look(self) -> None:
        """Have FALLBACK_GETS of those whose time has come look by themselves, first who has waited longest."""
        now, wall = self._clock.monotonic(), self._clock.now()
        due = (one for one in self._waiting if one.until <= wall or one.look_at <= now + TOLERANCE_SECONDS)
        for watcher in islice(due, FALLBACK_GETS):
            watcher.tell(None)
