"""Parses the URLs of recordings and of redirects: HTTPS only, without user names and invalid ports."""

from __future__ import annotations

import httpx

from models.errors import MediaRejected
from models.media.codes import MediaCode
from models.recordings.canonical_form import MAX_URL_CHARACTERS
from models.text.url_redaction import redact_url

MAX_PORT = 65535


def parse_https_url(url: str, *, base: httpx.URL | None = None) -> httpx.URL:
    """Parse a URL, or resolve a redirect's location against `base`.

    Raises:
        MediaRejected: It is not a valid HTTPS URL, is too long, or contains a user name, a password or an
            invalid port.
    """
    if len(url) > MAX_URL_CHARACTERS:
        raise MediaRejected(
            MediaCode.BAD_URL,
            f"a URL of {len(url):,} characters is too long: at most {MAX_URL_CHARACTERS:,} are allowed",
            hint="use a shorter URL of the file itself",
        )
    try:
        joined = base.join(url) if base else httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise MediaRejected(
            MediaCode.BAD_URL, f"{redact_url(url)} is not a valid URL", hint="check it for typos"
        ) from error
    origin = f"redirect of {redact_url(str(base))}: " if base else ""
    if joined.scheme != "https" or not joined.host or (joined.port or 0) > MAX_PORT:
        raise MediaRejected(
            MediaCode.NOT_HTTPS,
            f"{origin}{redact_url(str(joined))} is not an HTTPS URL",
            hint="use the HTTPS URL of the file itself",
        )
    if joined.userinfo or (joined.port is not None and joined.port <= 0):
        raise MediaRejected(
            MediaCode.BAD_URL,
            f"{redact_url(str(joined))} contains a user name, a password or an invalid port",
            hint="use a URL without them; a presigned URL gives Argil access",
        )
    return joined
