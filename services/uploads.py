"""Deletes uploads that are no longer needed, if AVATARS_UPLOAD_DELETE allows it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from media.stores.object_writer import ObjectWriter
from models.errors import StoreUnavailable
from models.settings import Settings
from models.uploads import Upload
from store.uploads import UploadRepository

MAX_DELETIONS = 100
"""Uploads deleted per pass; the next one continues."""

logger = logging.getLogger(__name__)


async def delete_finished_uploads(uploads: UploadRepository, settings: Settings) -> int:
    """Delete the uploads whose provisionings are all READY, REFUSED or erased; return their number.

    Without AVATARS_UPLOAD_DELETE it deletes nothing. An object that cannot be deleted is tried again by the next pass.

    Raises:
        DatabaseError: The ledger cannot be read or written.
    """
    if not settings.avatars_upload_delete:
        return 0
    deleted, _ = await delete_uploads(await uploads.finished_uploads(MAX_DELETIONS), uploads, settings)
    return len(deleted)


async def delete_uploads(
    finished: Sequence[Upload], uploads: UploadRepository, settings: Settings
) -> tuple[list[str], list[str]]:
    """Delete the objects of recorded uploads, then their records.

    Args:
        finished: Uploads as they were read; one that a provisioning or a command needs now stays.
        uploads: The records.
        settings: The endpoint of the store.

    Returns:
        The addresses of the objects that were deleted, and of those that remain.

    Raises:
        DatabaseError: The ledger cannot be read or written.
    """
    writer = ObjectWriter(settings.avatars_s3_endpoint)
    deleted, remaining = [], []
    for upload in finished:
        if not await uploads.is_finished(upload):
            remaining.append(upload.uri)
            continue
        try:
            await writer.delete(upload.uri)
        except StoreUnavailable as error:
            logger.warning("an upload is not deleted: %s", error.message)
            remaining.append(upload.uri)
            continue
        await uploads.remove(upload)
        deleted.append(upload.uri)
    return deleted, remaining
