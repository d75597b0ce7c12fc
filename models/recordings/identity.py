"""The identity of a recording: the digests of its canonical form and, if it was read, of its content.

The request fingerprint, the reference derived from it, the evidence and the quarantine all use the canonical form
(models/recordings/canonical_form.py). The ledger stores its digest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from models.recordings.canonical_form import canonical_form, equivalent_forms, shown_form, split_url

# S3 calculates the ETag of an object from its content, or from the ETags of its parts.
_MD5_ETAG = re.compile(r'"[0-9a-f]{32}(?:-\d+)?"', re.IGNORECASE)


def identity_digest(recording: str) -> str:
    """Return the SHA-256 of the canonical form in hexadecimal."""
    return _sha256(canonical_form(recording))


def identity_digests(recording: str) -> frozenset[str]:
    """Return the SHA-256 of each of the `equivalent_forms`, in hexadecimal."""
    return frozenset(map(_sha256, equivalent_forms(recording)))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class RecordingIdentity:
    """What identifies a recording in the quarantine: its canonical form and, if it was read, its content.

    Attributes:
        shown: The canonical form without its query.
        digest: SHA-256 of the canonical form.
        legacy_digests: The digests by which an entry of schema revision `initial` may be stored.
        other_digests: The digests of its other addresses at AVATARS_S3_ENDPOINT.
        content_sha256: SHA-256 of the whole file.
        sample_sha256: SHA-256 of its size, first and last bytes; see media/remote/remote_file.py.
        etag: Its ETag if that is calculated from the content; it counts together with `size_bytes`.
        size_bytes: Its size.

    """

    shown: str
    digest: str
    legacy_digests: tuple[str, str]
    other_digests: frozenset[str] = frozenset()
    content_sha256: str | None = None
    sample_sha256: str | None = None
    etag: str | None = None
    size_bytes: int | None = None

    @classmethod
    def from_facts(cls, recording: str, facts: Mapping[str, Any] | None = None) -> Self:
        """Return the identity of the recording with this URL or URI and these media facts."""
        legacy_digests = (legacy_digest(recording), legacy_digest(shown_form(recording)))
        digest = identity_digest(recording)
        identity = cls.from_digest(digest, shown_form(recording), facts, legacy_digests)
        return replace(identity, other_digests=identity_digests(recording) - {digest})

    @classmethod
    def from_digest(
        cls,
        digest: str,
        shown: str,
        facts: Mapping[str, Any] | None,
        legacy_digests: tuple[str, str] = ("", ""),
    ) -> Self:
        """Return the identity of a recording of which only the digest of the canonical form is known."""
        known = facts or {}
        etag = known.get("etag") or ""
        return cls(
            shown=shown,
            digest=digest,
            legacy_digests=legacy_digests,
            content_sha256=known.get("sha256"),
            sample_sha256=known.get("sample_sha256"),
            etag=etag if _MD5_ETAG.fullmatch(etag) else None,
            size_bytes=known.get("size_bytes"),
        )


def legacy_digest(url: str) -> str:
    """Return the digest of schema revision `initial`: of the URL without its query, with the host in lower case."""
    try:
        parts = split_url(url)
    except ValueError:
        return _sha256(url)
    return _sha256(parts._replace(netloc=parts.netloc.lower(), query="", fragment="").geturl())
