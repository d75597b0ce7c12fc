"""The errors of fetching a remote file: of one attempt, and of the file. No error repeats what the host sent."""

from __future__ import annotations

import ssl

import httpx

from models.errors import MediaRejected, MediaUnreachable
from models.media.codes import MediaCode


class AttemptFailed(Exception):
    """One attempt got no usable response. `retry_after_seconds` is the host's Retry-After, if it sent one."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


def unreachable_error(redacted_url: str, cause: str) -> MediaUnreachable:
    """Return the error for a host that gives no usable response."""
    return MediaUnreachable(
        f"{redacted_url}: {cause}",
        hint="check this machine's network and the host of the file, then run `avatars resume ID`",
    )


def wait_requested_error(redacted_url: str, cause: str, seconds: float) -> MediaUnreachable:
    """Return the error for a host that asks to wait longer than a check does."""
    return MediaUnreachable(
        f"{redacted_url}: {cause}; the host asks to wait {seconds:,.0f} seconds",
        hint="wait that long, then run `avatars resume ID`",
    )


def empty_file_error(redacted_url: str) -> MediaRejected:
    """Return the error for a file without bytes."""
    return MediaRejected(
        MediaCode.EMPTY_FILE, f"{redacted_url} is empty", hint="check that the upload was completed"
    )


def describe_transport_error(error: httpx.TransportError) -> str:
    """Return the cause of a failed request, without the text of protocol errors, which may quote the host."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message}); check SSL_CERT_FILE"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ProtocolError):
        return "the connection was closed early, or the response is not HTTP"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
