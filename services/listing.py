"""Lists a page of the ledger for a command."""

from __future__ import annotations

from dataclasses import replace

from models.settings import Settings
from store import sqlite_listing
from store.latest_page import LatestPage
from store.sqlite_listing import ListedProvisioning


def list_latest_page(settings: Settings, page: LatestPage, after: str | None = None) -> list[ListedProvisioning]:
    """Return one page of provisionings, newest first, with the submissions of each.

    Args:
        settings: Their ledger is read; a SQLite ledger is created or upgraded if needed.
        page: What to read.
        after: Id or reference of the last provisioning of the previous page.

    Raises:
        DatabaseError: The ledger cannot be read.
        UnknownProvisioning: The ledger does not have `after`.
        UnknownBatch: The ledger does not have the batch.

    """
    database_url = settings.avatars_database_url.get_secret_value()
    listed = sqlite_listing.list_latest_page(database_url, page, after)
    return _list_with_sqlalchemy(settings, page, after) if listed is None else listed


def _list_with_sqlalchemy(settings: Settings, page: LatestPage, after: str | None) -> list[ListedProvisioning]:
    import asyncio  # noqa: PLC0415  # these imports take half of the CPU time of `avatars list`

    from models.clock import SystemClock  # noqa: PLC0415
    from services.store import open_store  # noqa: PLC0415

    async def read() -> list[ListedProvisioning]:
        async with open_store(settings, SystemClock()) as store:
            if page.batch_id is not None:
                await store.batches.get(page.batch_id)
            start = page if after is None else replace(page, after=(await store.ledger.get(after)).sort_key)
            provisionings = await store.ledger.list_page(start)
            submissions = await store.ledger.list_submissions_by_provisioning([item.id for item in provisionings])
        return [(item, submissions[item.id]) for item in provisionings]

    return asyncio.run(read())
