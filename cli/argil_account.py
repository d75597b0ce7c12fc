"""The ledger and a client of Argil, for commands that compare both without a flow.

Each account list is compared with the ledger, as those of a flow are (services/account/unknown_avatars.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from clients.argil import ArgilClient
from models.argil.account_list import AccountList
from models.clock import SystemClock
from models.errors import ArgilUnreachable, PollFailed
from models.limits import digest_api_key
from models.settings import Settings
from services.store import Store, open_store


@contextlib.asynccontextmanager
async def open_account(settings: Settings, key: str) -> AsyncIterator[tuple[Store, ArgilClient]]:
    """Open the ledger and a client of the account. A poll that fails is raised as an operational error.

    Args:
        settings: The settings of this command.
        key: The API key of the account.

    Raises:
        DatabaseError: The ledger cannot be opened.
        ArgilUnreachable: A poll failed.

    """
    # They import Prefect, which takes over a second of CPU time.
    from services.account.empty_lists import EmptyListCheck
    from services.request_pause import LedgerRequestPause

    clock = SystemClock()
    async with open_store(settings, clock) as store:
        empty_lists = EmptyListCheck(store.ledger, store.unknown_avatars)

        async def compare(client: ArgilClient, account: AccountList) -> None:
            await empty_lists.check(client, account)
            await store.unknown_avatars.compare(account)

        async with ArgilClient(
            settings.argil_api_url,
            key,
            clock=clock,
            requests_per_second=settings.avatars_requests_per_second,
            shared_pause=LedgerRequestPause(store.limits, digest_api_key(key), clock),
            on_list=compare,
        ) as argil:
            try:
                yield store, argil
            except PollFailed as error:
                raise ArgilUnreachable(
                    f"the account could not be listed: {error.message}",
                    hint="check the connection to Argil with `avatars doctor`, then run the same command again",
                ) from None
