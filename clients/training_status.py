"""Reads many avatars once: a list call returned most of them, a GET by id each of the rest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from clients.argil import ArgilClient
from models.argil_avatar import Avatar
from models.errors import AvatarNotFound, PollFailed

MAX_CONSECUTIVE_FAILURES = 3
"""After this many failed polls in a row, the rest is not polled: Argil is likely to fail for all of them."""


def _always() -> bool:
    return True


async def fetch_avatars(
    argil: ArgilClient,
    avatar_ids: Collection[str],
    listed: Iterable[Avatar] = (),
    *,
    may_continue: Callable[[], bool] = _always,
) -> dict[str, Avatar | None]:
    """Return the current avatars by id.

    Args:
        argil: The account's client.
        avatar_ids: The avatars to read.
        listed: The result of a preceding list call; these avatars are not read again.
        may_continue: Called before each poll except the first; if it returns False, the rest is not polled.

    Returns:
        None for an id to which Argil answers 404; an id whose poll failed or was not sent is missing.

    Raises:
        ArgilUnauthorized: Argil rejects the API key.
    """
    avatars: dict[str, Avatar | None] = {avatar.id: avatar for avatar in listed if avatar.id in avatar_ids}
    failures = polls = 0
    for avatar_id in avatar_ids:
        if avatar_id in avatars:
            continue
        if failures == MAX_CONSECUTIVE_FAILURES or (polls and not may_continue()):
            break
        polls += 1
        try:
            avatars[avatar_id] = await argil.get_avatar(avatar_id)
        except AvatarNotFound:
            avatars[avatar_id] = None
        except PollFailed:
            failures += 1
            continue
        failures = 0
    return avatars
