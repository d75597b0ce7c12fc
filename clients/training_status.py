"""Reads many avatars once: a list call returns most of them, a GET by id each of the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from clients.argil import ArgilClient
from models.account_list import AccountList
from models.argil_avatar import Avatar
from models.errors import AvatarNotFound, PollFailed


async def fetch_avatars(
    argil: ArgilClient, avatar_ids: Collection[str], listed: Iterable[Avatar] = ()
) -> dict[str, Avatar | None]:
    """Return the current avatars by id.

    Args:
        argil: The account's client.
        avatar_ids: The avatars to read.
        listed: The result of a preceding list call; these avatars are not read again.

    Returns:
        None for an id to which Argil answers 404; an id whose poll failed is missing.

    Raises:
        ArgilUnauthorized: Argil rejects the API key.
    """
    avatars: dict[str, Avatar | None] = {avatar.id: avatar for avatar in listed if avatar.id in avatar_ids}
    for avatar_id in avatar_ids:
        if avatar_id not in avatars:
            try:
                avatars[avatar_id] = await argil.get_avatar(avatar_id)
            except AvatarNotFound:
                avatars[avatar_id] = None
            except PollFailed:
                continue
    return avatars


async def list_account_or_none(argil: ArgilClient) -> AccountList | None:
    """Return the account's avatars, or None if the call fails: the caller then reads each by id.

    Raises ArgilUnauthorized.
    """
    try:
        return await argil.list_account()
    except PollFailed:
        return None
