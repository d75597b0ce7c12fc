"""One watch over one avatar: what it has seen, and how it is woken."""

from __future__ import annotations

import asyncio
import math
from datetime import datetime

from clients.nap import Nap
from models.avatar import Avatar
from models.errors import ArgilUnauthorized, PollFailed

News = Avatar | PollFailed | ArgilUnauthorized | None
"""What somebody is told: what a list says, why nothing is known, or (None) to look by oneself."""


class Watcher:
    """One avatar that is watched: since when it trains, until when to look, and what was seen of it."""

    __slots__ = (
        "_told",
        "avatar_id",
        "joined_at",
        "look_at",
        "missing_since",
        "nap",
        "since",
        "status",
        "until",
        "wish",
    )

    def __init__(self, avatar_id: str, since: datetime, until: datetime) -> None:
        self.avatar_id = avatar_id
        self.since = since
        self.until = until
        self.status: str | None = None
        self.missing_since: datetime | None = None
        """Set while Argil answers 404."""
        self.wish = 0.0
        """For how many seconds Argil wishes to be left alone."""
        self.look_at = -math.inf
        """Monotonic: from then on it looks by itself where a list does not show it."""
        self.joined_at = -math.inf
        self.nap = Nap()
        self._told: asyncio.Future[News] | None = None

    @property
    def shown(self) -> str | None:
        """The status that is no news; None: any is, and so is that a list shows it again."""
        return self.status if self.missing_since is None else None

    def hint(self) -> None:
        """Have it look by itself, now or after the look it is at: it may be worth it."""
        self.nap.end()
        self.tell(None)

    def tell(self, news: News) -> None:
        """Wake it with news, if it waits for some."""
        if self._told is not None and not self._told.done():
            self._told.set_result(news)

    def fail(self, error: BaseException) -> None:
        """Raise an error where it waits."""
        if self._told is not None and not self._told.done():
            self._told.set_exception(error)

    async def news(self) -> News:
        """Wait for some."""
        if self.nap.was_ended():
            return None
        self._told = asyncio.get_running_loop().create_future()
        try:
            told = await self._told
        finally:
            self._told = None
        if told is None:
            self.nap.was_ended()  # it looks now; a hint that came after other news is for the next time
        return told
