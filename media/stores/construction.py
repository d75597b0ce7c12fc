"""Constructs the stores of obstore: credentials from the environment, the endpoint from AVATARS_S3_ENDPOINT."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from media.stores.store_errors import CREDENTIAL_HINTS, translating_obstore_errors
from models.environment.certificates import VARIABLE as CERTIFICATES_VARIABLE
from models.environment.certificates import require_usable_certificates
from models.environment.regular_files import read_regular_file
from models.environment.user_agent import USER_AGENT
from models.errors import StoreUnavailable
from models.recordings.store_credentials import AZURE_ACCOUNT_VARIABLE

if TYPE_CHECKING:
    from obstore.store import AzureStore, ClientConfig, GCSStore, RetryConfig, S3Config, S3Store

    ObjectStore: TypeAlias = S3Store | GCSStore | AzureStore

CONNECT_TIMEOUT = timedelta(seconds=5)
REQUEST_TIMEOUT = timedelta(seconds=30)
"""The default of obstore."""
MAX_RETRIES = 2
RETRY_TIMEOUT = timedelta(seconds=20)
"""A machine without credentials asks the metadata service of its cloud, which may not exist: obstore's own limit of
3 minutes would hold up every recording."""
MAX_CERTIFICATE_BYTES = 16 * 1024 * 1024

_NEVER_EMPTY = {
    "s3": (
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"),
        *("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"),
    ),
    "gs": ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_APPLICATION_CREDENTIALS"),
    "az": (AZURE_ACCOUNT_VARIABLE, "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN"),
}
_VIRTUAL_HOST_VARIABLE = "AWS_VIRTUAL_HOSTED_STYLE_REQUEST"
# A certificate for *.s3.REGION.amazonaws.com covers one label; a host name has no capitals or underscores.
_HOST_LABEL = re.compile(r"[a-z0-9][a-z0-9-]*")


def build_store(
    scheme: str, bucket: str, s3_endpoint: str, *, request_timeout: timedelta = REQUEST_TIMEOUT
) -> ObjectStore:
    """Return the store of one bucket or container. Signing opens a connection for credentials at most.

    Args:
        scheme: `s3`, `gs` or `az`.
        bucket: The bucket, or the container of Azure.
        s3_endpoint: The value of AVATARS_S3_ENDPOINT; empty for AWS.
        request_timeout: How long one request may take in total.

    Raises:
        StoreUnavailable: The variables of the store are incomplete or malformed.
        SettingsError: SSL_CERT_FILE cannot be used.

    """
    from obstore.store import AzureStore, GCSStore, S3Store  # noqa: PLC0415  # most commands need no store

    _refuse_empty_variables(scheme, bucket)
    options, retries = _client_options(request_timeout), _retry_config()
    with translating_obstore_errors(scheme, bucket):
        match scheme:
            case "s3":
                config = _s3_config(bucket, s3_endpoint)
                return S3Store(bucket, config=config, client_options=options, retry_config=retries)
            case "gs":
                return GCSStore(bucket, client_options=options, retry_config=retries)
            case _:
                return AzureStore(bucket, client_options=options, retry_config=retries)


def _refuse_empty_variables(scheme: str, bucket: str) -> None:
    """Raise StoreUnavailable if a variable is set but empty: obstore would sign with an empty key."""
    empty = sorted(name for name in _NEVER_EMPTY[scheme] if os.environ.get(name) == "")
    if empty:
        raise StoreUnavailable(
            f"no URL can be signed for {scheme}://{bucket}: {' and '.join(empty)} is set, but empty",
            hint=f"set or unset it; {CREDENTIAL_HINTS[scheme]}",
        )


def trusted_host(scheme: str, bucket: str, s3_endpoint: str) -> str:
    """Return the host of a bucket at the configured endpoint, which need not be public; empty for others."""
    if scheme != "s3" or not s3_endpoint:
        return ""
    host = urlsplit(_bucket_endpoint(bucket, s3_endpoint)).hostname
    return host or ""


def _s3_config(bucket: str, s3_endpoint: str) -> S3Config:
    config: S3Config = {"virtual_hosted_style_request": _is_virtual_hosted(bucket, s3_endpoint)}
    if s3_endpoint:
        # Both names, because AWS_ENDPOINT_URL_S3 would take precedence over the first one.
        config["endpoint"] = config["aws_endpoint_url_s3"] = _bucket_endpoint(bucket, s3_endpoint)
    return config


def _is_virtual_hosted(bucket: str, s3_endpoint: str) -> bool:
    """Whether the bucket is in the host. AWS prefers it; most compatible stores need the bucket in the path."""
    if configured := os.environ.get(_VIRTUAL_HOST_VARIABLE, "").strip().lower():
        return configured in {"true", "1", "yes", "on"}
    return not s3_endpoint and _HOST_LABEL.fullmatch(bucket) is not None


def _bucket_endpoint(bucket: str, s3_endpoint: str) -> str:
    """Return the endpoint as obstore expects it: with the bucket in the host if it is not in the path."""
    if not _is_virtual_hosted(bucket, s3_endpoint):
        return s3_endpoint
    scheme, separator, authority = s3_endpoint.partition("://")
    return f"{scheme}{separator}{bucket}.{authority}"


def _client_options(request_timeout: timedelta) -> ClientConfig:
    options: ClientConfig = {
        "user_agent": USER_AGENT,
        "connect_timeout": CONNECT_TIMEOUT,
        "timeout": request_timeout,
    }
    if path := os.environ.get(CERTIFICATES_VARIABLE):
        require_usable_certificates()
        options["root_certificate"] = read_regular_file(path, MAX_CERTIFICATE_BYTES)
    return options


def _retry_config() -> RetryConfig:
    return {"max_retries": MAX_RETRIES, "retry_timeout": RETRY_TIMEOUT}
