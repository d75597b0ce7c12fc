"""Rejects files that are not a PNG, JPEG or WEBP image, and says what they are."""

from __future__ import annotations

import re

from media.kinds.binary_kinds import identify_binary
from media.kinds.file_kinds import PICTURE_BRANDS, identify
from media.kinds.file_signatures import FileKind
from models.errors import MediaRejected
from models.media.codes import MediaCode
from models.media.image_rules import EXPORT_IMAGE_HINT

_IMAGE = re.compile(rb"\x89PNG|\xff\xd8\xff|RIFF.{4}WEBP", re.DOTALL)
_VIDEO = FileKind(MediaCode.NOT_A_VIDEO, "a video (MP4 or MOV)", "")
_USE_IMAGE_HINT = "use the image file"
# Codes that say what is wrong with a file of any kind, and their remedies.
_KEPT_CODES = {
    MediaCode.EMPTY_FILE: "check that the upload was completed",
    MediaCode.TRUNCATED: "upload it again, and check that the upload is completed",
    MediaCode.ENCRYPTED: "decrypt it, and upload the image itself",
}


def require_image(head: bytes) -> None:
    """Check that a file begins as a PNG, JPEG or WEBP image does.

    Args:
        head: The first KIND_BYTES of the file.

    Raises:
        MediaRejected: If it does not.
    """
    if _IMAGE.match(head):
        return
    kind = identify(head) or identify_binary(head) or _kind_of_boxes(head)
    if kind.code in _KEPT_CODES:
        raise MediaRejected(kind.code, f"the file is {kind.name}", hint=_KEPT_CODES[kind.code])
    code = MediaCode.WRONG_FORMAT if kind.is_picture else MediaCode.NOT_AN_IMAGE
    raise MediaRejected(code, f"the file is {kind.name}, not a PNG, JPEG or WEBP image", hint=_hint(kind))


def _kind_of_boxes(head: bytes) -> FileKind:
    """Return what a file is that begins with boxes: HEIC and AVIF pictures have the same container as MP4."""
    is_branded = head[4:8] == b"ftyp"
    return PICTURE_BRANDS.get(head[8:12], _VIDEO) if is_branded else _VIDEO


def _hint(kind: FileKind) -> str:
    if kind.is_picture:
        return EXPORT_IMAGE_HINT
    if "base64" in kind.name:
        return "decode it, and upload the image itself"
    if kind.code is MediaCode.NOT_A_VIDEO and "ffmpeg" not in kind.hint and kind is not _VIDEO:
        return kind.hint.replace("video", "image")
    return _USE_IMAGE_HINT
