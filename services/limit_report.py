"""Reads the limits for a command, which may have no API key."""

from __future__ import annotations

from models.limits import LimitState, SubmissionGuard, digest_api_key
from models.settings import Settings
from services.store import Store


async def read_limits(store: Store, settings: Settings, batch_id: str | None = None) -> LimitState:
    """Return the budgets and the pauses of ARGIL_API_KEY, or without it those of every key of this ledger.

    Args:
        store: The ledger.
        settings: The settings.
        batch_id: A batch whose budget is read, too.

    Raises:
        DatabaseError: The ledger cannot be read.

    """
    key = settings.argil_api_key
    if key is None:  # it may be in a Prefect block
        return await store.limits.read_for_all_keys(settings.spend_limits, batch_id)
    guard = SubmissionGuard(settings.spend_limits, digest_api_key(key.get_secret_value()))
    return await store.limits.read(guard, batch_id)
