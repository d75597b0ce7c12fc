"""The names of uploads: below AVATARS_UPLOAD_URL, an object is named after the SHA-256 of its content."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath

from models.recordings.local_paths import VIDEO_SUFFIXES

CONTENT_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/x-m4v",
    ".mov": "video/quicktime",
    ".qt": "video/quicktime",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".aac": "audio/aac",
}
_SUFFIX_OF_KIND = {"jpeg": ".jpg", "mov": ".mov"} | {
    kind: f".{kind}" for kind in ("png", "webp", "mp3", "wav", "flac", "ogg", "aac")
}
_MP4_SUFFIXES = (*VIDEO_SUFFIXES, ".m4a")
"""Names of the files of one family, which their bytes do not tell apart."""
LONGEST_OBJECT_NAME = f"{'0' * 64}.webp"
_UPLOAD = re.compile(r"(?:s3|gs|az)://.+/[0-9a-f]{64}\.[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a command uploaded, or began to.

    Attributes:
        uri: The address of the object.
        sha256: Its digest (hex).
        size_bytes: Its size.
        actor: Who uploaded it: the command, and the user of this machine.
        created_at: When it was recorded, before the first byte was sent.
        used_at: When a command last needed it.
        completed_at: When the object was complete; None if no command saw it complete.
    """

    uri: str
    sha256: str
    size_bytes: int
    actor: str
    created_at: datetime
    used_at: datetime
    completed_at: datetime | None


def object_name(sha256: str, path: PurePath, kind: str) -> str:
    """Return the name of the object for a file: its digest, and a suffix.

    Equal contents have equal digests, so that an object of this name has this content.

    Args:
        sha256: The digest (hex).
        path: The file, whose suffix is kept if it is one of MP4 or QuickTime, and its kind as well.
        kind: The container of a video, or the kind of an image or a voice sample, by the bytes.
    """
    suffix = path.suffix.lower()
    if suffix not in _MP4_SUFFIXES or kind in _SUFFIX_OF_KIND.keys() - {"mov"}:
        suffix = _SUFFIX_OF_KIND.get(kind, ".mp4")
    return f"{sha256}{suffix}"


def may_be_upload(address: str) -> bool:
    """Whether the address of a recording has the form of an upload's; the ledger tells whether it is one."""
    return _UPLOAD.fullmatch(address) is not None
