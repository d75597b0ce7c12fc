"""Probes a remote recording: reads the facts about it with a few range requests."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

import httpx

from media.facts.audio_facts import read_audio_facts
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
from models.media.codes import MediaCode
from models.media.facts import MediaFacts
from models.media.image_facts import ImageFacts
from models.media.image_rules import SMALLER_IMAGE_HINT
from models.media.rules import MAX_IMAGE_BYTES, RULES, MediaRole
from models.media.voice_sample_checks import MAX_SAMPLE_BYTES
from models.recordings.file_sharing import match_service

Facts = TypeVar("Facts", MediaFacts, ImageFacts)

# How the page of a sharing service appears, if its link does not lead to the file.
_SHARE_PAGE_CODES = {
    MediaCode.NOT_A_VIDEO,
    MediaCode.NOT_AN_IMAGE,
    MediaCode.NOT_AUDIO,
    MediaCode.WRONG_CONTAINER,
    MediaCode.COMPRESSED_TRANSFER,
    MediaCode.FORBIDDEN,
    MediaCode.NOT_FOUND,
    MediaCode.HTTP_CLIENT_ERROR,
}

_IMAGE_HINTS = {
    MediaCode.FILE_TOO_LARGE: SMALLER_IMAGE_HINT,
    MediaCode.READ_BUDGET_EXCEEDED: "let the host send at least 4096 bytes of a range, or use another host",
}


class ProbeResult(NamedTuple, Generic[Facts]):
    """The facts about a recording, the requests and bytes that reading them took, and the host's time."""

    facts: Facts
    requests: int
    bytes_fetched: int
    host_time: datetime


def probe(
    url: str,
    role: MediaRole,
    *,
    transport: httpx.BaseTransport,
    inspect: Inspect = inspect_in_child,
    with_sha256: bool = False,
    limits: FetchLimits = DEFAULT_LIMITS,
    clock: Clock = SYSTEM_CLOCK,
    sleep: Callable[[float], None] = time.sleep,
) -> ProbeResult[MediaFacts]:
    """Read the facts about a video. Blocks, for `limits.timeout_seconds` and FFmpeg's own limits at most.

    Args:
        url: The HTTPS URL of the video.
        role: Its size rule limits the download from a host without range requests.
        transport: Sends the requests; it decides which hosts are allowed.
        inspect: Runs FFmpeg on the bytes; by default in the child processes that all checks share.
        with_sha256: Read the whole video for its digest, unless it is larger than the rule of `role`.
        limits: The budget of requests, bytes and time.
        clock: Measures the time budget.
        sleep: Waits between attempts, in seconds.

    Raises:
        MediaRejected: If the facts cannot be read, and a retry would not change that.
        MediaUnreachable: If the host gives no usable response.
        MediaNotInspected: If FFmpeg ended or exceeded a limit.
    """
    max_bytes = RULES[role].max_bytes

    def read(file: RemoteFile) -> MediaFacts:
        facts = read_facts(file, inspect)
        sha256 = file.sha256() if with_sha256 and facts.size_bytes <= max_bytes else None
        return facts.model_copy(update={"sha256": sha256})

    with (
        _share_pages_named(url),
        RemoteFile(
            url, transport=transport, download_limit_bytes=max_bytes, limits=limits, clock=clock, sleep=sleep
        ) as file,
    ):
        return _read(file, read)


def probe_image(
    url: str,
    *,
    transport: httpx.BaseTransport,
    inspect: InspectImage = inspect_image_in_child,
    limits: FetchLimits = DEFAULT_LIMITS,
    clock: Clock = SYSTEM_CLOCK,
    sleep: Callable[[float], None] = time.sleep,
) -> ProbeResult[ImageFacts]:
    """Read the facts about an image; as `probe`, with Pillow instead of FFmpeg, and always with its digest.

    Raises:
        MediaRejected: If the facts cannot be read, and a retry would not change that.
        MediaUnreachable: If the host gives no usable response.
        MediaNotInspected: If the child process ended or exceeded a limit.
    """
    with (
        _share_pages_named(url),
        _image_hints(),
        RemoteFile(
            url, transport=transport, download_limit_bytes=MAX_IMAGE_BYTES, limits=limits, clock=clock, sleep=sleep
        ) as file,
    ):
        return _read(file, lambda file: read_image_facts(file, inspect))


def probe_audio(
    url: str,
    *,
    transport: httpx.BaseTransport,
    limits: FetchLimits = DEFAULT_LIMITS,
    clock: Clock = SYSTEM_CLOCK,
    sleep: Callable[[float], None] = time.sleep,
) -> ProbeResult[MediaFacts]:
    """Read the facts about a voice sample from its first bytes; as `probe`, without FFmpeg.

    Raises:
        MediaRejected: If the file is not an audio file.
        MediaUnreachable: If the host gives no usable response.
    """
    with (
        _share_pages_named(url),
        RemoteFile(
            url, transport=transport, download_limit_bytes=MAX_SAMPLE_BYTES, limits=limits, clock=clock, sleep=sleep
        ) as file,
    ):
        return _read(file, read_audio_facts)


def _read(file: RemoteFile, read: Callable[[RemoteFile], Facts]) -> ProbeResult[Facts]:
    return ProbeResult(read(file), file.requests, file.bytes_fetched, file.host_time)


@contextlib.contextmanager
def _share_pages_named(url: str) -> Iterator[None]:
    """Raise a more specific error if the URL is a link of a sharing service that led to its page."""
    try:
        yield
    except MediaRejected as error:
        if page := _share_page_error(url, error):
            raise page from error
        raise


@contextlib.contextmanager
def _image_hints() -> Iterator[None]:
    """Replace the remedies of errors that are raised for any file, and are about videos."""
    try:
        yield
    except MediaRejected as error:
        hint = _IMAGE_HINTS.get(error.rule_code)
        if hint is None:
            raise
        raise MediaRejected(error.rule_code, error.message, hint=hint) from error


def _share_page_error(url: str, error: MediaRejected) -> MediaRejected | None:
    """Return a more specific error if the URL is a link of a sharing service that led to its page."""
    service = match_service(url)
    if service is None or error.rule_code not in _SHARE_PAGE_CODES:
        return None
    return MediaRejected(
        MediaCode.SHARE_PAGE, f"the URL leads to a page of {service.name}, not to the file", hint=service.hint
    )
