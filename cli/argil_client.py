"""A client of Argil for commands that send a few requests without a flow. It does not import Prefect."""

from __future__ import annotations

from clients.argil import ArgilClient
from models.clock import SystemClock
from models.settings import Settings


def argil_client(settings: Settings, key: str) -> ArgilClient:
    """Return a client of the account with this API key."""
    return ArgilClient(
        settings.argil_api_url,
        key,
        clock=SystemClock(),
        requests_per_second=settings.avatars_requests_per_second,
    )
