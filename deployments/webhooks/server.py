"""Serves the webhook receiver with the ledger's database as its storage and the service's wake-up handler."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from deployments.webhooks.receiver import create_app, serve_receiver
from models.settings import Settings
from services.context import app_context
from services.webhook_handler import handle_webhook_wakeup


@contextlib.asynccontextmanager
async def serve_webhooks(settings: Settings, *, host: str, port: int) -> AsyncIterator[str]:
    """Serve the webhook receiver on the current event loop while the context is open, and yield its base URL.

    Args:
        settings: Provides the webhook token.
        host: IPv4 or IPv6 address to bind.
        port: Port to bind; 0 selects a free port.

    Raises:
        SettingsError: The webhook token or the API key is not set.
        DatabaseError: The ledger's database cannot be opened.
        OSError: The address cannot be bound.
    """
    token = settings.require_webhook_token()
    async with (
        app_context() as context,
        serve_receiver(create_app(token, context.deliveries, handle_webhook_wakeup), host=host, port=port) as url,
    ):
        yield url
