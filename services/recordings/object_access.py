"""Opens the access to recordings in object stores that the settings configure."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator

from media.checker import MediaChecker
from media.recording_checker import RecordingChecker
from media.stores.object_reader import ObjectReader
from media.stores.signing import UrlSigner
from models.settings import Settings


@contextlib.contextmanager
def object_access(
    settings: Settings, ssl_context: ssl.SSLContext | None = None
) -> Iterator[tuple[UrlSigner, ObjectReader]]:
    """Open the access to object stores. Raises SettingsError if SSL_CERT_FILE cannot be used."""
    signer = UrlSigner(settings.avatars_s3_endpoint or "", settings.avatars_signed_url_seconds)
    with ObjectReader(
        signer,
        allowed_hosts=settings.avatars_media_allowed_hosts,
        ssl_context=ssl_context,
        reference_host=settings.reference_host,
    ) as reader:
        yield signer, reader


@contextlib.contextmanager
def recording_checker(settings: Settings, media: MediaChecker) -> Iterator[RecordingChecker]:
    """Open a checker for the recording at any address. Raises SettingsError if SSL_CERT_FILE cannot be used."""
    with object_access(settings) as (signer, reader):
        yield RecordingChecker(media, signer, reader)
