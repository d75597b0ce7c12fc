"""The Prefect block that stores the Argil API key."""

from __future__ import annotations

from typing import Annotated

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL
from pydantic import AfterValidator, Field, SecretStr

from models.errors import SettingsError
from models.settings import validate_api_key

SECRET_FIELDS = ("api_key", "value")
"""Fields that can contain the key: the first is that of ArgilCredentials, the second that of Prefect's Secret."""


def _validate_key(key: SecretStr) -> SecretStr:
    if validate_api_key(key) is None:
        raise ValueError("must not be empty")
    return key


class ArgilCredentials(Block):
    """The API key of an Argil account, for runs without ARGIL_API_KEY in their environment."""

    _block_type_name = "Argil Credentials"
    _block_type_slug = "argil-credentials"
    _description = "The API key of an Argil account, for runs without ARGIL_API_KEY in their environment."

    api_key: Annotated[
        SecretStr, AfterValidator(_validate_key), Field(title="API key", description="From Argil's settings.")
    ]


async def load_api_key_from_block(block_reference: str) -> str | None:
    """Return the API key in a Prefect block.

    Args:
        block_reference: The block as TYPE-SLUG/NAME.

    Returns:
        The key, or None if the block does not exist or no Prefect API is configured.

    Raises:
        SettingsError: The block contains no valid key, or the Prefect API denies access to it.
        httpx.HTTPError: The Prefect API does not respond.

    """
    if not PREFECT_API_URL.value():
        return None  # Prefect would start a server to answer
    slug, _, name = block_reference.partition("/")
    async with get_client() as client:
        try:
            block = await client.read_block_document_by_name(name, slug, include_secrets=True)
        except ObjectNotFound:
            return None
        except PrefectHTTPStatusError as error:
            raise SettingsError(
                f"the block {block_reference!r} cannot be read: Prefect responded {error.response.status_code}",
                hint="check PREFECT_API_AUTH_STRING and the permissions of this account",
            ) from None
    value = next((block.data[field] for field in SECRET_FIELDS if field in block.data), None)
    try:
        key = validate_api_key(SecretStr(value)) if isinstance(value, str) else None
    except ValueError as error:
        raise SettingsError(
            f"the key in the block {block_reference!r} {error}", hint="store it again with `avatars credentials`"
        ) from None
    if key is None:
        raise SettingsError(
            f"the block {block_reference!r} contains no API key",
            hint="store it with `avatars credentials`, or name another block in AVATARS_CREDENTIALS_BLOCK",
        )
    return key.get_secret_value()
