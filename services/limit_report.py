"""Reads the limits for a command, which may have no API key."""

from __future__ import annotations

from models.limits import LimitState, SubmissionGuard, digest_api_key
from models.settings import Settings
from services.store import Store


async def read_limits(store: Store, settings: Settings) -> LimitState:
    """Return the budget and the pauses of ARGIL_API_KEY, or without it those of every key of this ledger.

    Raises:
        DatabaseError: The ledger cannot be read.

    """
    key = settings.argil_api_key
    if key is None:  # it may be in a Prefect block
        return await store.limits.read_for_all_keys(settings.spend_limits)
    return await store.limits.read(SubmissionGuard(settings.spend_limits, digest_api_key(key.get_secret_value())))
