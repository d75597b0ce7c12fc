"""Deletes uploads that are no longer needed, if AVATARS_UPLOAD_DELETE allows it."""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Sequence

from media.stores.object_writer import ObjectWriter
from models.errors import StoreUnavailable
from models.recordings.addresses import ObjectAddress
from models.recordings.uploads import Upload
from models.settings import Settings
from store.uploads import UploadRepository

MAX_DELETIONS = 100
"""Uploads deleted per pass; the next one continues."""
MAX_FAILURES = 3
"""Objects of one bucket that a pass fails to delete before it leaves the bucket to the next pass. A store that does
not answer holds up each of them."""

logger = logging.getLogger(__name__)


async def delete_finished_uploads(uploads: UploadRepository, settings: Settings) -> int:
    """Delete the uploads whose provisionings are all READY, REFUSED or erased; return their number.

    Without AVATARS_UPLOAD_DELETE it deletes nothing. Each pass begins with another upload: objects that cannot be
    deleted are tried again, but do not keep it from the others.

    Raises:
        DatabaseError: The ledger cannot be read or written.
    """
    if not settings.avatars_upload_delete:
        return 0
    finished = await uploads.finished_uploads(MAX_DELETIONS, start=secrets.SystemRandom().random())
    deleted, _ = await _delete(finished, uploads, settings)
    return len(deleted)


async def erase_uploads(
    provisioning_id: str, uploads: UploadRepository, settings: Settings
) -> tuple[list[str], list[str]]:
    """Delete the uploads of an erased provisioning, if AVATARS_UPLOAD_DELETE allows it.

    Returns:
        The addresses of the objects that were deleted, and of those that remain: all without the setting, and those
        that another provisioning needs.

    Raises:
        DatabaseError: The ledger cannot be read or written.
    """
    own = await uploads.uploads_of(provisioning_id)
    if not settings.avatars_upload_delete:
        return [], [upload.uri for upload in own]
    return await _delete(own, uploads, settings)


async def _delete(
    finished: Sequence[Upload], uploads: UploadRepository, settings: Settings
) -> tuple[list[str], list[str]]:
    """Delete the objects of recorded uploads, then their records, unless a provisioning or a command needs them."""
    writer = ObjectWriter(settings.avatars_s3_endpoint or "")
    deleted, remaining = [], []
    failures: Counter[tuple[str, str]] = Counter()
    for upload in finished:
        address = ObjectAddress.parse(upload.uri)
        bucket = (address.scheme, address.bucket)
        if failures[bucket] >= MAX_FAILURES or not await uploads.is_finished(upload):
            remaining.append(upload.uri)
            continue
        try:
            await writer.delete(upload.uri)
        except StoreUnavailable as error:
            logger.warning("an upload is not deleted: %s", error.message)
            failures[bucket] += 1
            remaining.append(upload.uri)
            continue
        await uploads.remove(upload)
        deleted.append(upload.uri)
    return deleted, remaining
