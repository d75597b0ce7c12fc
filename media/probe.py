"""Probes a remote recording: reads the facts about it with a few range requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import httpx

from media.facts.image_facts import read_image_facts
from media.facts.recording_facts import read_facts
from media.ffmpeg.inspection import Inspect
from media.ffmpeg.inspector_pool import inspect_in_child
from media.images.image_pool import inspect_image_in_child
from media.images.inspection import InspectImage
from media.remote.fetch_limits import DEFAULT_LIMITS, SYSTEM_CLOCK, FetchLimits
from media.remote.remote_file import RemoteFile
from models.clock import Clock
from models.errors import MediaRejected
from models.file_sharing import match_service
from models.image_facts import ImageFacts
from models.media_codes import MediaCode
from models.media_facts import MediaFacts
from models.media_rules import MAX_BYTES, MediaRole

# How the page of a sharing service appears, if its link does not lead to the file.
_SHARE_PAGE_CODES = {
    MediaCode.NOT_A_VIDEO,
    MediaCode.NOT_AN_IMAGE,
    MediaCode.WRONG_CONTAINER,
    MediaCode.COMPRESSED_TRANSFER,
    MediaCode.FORBIDDEN,
    MediaCode.NOT_FOUND,
    MediaCode.HTTP_CLIENT_ERROR,
}


class ProbeResult(NamedTuple):
    """The facts about a recording, the requests and bytes that reading them took, and the host's time."""

    facts: MediaFacts | ImageFacts
    requests: int
    bytes_fetched: int
    host_time: datetime


def probe(
    url: str,
    role: MediaRole,
    *,
    transport: httpx.BaseTransport,
    inspect: Inspect = inspect_in_child,
    inspect_image: InspectImage = inspect_image_in_child,
    with_sha256: bool = False,
    limits: FetchLimits = DEFAULT_LIMITS,
    clock: Clock = SYSTEM_CLOCK,
    sleep: Callable[[float], None] = time.sleep,
) -> ProbeResult:
    """Read the facts about a recording. Blocks, for `limits.timeout_seconds` and the limits of child processes.

    Args:
        url: The HTTPS URL of the recording.
        role: Its size rule limits the download from a host without range requests.
        transport: Sends the requests; it decides which hosts are allowed.
        inspect: Runs FFmpeg on the bytes; by default in the child processes that all checks share.
        inspect_image: The same for an image, with Pillow.
        with_sha256: Read the whole video for its digest, unless it is larger than the rule of `role`.
        limits: The budget of requests, bytes and time.
        clock: Measures the time budget.
        sleep: Waits between attempts, in seconds.

    Raises:
        MediaRejected: If the facts cannot be read, and a retry would not change that.
        MediaUnreachable: If the host gives no usable response.
        MediaNotInspected: If the child process ended or exceeded a limit.
    """
    try:
        with RemoteFile(
            url,
            transport=transport,
            download_limit_bytes=MAX_BYTES[role],
            limits=limits,
            clock=clock,
            sleep=sleep,
        ) as file:
            facts: MediaFacts | ImageFacts
            if role is MediaRole.IMAGE:
                facts = read_image_facts(file, inspect_image)
            else:
                facts = read_facts(file, inspect)
                sha256 = file.sha256() if with_sha256 and facts.size_bytes <= MAX_BYTES[role] else None
                facts = facts.model_copy(update={"sha256": sha256})
            return ProbeResult(facts, file.requests, file.bytes_fetched, file.host_time)
    except MediaRejected as error:
        if page := _share_page_error(url, error):
            raise page from error
        raise


def _share_page_error(url: str, error: MediaRejected) -> MediaRejected | None:
    """Return a more specific error if the URL is a link of a sharing service that led to its page."""
    service = match_service(url)
    if service is None or error.rule_code not in _SHARE_PAGE_CODES:
        return None
    return MediaRejected(
        MediaCode.SHARE_PAGE, f"the URL leads to a page of {service.name}, not to the file", hint=service.hint
    )
