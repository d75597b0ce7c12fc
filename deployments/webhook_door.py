"""The webhook receiver as the service runs it: deliveries go to the ledger's database, hints wake sleeping runs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from deployments.webhook import receiver, serve_receiver
from models.settings import Settings
from tasks.follow_hint import follow_hint
from tasks.runtime import runtime


@contextlib.asynccontextmanager
async def webhook_door(settings: Settings, *, host: str, port: int) -> AsyncIterator[str]:
    """Take deliveries on the current event loop while the context is open; yields the door's base URL.

    Port 0 takes a free one. Raises SettingsError (no token, no key), DatabaseError, and OSError where the address
    cannot be had.
    """
    token = settings.require_webhook_token()
    async with (
        runtime() as active,
        serve_receiver(receiver(token, active.deliveries, follow_hint), host=host, port=port) as url,
    ):
        yield url
