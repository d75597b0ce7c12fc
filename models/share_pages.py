"""Recognises links to pages that show a file, which people send for the file itself, and says what to do."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit


class ShareService(NamedTuple):
    """A service whose links lead to a page, the hosts they are on, and the way to the file itself."""

    name: str
    hosts: tuple[str, ...]
    hint: str


_STORE = "upload the file to an object store (S3, R2, Google Cloud Storage, Azure) and give a presigned URL"
SERVICES = (
    ShareService(
        "Google Drive",
        ("drive.google.com", "docs.google.com", "drive.usercontent.google.com"),
        "Drive shows a page, for large files and private ones always; " + _STORE,
    ),
    ShareService(
        "Dropbox",
        ("dropbox.com", "db.tt"),
        "end the link with dl=1 in place of dl=0, shared with anyone who has it; or " + _STORE,
    ),
    ShareService(
        "OneDrive or SharePoint",
        ("1drv.ms", "onedrive.live.com", "sharepoint.com"),
        "add download=1 to a link that is shared with anyone; or " + _STORE,
    ),
    ShareService(
        "WeTransfer",
        ("wetransfer.com", "we.tl"),
        "WeTransfer has no URL of the file that lasts: download it, then " + _STORE,
    ),
    ShareService(
        "iCloud", ("icloud.com",), "iCloud has no URL of the file for others: download it, then " + _STORE
    ),
    ShareService(
        "Box", ("box.com",), "give the direct link of the file's settings, if your plan has one; or " + _STORE
    ),
    ShareService(
        "a video platform",
        ("youtube.com", "youtu.be", "vimeo.com", "loom.com"),
        "download the original from there, then " + _STORE,
    ),
)


def share_service(url: str) -> ShareService | None:
    """Return the service whose page a URL leads to, None for any other URL."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    for service in SERVICES:
        if any(host == one or host.endswith(f".{one}") for one in service.hosts):
            return service
    return None
