"""The variables from which obstore takes the credentials of object stores, and what they tell about their end.

The names are those of AWS, Google Cloud and Azure, as in the reference of obstore's
S3Config, GCSConfig and AzureConfig.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from models.recordings.recording_secrets import secrets_of_url
from models.text.redaction import register_secret

AZURE_ACCOUNT_VARIABLE = "AZURE_STORAGE_ACCOUNT_NAME"
CREDENTIAL_VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_TOKEN", "AWS_CREDENTIAL_EXPIRATION"),
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT*", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "AWS_STS_ENDPOINT"),
    *(
        "AWS_ROLE_*",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_*",
        "AWS_METADATA_ENDPOINT",
        "AWS_IMDSV1_FALLBACK",
    ),
    *("AWS_SSE_*", "AWS_SERVER_SIDE_ENCRYPTION", "AWS_REQUEST_PAYER", "AWS_S3_EXPRESS", "AWS_UNSIGNED_PAYLOAD"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT*", "GOOGLE_BASE_URL", "GOOGLE_BEARER_TOKEN"),
    *("AZURE_STORAGE_*", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "AZURE_AUTHORITY_*"),
    *("AZURE_FEDERATED_TOKEN_FILE", "AZURE_MSI_*", "AZURE_IDENTITY_ENDPOINT", "AZURE_OBJECT_ID"),
    *("AZURE_CREDENTIAL_TYPE", "AZURE_USE_AZURE_CLI", "AZURE_ENDPOINT"),
)
"""The variables of obstore that the processes receive which read recordings or sign their URLs.

By name: `AWS_*` would include AWS_BEARER_TOKEN_BEDROCK, and `AZURE_*` AZURE_OPENAI_API_KEY.
"""
_SECRETS = (
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_TOKEN", "AWS_SSE_CUSTOMER_KEY_BASE64"),
    *("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_MASTER_KEY"),
    *("AZURE_STORAGE_CLIENT_SECRET", "AZURE_CLIENT_SECRET", "AZURE_STORAGE_TOKEN", "AZURE_ENCRYPTION_KEY"),
    "GOOGLE_BEARER_TOKEN",
)
_SAS_TOKENS = ("AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_SAS_TOKEN")
_SERVICE_ACCOUNT_KEY = "GOOGLE_SERVICE_ACCOUNT_KEY"
_EXPIRATION_VARIABLE = "AWS_CREDENTIAL_EXPIRATION"
"""Set by `aws configure export-credentials --format env`: the end of AWS_SESSION_TOKEN in ISO 8601."""


def register_store_credentials(environment: Mapping[str, str]) -> None:
    """Make `redact` replace the credentials of object stores in this process."""
    for name in _SECRETS:
        register_secret(environment.get(name, ""))
    for name in _SAS_TOKENS:
        token = environment.get(name, "").lstrip("?")
        register_secret(token)
        for secret in secrets_of_url(f"https://store/?{token}"):
            register_secret(secret)
    key = environment.get(_SERVICE_ACCOUNT_KEY, "")
    register_secret(key)
    try:
        register_secret(str(json.loads(key)["private_key"]))
    except (ValueError, KeyError, TypeError):
        return


def session_end(environment: Mapping[str, str]) -> datetime | None:
    """Return when the AWS session token of the environment ends; None if the environment does not tell."""
    if not environment.get("AWS_SESSION_TOKEN"):
        return None
    try:
        end = datetime.fromisoformat(environment.get(_EXPIRATION_VARIABLE, ""))
    except ValueError:
        return None
    return end if end.tzinfo else end.replace(tzinfo=UTC)
