"""Checks the recording at any address: an HTTPS URL, or the URI of an object that a store must give access to."""

from __future__ import annotations

from dataclasses import dataclass

from media.checker import MediaChecker
from media.stores.object_reader import ObjectReader
from media.stores.signing import UrlSigner
from models.errors import MediaRejected
from models.media.report import MediaReport, rejected_result
from models.media.rules import MediaRole
from models.recordings.addresses import is_object_uri

URL_SECONDS = 3600
"""Lifetime of the URL of a check, which ends earlier by its own limits."""


@dataclass(frozen=True)
class RecordingChecker:
    """Checks recordings; the caller closes its parts."""

    media: MediaChecker
    signer: UrlSigner
    reader: ObjectReader

    async def check(self, address: str, role: MediaRole) -> MediaReport:
        """Check a recording against every rule of `role`.

        Raises:
            StoreUnavailable: The store gives no access, or no usable response.
            MediaUnreachable: The host gives no usable response.
            MediaNotInspected: FFmpeg ended or exceeded a limit.
            NetworkUnavailable: This machine cannot resolve host names.

        """
        if not is_object_uri(address):
            return await self.media.check(address, role)
        try:
            await self.reader.read_version(address)
        except MediaRejected as error:
            return MediaReport(role=role, facts=None, checks=(rejected_result(error, role),))
        return await self.media.check(await self.signer.sign(address, max_seconds=URL_SECONDS), role)
