"""`avatars credentials`: stores the API key in Prefect, for workers whose environment has none."""

from __future__ import annotations

import asyncio
import getpass
import sys

from pydantic import SecretStr, ValidationError

from cli.console import say
from models.errors import SettingsError
from models.outcomes import EXIT_OK
from models.redaction import redact_url, withhold
from models.settings import Settings


def credentials() -> int:
    """Store the API key as the Prefect block that AVATARS_CREDENTIALS_BLOCK names, in place of an earlier one.

    Asks for it, or reads it from standard input: on a command line others could read it.
    """
    place = Settings.load().avatars_credentials_block
    from deployments.prefect_api import prefect_api
    from tasks.credentials import ArgilCredentials

    slug, _, name = place.partition("/")
    ours = ArgilCredentials.get_block_type_slug()
    if slug != ours:
        raise SettingsError(
            f"AVATARS_CREDENTIALS_BLOCK names {place!r}, which is no block of ours",
            hint=f"store the key there by Prefect's own means, or set it to {ours}/NAME",
        )
    key = getpass.getpass("Argil API key: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    withhold(key)
    try:
        block = ArgilCredentials(api_key=SecretStr(key))
    except ValidationError as error:
        [problem] = error.errors(include_input=False, include_url=False)
        rule = problem["msg"].removeprefix("Value error, ")
        raise SettingsError(f"the API key {rule}", hint="type it anew") from None
    with prefect_api(say) as url:
        asyncio.run(block.asave(name, overwrite=True))
    say(f"stored as the block {place!r} at {redact_url(url)}")
    return EXIT_OK
