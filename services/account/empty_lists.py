"""Doubts an account list without avatars: Argil, or a gateway in front of it, may return it by mistake.

A wrong empty list would prove that every submission was lost, and each one would be sent and paid again.
"""

from __future__ import annotations

from clients.argil import ArgilClient
from models.argil.account_list import AccountList
from models.errors import AvatarNotFound, PollFailed
from models.provisioning import Status
from store.ledger_reader import LedgerReader
from store.unknown_avatars import UnknownAvatarRepository


class EmptyListCheck:
    """Reads a few avatars that must be in the account if its list has none. One answer serves a whole process."""

    def __init__(self, ledger: LedgerReader, unknown_avatars: UnknownAvatarRepository) -> None:
        self._ledger = ledger
        self._unknown_avatars = unknown_avatars
        self._is_confirmed = False
        """Whether an empty list was right, and no list since had an avatar."""

    async def check(self, argil: ArgilClient, account: AccountList) -> None:
        """Mark a list without avatars as incomplete, unless Argil answers 404 for those that the ledger knows.

        Args:
            argil: The client of this account.
            account: A list of the account.

        Raises:
            ArgilUnauthorized: Argil rejects the API key.
            DatabaseError: The ledger cannot be read.
        """
        if account.names_an_avatar:
            self._is_confirmed = False
        if account.names_an_avatar or account.incomplete_because or self._is_confirmed:
            return
        for avatar_id in await self._known_avatar_ids():
            try:
                await argil.get_avatar(avatar_id)
            except AvatarNotFound:
                continue
            except PollFailed as error:
                account.incomplete_because = f"the list is empty, and avatar {avatar_id} could not be read: {error}"
                return
            account.incomplete_because = f"the list is empty, although Argil has avatar {avatar_id}"
            return
        self._is_confirmed = True

    async def _known_avatar_ids(self) -> list[str]:
        """Return the newest avatar of each kind, at most three: one in training, a usable and an unknown one."""
        known = [
            item.avatar_id
            for status in (Status.TRAINING, Status.READY)
            for item in await self._ledger.list_latest(status, 1)
        ]
        known += [item.avatar_id for item in await self._unknown_avatars.list_undecided(1)]
        return [avatar_id for avatar_id in known if avatar_id is not None]
