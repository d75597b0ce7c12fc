"""The codes of the media rules: why a recording is rejected, or what `avatars check` warns about.

A code appears in reasons as `dataset.<code>` or `consent.<code>`. docs/media.md explains every code.
"""

from __future__ import annotations

from enum import StrEnum


class MediaCode(StrEnum):
    """A media rule that a recording breaks, or the cause that prevented reading it."""

    ADDRESS_NOT_PUBLIC = "address-not-public"
    AUDIO_LONGER_THAN_VIDEO = "audio-longer-than-video"
    BAD_SIGNATURE = "bad-signature"
    BAD_URL = "bad-url"
    COLD_STORAGE = "cold-storage"
    COMPRESSED_TRANSFER = "compressed-transfer"
    DURATION_TOO_LONG = "duration-too-long"
    DURATION_TOO_SHORT = "duration-too-short"
    EMPTY_FILE = "empty-file"
    ENCRYPTED = "encrypted"
    ENCRYPTION_KEY_DENIED = "encryption-key-denied"
    FILE_TOO_LARGE = "file-too-large"
    FORBIDDEN = "forbidden"
    HTTP_CLIENT_ERROR = "http-client-error"
    MALFORMED_SIGNATURE = "malformed-signature"
    MISSING_MOOV = "missing-moov"
    NO_AUDIO = "no-audio"
    NO_VIDEO_STREAM = "no-video-stream"
    NOT_A_VIDEO = "not-a-video"
    NOT_FOUND = "not-found"
    NOT_HTTPS = "not-https"
    QUARANTINED = "quarantined"
    READ_BUDGET_EXCEEDED = "read-budget-exceeded"
    REQUESTER_PAYS = "requester-pays"
    RESOLUTION_TOO_HIGH = "resolution-too-high"
    RESOLUTION_TOO_LOW = "resolution-too-low"
    SHARE_PAGE = "share-page"
    SILENT_AUDIO = "silent-audio"
    SOURCE_NOT_ALLOWED = "source-not-allowed"
    TOO_MANY_REDIRECTS = "too-many-redirects"
    TRUNCATED = "truncated"
    UNCOMMON_CODEC = "uncommon-codec"
    UNKNOWN_CODEC = "unknown-codec"
    UNKNOWN_DURATION = "unknown-duration"
    UNKNOWN_HOST = "unknown-host"
    UNREADABLE = "unreadable"
    UNUSUAL_RESOLUTION = "unusual-resolution"
    URL_EXPIRED = "url-expired"
    URL_EXPIRES_SOON = "url-expires-soon"
    URL_LIFETIME_TOO_LONG = "url-lifetime-too-long"
    URL_NOT_YET_VALID = "url-not-yet-valid"
    WRONG_CONTAINER = "wrong-container"
