"""Finds out what a remote video is, and whether it keeps to Argil's rules, for a few requests and its index."""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, Self

import av
import httpx
from av.stream import Disposition
from av.video.stream import VideoStream

from clients.address_guard import GuardedTransport, Resolver
from clients.ffmpeg_memory import bound_memory
from clients.mp4_boxes import Box, Index, Track, cut_off, find_layout, read_index, unreadable
from clients.mp4_fragments import first_fragment, fragmented_seconds
from clients.range_requests import DEFAULT_LIMITS, FetchLimits
from clients.remote_file import RemoteFile
from models.clock import SystemClock
from models.errors import MediaRejected
from models.media import DEFAULT_DEMANDS, RULES, Demands, MediaFacts, MediaReport, MediaRole, checks, rejection
from models.presigned import expiry_check
from models.share_pages import share_service

# The first frame is decoded only where it costs no more than this.
FIRST_FRAME_BYTES = 128 * 1024
# A frame of more than 8K takes more memory than a check may.
MAX_FRAME_PIXELS = 8192 * 4320
MDAT_HEADER_BYTES = 16
# Real files have a handful; each costs memory, and a look at every fragment.
MAX_TRACKS = 32
CHECKS_AT_ONCE = 8
_NOW = SystemClock().now
# What a link to a sharing service comes to, where it is not the file's own.
_ON_A_PAGE = {"not-a-video", "wrong-container", "forbidden", "not-found", "refused"}
# A still picture that players show for the file.
_COVER = Disposition.attached_pic

bound_memory()


class MediaProbe(NamedTuple):
    """What a probe found, and what it cost."""

    facts: MediaFacts
    requests: int
    bytes_fetched: int


