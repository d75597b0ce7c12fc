"""`avatars credentials`: store the API key in Prefect, for workers without ARGIL_API_KEY in their environment."""

from __future__ import annotations

import asyncio
import getpass
import sys

from pydantic import SecretStr, ValidationError

from cli.argil_client import argil_client
from cli.console import print_status
from models.environment.certificates import require_usable_certificates
from models.errors import ArgilUnauthorized, AvatarsError, SettingsError
from models.exit_codes import EXIT_OK
from models.settings import Settings
from models.text.redaction import register_secret
from models.text.url_redaction import redact_url
from models.validation_texts import rule_text


def credentials() -> int:
    """Store the API key in the Prefect block that AVATARS_CREDENTIALS_BLOCK names.

    Prompts for the key, or reads it from standard input, and replaces a stored key. The key cannot be
    an option, because other users of the machine can read command lines. A key that Argil rejects is not stored.
    """
    block_reference = Settings.load().avatars_credentials_block
    require_usable_certificates()
    from deployments.embedded.prefect_session import ensure_prefect_api
    from services.prefect_api.credentials_block import ArgilCredentials

    slug, _, name = block_reference.partition("/")
    expected_slug = ArgilCredentials.get_block_type_slug()
    if slug != expected_slug:
        raise SettingsError(
            f"AVATARS_CREDENTIALS_BLOCK names {block_reference!r}, which is not an Argil Credentials block",
            hint=f"create that block with Prefect's own commands, or set it to {expected_slug}/NAME",
        )
    key = getpass.getpass("Argil API key: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    register_secret(key)
    try:
        block = ArgilCredentials(api_key=SecretStr(key))
    except ValidationError as error:
        [problem] = error.errors(include_input=False, include_url=False)
        rule = rule_text(problem)
        raise SettingsError(f"the API key {rule}", hint="enter it again") from None
    tried = asyncio.run(_try_key(key))
    with ensure_prefect_api(print_status) as url:
        asyncio.run(block.asave(name, overwrite=True))
    print_status(f"stored as the block {block_reference!r} at {redact_url(url)}; {tried}")
    return EXIT_OK


async def _try_key(key: str) -> str:
    """Return that Argil accepts the key, or why it could not be tried. Raises ArgilUnauthorized."""
    settings = Settings.load()
    try:
        async with argil_client(settings, key) as argil:
            await argil.check_access()
    except ArgilUnauthorized as error:
        error.hint = "nothing was stored: check the key in your Argil account, then enter it again"
        raise
    except AvatarsError as error:
        return f"the key was not tried: {error.message}"
    return f"Argil at {settings.argil_api_url} accepts the key"
