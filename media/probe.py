"""Probes a remote video: reads the facts about it from its index, with a few range requests."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import av
import httpx
from av.stream import Disposition
from av.video.stream import VideoStream

from media.fetch_limits import DEFAULT_LIMITS, SYSTEM_CLOCK, FetchLimits
from media.ffmpeg_limits import limit_ffmpeg_allocations
from media.mp4.boxes import Box, Index, Track, find_layout, read_index, truncated_error, unreadable_error
from media.mp4.fragments import first_fragment, fragmented_duration
from media.remote_file import RemoteFile
from models.clock import Clock
from models.errors import MediaRejected
from models.file_sharing import match_service
from models.media_codes import MediaCode
from models.media_rules import RULES, MediaFacts, MediaRole

# Larger first frames are not fetched and decoded.
MAX_FIRST_FRAME_BYTES = 128 * 1024
# A frame larger than 8K would exceed the memory that a check may use.
MAX_FRAME_PIXELS = 8192 * 4320
MDAT_HEADER_BYTES = 16
# Real files have a handful. Each track costs memory and a pass over every fragment.
MAX_TRACKS = 32
# How the page of a sharing service appears, if its link does not lead to the file.
_SHARE_PAGE_CODES = {
    MediaCode.NOT_A_VIDEO,
    MediaCode.WRONG_CONTAINER,
    MediaCode.FORBIDDEN,
    MediaCode.NOT_FOUND,
    MediaCode.HTTP_CLIENT_ERROR,
}
# Cover art: a still picture that players show for the file.
_ATTACHED_PICTURE = Disposition.attached_pic

limit_ffmpeg_allocations()


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
        with_sha256: Read the whole video for its digest, unless it is larger than the rule of `role`.
        limits: The budget of requests, bytes and time.
        clock: Measures the time budget.
        sleep: Waits between attempts, in seconds.

    Raises:
        MediaRejected: If the facts cannot be read, and a retry would not change that.
        MediaUnreachable: If the host gives no usable response.
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
            facts = _read_facts(file)
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


def _read_facts(file: RemoteFile) -> MediaFacts:
    layout = find_layout(file, file.size)
    file.fetch(layout.moov.start, layout.moov.end)
    # The index contains every fact. PyAV would read on into the picture data, 32 KiB per request.
    file.fetch_on_read = False
    index = read_index(file, layout.moov)
    first = first_fragment(file, layout.moov, file.size) if index.is_fragmented else None
    file.seek(0)
    # The demuxer gets only the first fragment of a fragmented file, since the next table may be
    # fetched in part. The bytes fetched limit what is read: a file that claims any size would claim
    # as much memory.
    end = first and min(first.end + MDAT_HEADER_BYTES, file.bytes_fetched)
    source = file if end is None else io.BytesIO(file.read(end))
    try:
        with av.open(
            source,
            "r",
            format="mov",  # no other demuxer: some read playlists and open the files that these name
            container_options={
                "enable_drefs": "0",  # nor tracks that are stored in other files
                "max_streams": str(MAX_TRACKS),
            },
            options={"max_pixels": str(MAX_FRAME_PIXELS), "threads": "1"},
            metadata_errors="replace",
        ) as container:
            videos = [stream for stream in container.streams.video if not stream.disposition & _ATTACHED_PICTURE]
            durations = {stream: _duration_seconds(file, stream, index, layout.moov) for stream in videos}
            longest = max(videos, key=lambda stream: durations[stream] or 0, default=None)
            return MediaFacts(
                size_bytes=file.size,
                container=layout.container,
                has_audio=bool(container.streams.audio),
                etag=file.etag,
                **(_video_facts(file, longest, index, durations[longest]) if longest else {}),
            )
    except av.FFmpegError as error:
        raise unreadable_error(f"the file cannot be read: {error.strerror}") from error


def _video_facts(file: RemoteFile, stream: VideoStream, index: Index, seconds: float | None) -> dict[str, Any]:
    """Return the facts about the picture, keyed by the fields of MediaFacts."""
    track = index.tracks.get(stream.id, Track(0, 0, is_rotated=False))
    codec, width, height = "unknown", track.width, track.height
    # None for a codec that PyAV cannot decode.
    if stream.codec_context is not None:
        _verify_first_frame(file, stream)
        codec = stream.codec_context.name
        # Some codecs store the size in frames only, and no frame may have been fetched.
        width, height = stream.codec_context.width or width, stream.codec_context.height or height
    return {
        "video_codec": codec,
        "width": height if track.is_rotated else width,
        "height": width if track.is_rotated else height,
        "duration_seconds": seconds,
        "frame_rate": float(stream.average_rate) if stream.average_rate else None,
    }


def _duration_seconds(file: RemoteFile, stream: VideoStream, index: Index, moov: Box) -> float | None:
    """Return the duration of a track as players show it, with its edit list applied; None if unknown."""
    if index.is_fragmented and first_fragment(file, moov, file.size) is not None:
        return fragmented_duration(file, moov, file.size, stream.id)
    entries = stream.index_entries
    if stream.time_base is None or (stream.duration is None and not len(entries)):
        return None
    # Some recorders leave the duration in the header at 0. The last frame's time is then the best
    # estimate.
    return float((stream.duration or (entries[-1].timestamp if len(entries) else 0)) * stream.time_base)


def _verify_first_frame(file: RemoteFile, stream: VideoStream) -> None:
    """Raise MediaRejected if the picture data is certainly missing, or certainly not a picture."""
    entries = stream.index_entries
    if not len(entries):
        return
    for entry in (entries[0], entries[-1]):
        if not 0 <= entry.pos <= file.size - entry.size:
            raise truncated_error(
                f"the index has a frame at byte {entry.pos:,}, but the file has {file.size:,} bytes"
            )
    first = entries[0]
    if first.size > MAX_FIRST_FRAME_BYTES:
        return
    file.fetch(first.pos, first.pos + first.size)
    file.seek(first.pos)
    try:
        stream.codec_context.decode(av.Packet(file.read(first.size)))
    except av.InvalidDataError as error:
        raise unreadable_error(f"the first frame cannot be decoded: {error.strerror}") from error
    except av.FFmpegError:
        return  # our decoder does not support the stream; the file may still be valid
