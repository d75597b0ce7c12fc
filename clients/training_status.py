"""Reads many avatars once: a list call returned most of them, a GET by id each of the rest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from clients.argil import ArgilClient
from models.argil.avatar import Avatar
from models.errors import AvatarNotFound, PollFailed

MAX_CONSECUTIVE_FAILURES = 3
"""After this many failed polls in a row, the rest is not polled: Argil is likely to fail for all of them."""


@dataclass(frozen=True, slots=True)
class FetchedAvatars:
    """The current avatars, and where their reading stopped."""

    by_id: dict[str, Avatar | None]
    """None for an id to which Argil answers 404; an id whose poll failed or was not sent is missing."""
    stopped_at: str | None = None
    """The first id whose poll was not sent; None if each was sent."""


def _always() -> bool:
    return True


async def fetch_avatars(
    argil: ArgilClient,
    avatar_ids: Collection[str],
    listed: Iterable[Avatar] = (),
    *,
    may_continue: Callable[[], bool] = _always,
) -> FetchedAvatars:
    """Return the current avatars.

    Args:
        argil: The account's client.
        avatar_ids: The avatars to read, in this order.
        listed: The result of a preceding list call; these avatars are not read again.
        may_continue: Called before each poll except the first; if it returns False, the rest is not polled.

    Raises:
        ArgilUnauthorized: Argil rejects the API key.
    """
    avatars: dict[str, Avatar | None] = {avatar.id: avatar for avatar in listed if avatar.id in avatar_ids}
    failures = polls = 0
    for avatar_id in avatar_ids:
        if avatar_id in avatars:
            continue
        if failures == MAX_CONSECUTIVE_FAILURES or (polls and not may_continue()):
            return FetchedAvatars(avatars, stopped_at=avatar_id)
        polls += 1
        try:
            avatars[avatar_id] = await argil.get_avatar(avatar_id)
        except AvatarNotFound:
            avatars[avatar_id] = None
        except PollFailed:
            failures += 1
            continue
        failures = 0
    return FetchedAvatars(avatars)
