"""Looks once at many avatars: a list of the account shows most, a GET each shows the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

from clients.argil import ArgilClient
from models.avatar import Avatar
from models.clock import Clock
from models.errors import ArgilUnauthorized, AvatarNotFound, PollFailed

FALLBACK_GETS = 50
"""How many are looked at one by one in place of a list call that failed; the others miss that poll."""


async def look_at(
    argil: ArgilClient, avatar_ids: Collection[str], listed: Iterable[Avatar] = ()
) -> dict[str, Avatar | None]:
    """Return what Argil says of each avatar now; None: it answers 404; left out: the look failed.

    `listed` is what a list call has just shown. Raises ArgilUnauthorized.
    """
    found: dict[str, Avatar | None] = {avatar.id: avatar for avatar in listed if avatar.id in avatar_ids}
    for avatar_id in avatar_ids:
        if avatar_id not in found:
            try:
                found[avatar_id] = await argil.get(avatar_id)
            except AvatarNotFound:
                found[avatar_id] = None
            except PollFailed:
                continue
    return found


async def list_account(argil: ArgilClient) -> list[Avatar]:
    """Return the account's avatars, none where the list fails: that costs its own saving, nothing more.

    Raises ArgilUnauthorized.
    """
    try:
        return await argil.list_private()
    except (PollFailed, AvatarNotFound):
        return []


class SharedList:
    """One list call for all who look within a moment, and a GET for what it does not show."""

    def __init__(self, argil: ArgilClient, clock: Clock, watched: Collection[str], fresh_seconds: float) -> None:
        """Keep of a list what is in `watched` then; an answer serves looks for `fresh_seconds` from its asking."""
        self._argil = argil
        self._clock = clock
        self._watched = watched
        self._fresh_seconds = fresh_seconds
        self._asked_at = 0.0
        self._listing: asyncio.Task[dict[str, Avatar] | PollFailed | ArgilUnauthorized] | None = None
        self._gets_left = 0

    async def look(self, avatar_id: str) -> Avatar:
        """Return what Argil says of the avatar. Raises as `ArgilClient.get` does."""
        listed = await self._listed()
        if isinstance(listed, ArgilUnauthorized):
            raise listed
        if isinstance(listed, PollFailed):
            if listed.retry_after_seconds is not None or self._gets_left == 0:
                raise PollFailed(listed.message, retry_after_seconds=listed.retry_after_seconds)
            self._gets_left -= 1
        elif avatar_id in listed:
            return listed[avatar_id]
        return await self._argil.get(avatar_id)

    async def _listed(self) -> dict[str, Avatar] | PollFailed | ArgilUnauthorized:
        now = self._clock.monotonic()
        if self._listing is None or (self._listing.done() and now - self._asked_at >= self._fresh_seconds):
            self._asked_at = now
            self._gets_left = FALLBACK_GETS
            self._listing = asyncio.create_task(self._list())
        # Whoever asked first may go before the answer comes; the others still wait for it.
        return await asyncio.shield(self._listing)

    async def _list(self) -> dict[str, Avatar] | PollFailed | ArgilUnauthorized:
        try:
            return {one.id: one for one in await self._argil.list_private() if one.id in self._watched}
        except (PollFailed, ArgilUnauthorized) as error:
            return error
        except AvatarNotFound as error:
            return PollFailed(error.message)
