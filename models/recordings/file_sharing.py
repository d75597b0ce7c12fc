"""Detects share links of file-sharing services, which lead to a page instead of the file."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit


class FileSharingService(NamedTuple):
    """A file-sharing service: its name, its hosts, and how to get a URL of the file itself."""

    name: str
    hosts: tuple[str, ...]
    hint: str


_OBJECT_STORE_HINT = (
    "upload the file to an object store (S3, R2, Google Cloud Storage, Azure) and pass a presigned URL"
)
SERVICES = (
    FileSharingService(
        "Google Drive",
        ("drive.google.com", "docs.google.com", "drive.usercontent.google.com"),
        "Drive returns a page for large files and for private files; " + _OBJECT_STORE_HINT,
    ),
    FileSharingService(
        "Dropbox",
        ("dropbox.com", "db.tt"),
        "replace dl=0 by dl=1 in the link and share it with anyone who has it; or " + _OBJECT_STORE_HINT,
    ),
    FileSharingService(
        "OneDrive or SharePoint",
        ("1drv.ms", "onedrive.live.com", "sharepoint.com"),
        "share the file with anyone and add download=1 to the link; or " + _OBJECT_STORE_HINT,
    ),
    FileSharingService(
        "WeTransfer",
        ("wetransfer.com", "we.tl"),
        "WeTransfer has no permanent URL of the file: download it, then " + _OBJECT_STORE_HINT,
    ),
    FileSharingService(
        "iCloud",
        ("icloud.com",),
        "iCloud has no public URL of the file: download it, then " + _OBJECT_STORE_HINT,
    ),
    FileSharingService(
        "Box",
        ("box.com",),
        "pass the direct link from the file's settings, if your plan has one; or " + _OBJECT_STORE_HINT,
    ),
    FileSharingService(
        "a video platform",
        ("youtube.com", "youtu.be", "vimeo.com", "loom.com"),
        "download the original video, then " + _OBJECT_STORE_HINT,
    ),
)


def match_service(url: str) -> FileSharingService | None:
    """Return the service that a URL belongs to, None for any other URL."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    for service in SERVICES:
        if any(host == domain or host.endswith(f".{domain}") for domain in service.hosts):
            return service
    return None
