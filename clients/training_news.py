"""Looks once at many avatars: a list of the account shows most, a GET each shows the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from clients.argil import ArgilClient
from models.avatar import Avatar
from models.errors import AvatarNotFound, PollFailed


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
