"""Looks once at many avatars: one list call where that is cheaper, a GET for each that the list does not show."""

from __future__ import annotations

from collections.abc import Collection

from clients.argil import ArgilClient
from models.avatar import Avatar
from models.errors import AvatarNotFound, PollFailed

FEW = 5
"""Up to so many avatars a GET each is cheaper than a list of the whole account."""


async def look_at(argil: ArgilClient, avatar_ids: Collection[str]) -> dict[str, Avatar | None]:
    """Return what Argil says of each avatar now; None: it answers 404; left out: the look failed.

    Raises ArgilUnauthorized.
    """
    found: dict[str, Avatar | None] = {}
    if len(avatar_ids) > FEW:
        try:
            found = {avatar.id: avatar for avatar in await argil.list_private() if avatar.id in avatar_ids}
        except (PollFailed, AvatarNotFound):
            found = {}  # a slow or failing list costs its own saving, nothing more
    for avatar_id in avatar_ids:
        if avatar_id not in found:
            try:
                found[avatar_id] = await argil.get(avatar_id)
            except AvatarNotFound:
                found[avatar_id] = None
            except PollFailed:
                continue
    return found
