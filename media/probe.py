"""Probes a remote video: reads the facts about it from its index, with a few range requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from fractions import Fraction
from typing import Any, NamedTuple

import httpx

from media.fetch_limits import DEFAULT_LIMITS, SYSTEM_CLOCK, FetchLimits
from media.inspection import (
    AvailableBytes,
    FirstFrame,
    Inspect,
    Inspection,
    InspectionFailed,
    Range,
    VideoStream,
    merge_ranges,
)
from media.inspector_pool import inspect_in_child
from media.mp4.boxes import (
    Box,
    Index,
    Track,
    find_layout,
    iter_boxes,
    read_index,
    truncated_error,
    unreadable_error,
)
from media.mp4.fragments import first_fragment, fragmented_duration
from media.mp4.timing import MAX_TABLE_BYTES
from media.remote_file import READ_AHEAD_BYTES, RemoteFile
from models.clock import Clock
from models.errors import MediaNotInspected, MediaRejected
from models.file_sharing import match_service
from models.media_codes import MediaCode
from models.media_facts import MediaFacts
from models.media_rules import RULES, MediaRole

# Larger first frames are not fetched and decoded.
MAX_FIRST_FRAME_BYTES = 128 * 1024
BOX_HEADER_BYTES = 16
# Their bodies are pictures, or nothing; FFmpeg skips them when it reads the index.
_SKIPPED_BOXES = {b"mdat", b"free", b"skip", b"wide"}
# How the page of a sharing service appears, if its link does not lead to the file.
_SHARE_PAGE_CODES = {
    MediaCode.NOT_A_VIDEO,
    MediaCode.WRONG_CONTAINER,
    MediaCode.COMPRESSED_TRANSFER,
    MediaCode.FORBIDDEN,
    MediaCode.NOT_FOUND,
    MediaCode.HTTP_CLIENT_ERROR,
}


class ProbeResult(NamedTuple):
    """The facts about a video, the requests and bytes that reading them took, and the host's time."""

    facts: MediaFacts
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
) -> ProbeResult:
    """Read the facts about a video. Blocks for at most `limits.timeout_seconds`; call it from a thread.

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
    try:
        with RemoteFile(
            url,
            transport=transport,
            download_limit_bytes=RULES[role].max_bytes,
            limits=limits,
            clock=clock,
            sleep=sleep,
        ) as file:
            facts = _read_facts(file, inspect)
            sha256 = file.sha256() if with_sha256 and facts.size_bytes <= RULES[role].max_bytes else None
            facts = facts.model_copy(update={"sha256": sha256, "sample_sha256": file.sample_sha256()})
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


def _read_facts(file: RemoteFile, inspect: Inspect) -> MediaFacts:
    layout = find_layout(file, file.size)
    file.fetch(layout.moov.start, layout.moov.end)
    # The index contains every fact. FFmpeg would read on into the picture data.
    file.fetch_on_read = False
    index = read_index(file, layout.moov)
    first = first_fragment(file, layout.moov, file.size) if index.is_fragmented else None
    recording = _FetchedRecording(file, inspect, layout.moov, first)
    inspection = recording.inspect()
    videos = [video for video in inspection.videos if not video.is_attached_picture]
    durations = {video.index: _duration_seconds(file, video, index, layout.moov) for video in videos}
    longest = max(videos, key=lambda video: durations[video.index] or 0, default=None)
    if longest is not None:
        longest = _verify_first_frame(file, recording, longest)
    return MediaFacts(
        size_bytes=file.size,
        container=layout.container,
        has_audio=bool(inspection.audios),
        etag=file.etag,
        **(_video_facts(longest, index, durations[longest.index]) if longest else {}),
    )


class _FetchedRecording:
    """The bytes of a recording that FFmpeg gets: its index up to the first fragment, and what is added."""

    def __init__(self, file: RemoteFile, inspect: Inspect, moov: Box, first_fragment: Box | None) -> None:
        self._file = file
        self._inspect = inspect
        last = first_fragment or moov
        # FFmpeg sees only the first fragment, since the next table may be fetched in part.
        self._size = file.size if first_fragment is None else first_fragment.end + BOX_HEADER_BYTES
        self._ranges = [(0, READ_AHEAD_BYTES), *_index_ranges(file, moov, last)]

    def add(self, start: int, end: int) -> None:
        """Fetch these bytes, too."""
        self._file.fetch(start, end)
        self._ranges.append((start, end))

    def inspect(self, stream: int | None = None) -> Inspection:
        """Inspect the bytes, and decode the first frame of a stream; see Inspect.

        Raises:
            MediaRejected: If FFmpeg cannot read them.
            MediaNotInspected: If FFmpeg ended or exceeded a limit.
        """
        blocks = ((start, _read(self._file, start, end)) for start, end in merge_ranges(self._ranges))
        available = AvailableBytes(self._size, tuple((start, data) for start, data in blocks if data))
        try:
            inspection = self._inspect(available, stream)
        except InspectionFailed as error:
            raise MediaNotInspected(
                f"{self._file.redacted_url}: {error}",
                hint="run `avatars resume ID`; if it fails again, export the video as MP4 (H.264) and use that",
            ) from error
        if inspection.error is not None:
            raise unreadable_error(f"the file cannot be read: {inspection.error}")
        return inspection


def _index_ranges(file: RemoteFile, moov: Box, last: Box) -> Iterator[Range]:
    """Yield the bytes that FFmpeg reads to find the index, and the index; and the same up to the first fragment."""
    for box in iter_boxes(file, 0, last.end):
        body_limit = 0 if box.kind in _SKIPPED_BOXES else MAX_TABLE_BYTES
        end = box.end if box.start == moov.start else min(box.end, box.body + body_limit)
        yield box.start, end
    yield last.end, last.end + BOX_HEADER_BYTES


def _read(file: RemoteFile, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)


def _video_facts(stream: VideoStream, index: Index, seconds: float | None) -> dict[str, Any]:
    """Return the facts about the picture, keyed by the fields of MediaFacts."""
    track = index.tracks.get(stream.id, Track(0, 0, is_rotated=False))
    # Some codecs store the size in frames only, and no frame may have been fetched.
    width, height = stream.width or track.width, stream.height or track.height
    return {
        "video_codec": stream.codec or "unknown",
        "width": height if track.is_rotated else width,
        "height": width if track.is_rotated else height,
        "duration_seconds": seconds,
        "frame_rate": stream.frame_rate,
    }


def _duration_seconds(file: RemoteFile, stream: VideoStream, index: Index, moov: Box) -> float | None:
    """Return the duration of a track as players show it, with its edit list applied; None if unknown."""
    if index.is_fragmented and first_fragment(file, moov, file.size) is not None:
        return fragmented_duration(file, moov, file.size, stream.id)
    # Some recorders leave the duration in the header at 0. The last frame's time is then the best
    # estimate.
    ticks = stream.duration or (stream.last.timestamp if stream.last else stream.duration)
    return None if ticks is None or stream.time_base is None else float(ticks * Fraction(*stream.time_base))


def _verify_first_frame(file: RemoteFile, recording: _FetchedRecording, stream: VideoStream) -> VideoStream:
    """Raise MediaRejected if the picture data is certainly missing, or certainly not a picture.

    Returns:
        The stream, with the facts that only its first frame tells.
    """
    if stream.first is None or stream.last is None:
        return stream
    for entry in (stream.first, stream.last):
        if not 0 <= entry.position <= file.size - entry.size:
            raise truncated_error(
                f"the index has a frame at byte {entry.position:,}, but the file has {file.size:,} bytes"
            )
    if stream.first_frame is FirstFrame.NOT_DECODED and 0 < stream.first.size <= MAX_FIRST_FRAME_BYTES:
        recording.add(stream.first.position, stream.first.position + stream.first.size)
        videos = recording.inspect(stream.index).videos
        stream = next(video for video in videos if video.index == stream.index)
    if stream.first_frame is FirstFrame.INVALID:
        raise unreadable_error("the first frame cannot be decoded: its bytes are not a picture")
    return stream