def probe(
    url: str,
    role: MediaRole,
    *,
    transport: httpx.BaseTransport,
    with_sha256: bool = False,
    limits: FetchLimits = DEFAULT_LIMITS,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> MediaProbe:
    """Read a video's facts; `role` bounds what may be downloaded from a host that knows no ranges.

    `with_sha256` reads the whole of a video that is not too big, for its digest.
    It blocks, for `limits.seconds` at most: call it from a thread. Raises MediaRejected where something definite
    stands in the way of the facts, and MediaUnreachable where the host gave no usable answer.
    """
    try:
        with RemoteFile(
            url,
            transport=transport,
            download_limit_bytes=RULES[role].max_bytes,
            limits=limits,
            monotonic=monotonic,
            sleep=sleep,
        ) as file:
            facts = _facts(file)
            if with_sha256 and facts.size_bytes <= RULES[role].max_bytes:
                facts = facts.model_copy(update={"sha256": file.sha256()})
            return MediaProbe(facts, file.requests, file.bytes_fetched)
    except MediaRejected as error:
        if page := _page_of_a_service(url, error):
            raise page from error
        raise


def _page_of_a_service(url: str, error: MediaRejected) -> MediaRejected | None:
    """Return what tells more than the error, where a link to a sharing service led to its page."""
    service = share_service(url)
    if service is None or error.rule not in _ON_A_PAGE:
        return None
    return MediaRejected("share-page", f"it is a page of {service.name}, not the file itself", hint=service.hint)


def _facts(file: RemoteFile) -> MediaFacts:
    layout = find_layout(file, file.size)
    file.fetch(layout.moov.start, layout.moov.end)
    # Every fact is in the index. PyAV would go on to the picture, 32 KiB a request.
    file.fetch_on_read = False
    index = read_index(file, layout.moov)
    first = first_fragment(file, layout.moov, file.size) if index.fragmented else None
    file.seek(0)
    # Of a fragmented file the demuxer sees no more than one fragment: the next table may be here in part.
    # What is here bounds what is read: a file that claims to be of any size asks for as much memory.
    end = first and min(first.end + MDAT_HEADER_BYTES, file.bytes_fetched)
    source = file if end is None else io.BytesIO(file.read(end))
    try:
        with av.open(
            source,
            "r",
            format="mov",  # no other demuxer: some read playlists, and open what these name
            container_options={
                "enable_drefs": "0",  # nor tracks that lie in other files
                "max_streams": str(MAX_TRACKS),
            },
            options={"max_pixels": str(MAX_FRAME_PIXELS), "threads": "1"},
            metadata_errors="replace",
        ) as container:
            pictures = [stream for stream in container.streams.video if not stream.disposition & _COVER]
            lengths = {stream: _seconds(file, stream, index, layout.moov) for stream in pictures}
            main = max(pictures, key=lambda stream: lengths[stream] or 0, default=None)
            return MediaFacts(
                size_bytes=file.size,
                container=layout.container,
                has_audio=bool(container.streams.audio),
                etag=file.etag,
                **(_picture(file, main, index, lengths[main]) if main else {}),
            )
    except av.FFmpegError as error:
        raise unreadable(f"it cannot be read: {error.strerror}") from error


def _picture(file: RemoteFile, stream: VideoStream, index: Index, seconds: float | None) -> dict[str, Any]:
    """Return the facts about the picture, by the fields of MediaFacts."""
    track = index.tracks.get(stream.id, Track(0, 0, turned=False))
    codec, width, height = "unknown", track.width, track.height
    # PyAV has none for a codec that it cannot decode.
    if stream.codec_context is not None:
        _try_first_frame(file, stream)
        codec = stream.codec_context.name
        # Some codecs tell their size in a frame alone, which may not be here.
        width, height = stream.codec_context.width or width, stream.codec_context.height or height
    return {
        "video_codec": codec,
        "width": height if track.turned else width,
        "height": width if track.turned else height,
        "duration_seconds": seconds,
        "frame_rate": float(stream.average_rate) if stream.average_rate else None,
    }


def _seconds(file: RemoteFile, stream: VideoStream, index: Index, moov: Box) -> float | None:
    """Return how long a track lasts as players show it, edit lists kept; None where the file does not tell."""
    if index.fragmented and first_fragment(file, moov, file.size) is not None:
        return fragmented_seconds(file, moov, file.size, stream.id)
    entries = stream.index_entries
    if stream.time_base is None or (stream.duration is None and not len(entries)):
        return None
    # Some recorders leave the header's duration at 0: then the frames tell, but for how long the last one stays.
    return float((stream.duration or (entries[-1].timestamp if len(entries) else 0)) * stream.time_base)


def _try_first_frame(file: RemoteFile, stream: VideoStream) -> None:
    """Raise MediaRejected where the picture is surely not there, or is surely no picture."""
    entries = stream.index_entries
    if not len(entries):
        return
    for entry in (entries[0], entries[-1]):
        if not 0 <= entry.pos <= file.size - entry.size:
            raise cut_off(f"its index names a frame at byte {entry.pos:,}, and the file has {file.size:,}")
    first = entries[0]
    if first.size > FIRST_FRAME_BYTES:
        return
    file.fetch(first.pos, first.pos + first.size)
    file.seek(first.pos)
    try:
        stream.codec_context.decode(av.Packet(file.read(first.size)))
    except av.InvalidDataError as error:
        raise unreadable(f"it cannot be read: {error.strerror}") from error
    except av.FFmpegError:
        return  # what our decoder lacks is no fault of the file


class MediaChecker:
    """Checks remote videos, at most CHECKS_AT_ONCE at a time. Close it, or use it in a `with`.

    It has threads of its own: slow video hosts must not take those in which asyncio looks up names. A check whose
    caller has gone ends by itself, within `limits.seconds`. `allowed_hosts` are excused from being public; those of
    the roles in `sha256_of` are read whole, for their digest; `ssl_context` is by default one that honours
    SSL_CERT_FILE.
    """

    def __init__(
        self,
        *,
        allowed_hosts: Collection[str] = (),
        demands: Demands = DEFAULT_DEMANDS,
        sha256_of: Collection[MediaRole] = (),
        limits: FetchLimits = DEFAULT_LIMITS,
        ssl_context: ssl.SSLContext | None = None,
        resolve: Resolver = socket.getaddrinfo,
        now: Callable[[], datetime] = _NOW,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = partial(
            GuardedTransport,
            allowed_hosts,
            ssl_context=ssl_context or httpx.create_ssl_context(trust_env=True),
            resolve=resolve,
        )
        self._demands = demands
        self._sha256_of = sha256_of
        self._now = now
        self._probe = partial(probe, limits=limits, monotonic=monotonic, sleep=sleep)
        self._threads = ThreadPoolExecutor(CHECKS_AT_ONCE, thread_name_prefix="media-check")

    async def check(self, url: str, role: MediaRole) -> MediaReport:
        """Hold every rule of `role` against the video. Raises MediaUnreachable where nothing could be learnt."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._check, url, role)

    def _check(self, url: str, role: MediaRole) -> MediaReport:
        margin = self._demands.url_margin_seconds
        expiry = expiry_check(url, role, now=self._now(), margin_seconds=margin)
        if expiry is not None and expiry.binding:
            return MediaReport(role=role, facts=None, checks=(expiry,))
        with self._transport() as transport:
            try:
                found = self._probe(url, role, transport=transport, with_sha256=role in self._sha256_of)
            except MediaRejected as error:
                return MediaReport(role=role, facts=None, checks=(rejection(error, role),))
        rows = checks(found.facts, role, self._demands)
        return MediaReport(
            role=role,
            facts=found.facts,
            checks=(*rows, expiry) if expiry else tuple(rows),
            requests=found.requests,
            bytes_fetched=found.bytes_fetched,
        )

    def close(self) -> None:
        """Take no more checks; those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
