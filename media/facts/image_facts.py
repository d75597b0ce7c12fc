"""Reads the facts about an image: of one within the size rule from the whole file, else from its first bytes."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

from media.images.inspection import InspectImage
from media.kinds.file_kinds import KIND_BYTES
from media.kinds.image_kinds import require_image
from media.processes.available_bytes import AvailableBytes, InspectionFailed
from media.remote.remote_file import RemoteFile
from models.errors import MediaNotInspected, MediaRejected
from models.media.codes import MediaCode
from models.media.image_facts import ImageFacts
from models.media.image_rules import EXPORT_IMAGE_HINT
from models.media.rules import MAX_IMAGE_BYTES

HEADER_BYTES = 1024 * 1024
"""Of an image that is too large. Metadata, such as a preview, may come before the size of the picture."""
_TURNED = {5, 6, 7, 8}
"""EXIF orientations that exchange width and height."""


def read_image_facts(file: RemoteFile, inspect: InspectImage) -> ImageFacts:
    """Read the facts about an image, with the digest of the whole file if it is within the size rule.

    Raises:
        MediaRejected: If the file is not an image, or its header is damaged.
        MediaUnreachable: If the host gives no usable response.
        MediaNotInspected: If the child process ended or exceeded a limit.
    """
    require_image(_read(file, KIND_BYTES))
    data = _read(file, file.size if file.size <= MAX_IMAGE_BYTES else HEADER_BYTES)
    try:
        inspection = inspect(AvailableBytes(file.size, ((0, data),)))
    except InspectionFailed as error:
        raise MediaNotInspected(
            f"{file.redacted_url}: {error}",
            hint=f"run `avatars resume ID`; if it fails again, {EXPORT_IMAGE_HINT} again, without metadata",
        ) from error
    values = asdict(inspection)
    is_sized = inspection.width > 0
    if not is_sized and inspection.damage is not None:
        code = MediaCode.TRUNCATED if inspection.is_truncated else MediaCode.UNREADABLE
        hint = f"{EXPORT_IMAGE_HINT} again, and check that the upload is completed"
        raise MediaRejected(code, f"the image cannot be read: {inspection.damage}", hint=hint)
    if inspection.orientation in _TURNED:
        values |= {"width": inspection.height, "height": inspection.width}
    return ImageFacts(
        **values | ({} if is_sized else {"width": None, "height": None}),
        size_bytes=file.size,
        etag=file.etag,
        sha256=hashlib.sha256(data).hexdigest() if len(data) == file.size else None,
        sample_sha256=file.sample_sha256(),
    )


def _read(file: RemoteFile, size: int) -> bytes:
    file.fetch(0, size)
    file.seek(0)
    return file.read(size)
