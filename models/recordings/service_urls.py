"""The forms of a URL that some services have for one file: other hosts, a bucket in the host, a signed path."""

from __future__ import annotations

import re

from models.recordings.signature_parameters import names_recording

# Dropbox and Google redirect from one host to the other, or answer with the same file.
_DROPBOX_HOSTS = {"dropbox.com", "dl.dropbox.com", "dl.dropboxusercontent.com"}
_DRIVE_PATHS = {
    "drive.google.com": {"/uc"},
    "docs.google.com": {"/uc"},
    "drive.usercontent.google.com": {"/uc", "/download"},
}
# Google addresses the signed-in account by its number: /u/0/uc is /uc.
_GOOGLE_ACCOUNT = re.compile(r"^/u/\d+(?=/)")
# Stores that serve one object as https://BUCKET.ENDPOINT/KEY and as https://ENDPOINT/BUCKET/KEY.
_BUCKET_IN_HOST = re.compile(
    r"(?P<bucket>.+)\.(?P<endpoint>[0-9a-f]{32}(?:\.(?:eu|fedramp))?\.r2\.cloudflarestorage\.com"
    r"|s3(?:\.[a-z0-9-]+)?\.wasabisys\.com|s3\.[a-z0-9-]+\.backblazeb2\.com|[a-z]{3}\d\.digitaloceanspaces\.com)"
)
# Bunny CDN, and Akamai's token, which Vimeo uses too.
_SIGNED_FOLDER = re.compile(
    r"/(?:bcdn_token=[^/]{20,}|(?:hdn(?:ts|ea|tl)=)?(?:[^/~]*~)+hmac=[0-9a-f]{20,})(?=/)", re.IGNORECASE
)
_CLOUDINARY_HOST = "res.cloudinary.com"
_CLOUDINARY_SIGNATURE = re.compile(r"/s--[\w-]{8,32}--(?=/)")


def common_form(host: str, path: str) -> tuple[str, str]:
    """Return the host and path that all forms of one file share; those of other services are unchanged.

    Args:
        host: The canonical host, in lower case and without a port.
        path: The canonical path, percent-encoded.

    """
    if host in _DROPBOX_HOSTS:
        return "www.dropbox.com", path
    if host in _DRIVE_PATHS:
        path = _GOOGLE_ACCOUNT.sub("", path)
        return ("drive.google.com", "/uc") if path in _DRIVE_PATHS[host] else (host, path)
    if match := _BUCKET_IN_HOST.fullmatch(host):
        return match["endpoint"], f"/{match['bucket']}{path}"
    if host.endswith(_CLOUDINARY_HOST):
        return host, _CLOUDINARY_SIGNATURE.sub("", path)
    return host, _SIGNED_FOLDER.sub("", path) if names_recording(path) else path
