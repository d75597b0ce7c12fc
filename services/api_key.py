"""Resolves the Argil API key from the environment or a Prefect block; it is never a parameter of a run."""

from __future__ import annotations

from models.settings import Settings
from models.text.redaction import register_secret


async def resolve_api_key(settings: Settings) -> str:
    """Return ARGIL_API_KEY or, if it is not set, the key in the block that AVATARS_CREDENTIALS_BLOCK names.

    Raises:
        SettingsError: Neither contains a key; the hint names both options.
        httpx.HTTPError: The Prefect API does not respond.

    """
    block = settings.avatars_credentials_block
    if settings.argil_api_key is None and block:
        from services.prefect_api.credentials_block import load_api_key_from_block  # noqa: PLC0415  # with a key in the environment, Prefect is not imported

        if (key := await load_api_key_from_block(block)) is not None:
            register_secret(key)
            return key
    return settings.require_api_key()
