"""Where the API key comes from: the environment, or else a block of Prefect's. Never a parameter of a run."""

from __future__ import annotations

from models.redaction import withhold
from models.settings import Settings


async def api_key(settings: Settings) -> str:
    """Return ARGIL_API_KEY; without one, the key in the Prefect block that AVATARS_CREDENTIALS_BLOCK names.

    Raises SettingsError, with both ways out, where there is neither, and what Prefect's client raises where its API
    does not answer.
    """
    block = settings.avatars_credentials_block
    if settings.argil_api_key is None and block:
        from tasks.credentials import stored_key  # noqa: PLC0415  # who has the key must not pay for Prefect's import

        if (key := await stored_key(block)) is not None:
            withhold(key)
            return key
    return settings.require_api_key()
