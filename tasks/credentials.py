"""The block in which Prefect may keep the API key, and how it is read from there."""

from __future__ import annotations

from typing import Annotated

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL
from pydantic import AfterValidator, Field, SecretStr

from models.errors import SettingsError
from models.settings import valid_key

FIELDS = ("api_key", "value")
"""Where a block keeps it: ours, or Prefect's own Secret."""


def _is_key(key: SecretStr) -> SecretStr:
    if valid_key(key) is None:
        raise ValueError("must not be empty")
    return key


class ArgilCredentials(Block):
    """The key of an Argil account, for runs whose environment holds none."""

    _block_type_name = "Argil Credentials"
    _block_type_slug = "argil-credentials"
    _description = "The key of an Argil account, for runs whose environment has no ARGIL_API_KEY."

    api_key: Annotated[
        SecretStr, AfterValidator(_is_key), Field(title="API key", description="From Argil's settings.")
    ]


async def stored_key(place: str) -> str | None:
    """Return the API key in the block TYPE-SLUG/NAME; None where there is no such block, or no Prefect API.

    Raises SettingsError where the block holds no key or is not shown to us, and what Prefect's client raises where
    its API does not answer.
    """
    if not PREFECT_API_URL.value():
        return None  # Prefect would start a whole server to ask
    slug, _, name = place.partition("/")
    async with get_client() as client:
        try:
            block = await client.read_block_document_by_name(name, slug, include_secrets=True)
        except ObjectNotFound:
            return None
        except PrefectHTTPStatusError as error:
            raise SettingsError(
                f"Prefect does not show the block {place!r} ({error.response.status_code})",
                hint="see PREFECT_API_AUTH_STRING, and the rights of this account",
            ) from None
    found = next((block.data[field] for field in FIELDS if field in block.data), None)
    try:
        key = valid_key(SecretStr(found)) if isinstance(found, str) else None
    except ValueError as error:
        raise SettingsError(
            f"the key in the block {place!r} {error}", hint="`avatars credentials` stores it anew"
        ) from None
    if key is None:
        raise SettingsError(
            f"the block {place!r} holds no API key", hint="`avatars credentials` stores it; or name another block"
        )
    return key.get_secret_value()
