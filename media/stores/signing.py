"""Signs URLs of objects for a limited time. A signed URL exists in memory only and is never shown."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, urlsplit

from media.stores.construction import build_store, trusted_host
from media.stores.store_errors import translating_obstore_errors
from models.clock import Clock, SystemClock
from models.errors import StoreUnavailable
from models.recordings.addresses import ObjectAddress
from models.recordings.store_credentials import session_end

if TYPE_CHECKING:
    from media.stores.construction import ObjectStore

_TOKEN_PARAMETER = "X-Amz-Security-Token"  # noqa: S105  # the name of a query parameter, not a token


@dataclass(frozen=True)
class SignedUrl:
    """A URL that gives access to one object for a limited time.

    Attributes:
        url: The URL with its signature.
        trusted_host: Its host if AVATARS_S3_ENDPOINT names it, so that it need not be public; otherwise empty.
        warning: What may end the access earlier; empty if nothing does.

    """

    url: str = field(repr=False)
    trusted_host: str = ""
    warning: str = ""

    @property
    def trusted_hosts(self) -> frozenset[str]:
        """The hosts that need not be public."""
        return frozenset({self.trusted_host} - {""})


class UrlSigner:
    """Signs URLs with the credentials of this process's environment.

    Args:
        s3_endpoint: The value of AVATARS_S3_ENDPOINT; empty for AWS.
        lifetime_seconds: How long the URLs for Argil are valid (AVATARS_SIGNED_URL_SECONDS).
        clock: The clock of the signatures, which is that of the system.

    """

    def __init__(self, s3_endpoint: str, lifetime_seconds: float, clock: Clock | None = None) -> None:
        self._s3_endpoint = s3_endpoint
        self._lifetime_seconds = lifetime_seconds
        self._clock = clock or SystemClock()
        self._stores: dict[tuple[str, str], ObjectStore] = {}

    async def sign(
        self, uri: str, method: Literal["GET", "HEAD"] = "GET", *, max_seconds: float | None = None
    ) -> SignedUrl:
        """Return a URL for one object.

        Args:
            uri: A valid URI of an object.
            method: The only method that the URL permits.
            max_seconds: The URL is valid for at most this long; None for the whole lifetime.

        Raises:
            StoreUnavailable: Credentials are missing or incomplete, or end before the URL would.

        """
        import obstore  # noqa: PLC0415  # most commands need no store

        address = ObjectAddress.parse(uri)
        lifetime = self._lifetime_seconds if max_seconds is None else min(max_seconds, self._lifetime_seconds)
        expires_in = timedelta(seconds=int(lifetime))
        store = self._store(address)
        with translating_obstore_errors(address.scheme, address.bucket):
            url = await obstore.sign_async(store, method, address.key, expires_in)
        if not url.startswith("https://"):
            raise StoreUnavailable(
                f"no URL can be signed for {uri}: the endpoint is not https",
                hint="set AVATARS_S3_ENDPOINT to the https address of the store",
            )
        warning = self._session_warning(uri, url, expires_in)
        return SignedUrl(url, trusted_host(address.scheme, address.bucket, self._s3_endpoint), warning)

    def _store(self, address: ObjectAddress) -> ObjectStore:
        key = (address.scheme, address.bucket)
        if key not in self._stores:
            self._stores[key] = build_store(address.scheme, address.bucket, self._s3_endpoint)
        return self._stores[key]

    def _session_warning(self, uri: str, url: str, expires_in: timedelta) -> str:
        """Return a warning if the end of a session is unknown. Raises StoreUnavailable if it comes too early."""
        tokens = parse_qs(urlsplit(url).query).get(_TOKEN_PARAMETER)
        if not tokens:
            return ""
        is_from_environment = os.environ.get("AWS_SESSION_TOKEN") in tokens
        end = session_end(os.environ) if is_from_environment else None
        if end is None:
            return (
                "the credentials belong to a session whose end is unknown: signed URLs end with it, perhaps before "
                "AVATARS_SIGNED_URL_SECONDS; permanent credentials avoid this"
            )
        if end < self._clock.now() + expires_in:
            raise StoreUnavailable(
                f"no URL can be signed for {uri}: the session of its credentials ends at {end:%Y-%m-%d %H:%M:%S} "
                f"UTC, and the URL must be valid for {expires_in.total_seconds():,.0f} seconds",
                hint="renew the session, use permanent credentials, or lower AVATARS_SIGNED_URL_SECONDS",
            )
        return ""
