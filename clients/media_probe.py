"""Finds out what a remote video is, and whether it keeps to Argil's rules, for a few requests and its index."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, Self

import av
import httpx
from av.stream import Disposition
from av.video.stream import VideoStream

from clients.address_guard import GuardedTransport
from clients.mp4_boxes import Index, Track, cut_off, find_layout, read_index, unreadable
from clients.range_requests import DEFAULT_LIMITS, FetchLimits
from clients.remote_file import RemoteFile
from models.errors import MediaRejected
from models.media import RULES, MediaFacts, MediaReport, MediaRole, checks, rejection

# The first frame is decoded only where it costs no more than this.
FIRST_FRAME_BYTES = 128 * 1024
CHECKS_AT_ONCE = 8
# A still picture that players show for the file.
_COVER = Disposition.attached_pic


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
    limits: FetchLimits = DEFAULT_LIMITS,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> MediaProbe:
    """Read a video's facts; `role` bounds what may be downloaded from a host that knows no ranges.

    It blocks, for `limits.seconds` at most: call it from a thread. Raises MediaRejected where something definite
    stands in the way of the facts, and MediaUnreachable where the host gave no usable answer.
    """
    with RemoteFile(
        url,
        transport=transport,
        download_limit_bytes=RULES[role].max_bytes,
        limits=limits,
        monotonic=monotonic,
        sleep=sleep,
    ) as file:
        facts = _facts(file)
        return MediaProbe(facts, file.requests, file.bytes_fetched)


def _facts(file: RemoteFile) -> MediaFacts:
    layout = find_layout(file, file.size)
    file.fetch(layout.moov.start, layout.moov.end)
    # Every fact is in the index. PyAV would go on to the picture, 32 KiB a request.
    file.fetch_on_read = False
    index = read_index(file, layout.moov)
    file.seek(0)
    try:
        with av.open(
            file,
            "r",
            format="mov",  # no other demuxer: some read playlists, and open what these name
            container_options={"enable_drefs": "0"},  # nor tracks that lie in other files
            metadata_errors="replace",
        ) as container:
            pictures = [stream for stream in container.streams.video if not stream.disposition & _COVER]
            main = max(pictures, key=lambda stream: _seconds(stream) or 0, default=None)
            return MediaFacts(
                size_bytes=file.size,
                container=layout.container,
                has_audio=bool(container.streams.audio),
                etag=file.etag,
                **(_picture(file, main, index) if main else {}),
            )
    except av.FFmpegError as error:
        raise unreadable(f"it cannot be read: {error.strerror}") from error


def _picture(file: RemoteFile, stream: VideoStream, index: Index) -> dict[str, Any]:
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
        # A fragmented file tells its duration in its fragments, few of which are here.
        "duration_seconds": None if index.fragmented else _seconds(stream),
        "frame_rate": float(stream.average_rate) if stream.average_rate else None,
    }


def _seconds(stream: VideoStream) -> float | None:
    if stream.duration is None or stream.time_base is None:
        return None
    return float(stream.duration * stream.time_base)


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
    caller has gone ends by itself, within `limits.seconds`. `allowed_hosts` are excused from being public;
    `ssl_context` is by default one that honours SSL_CERT_FILE.
    """

    def __init__(
        self,
        *,
        allowed_hosts: Collection[str] = (),
        limits: FetchLimits = DEFAULT_LIMITS,
        ssl_context: ssl.SSLContext | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._allowed_hosts = allowed_hosts
        self._ssl_context = ssl_context or httpx.create_ssl_context(trust_env=True)
        self._probe = partial(probe, limits=limits, monotonic=monotonic, sleep=sleep)
        self._threads = ThreadPoolExecutor(CHECKS_AT_ONCE, thread_name_prefix="media-check")

    async def check(self, url: str, role: MediaRole) -> MediaReport:
        """Hold every rule of `role` against the video. Raises MediaUnreachable where nothing could be learnt."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._check, url, role)

    def _check(self, url: str, role: MediaRole) -> MediaReport:
        with GuardedTransport(self._allowed_hosts, ssl_context=self._ssl_context) as transport:
            try:
                found = self._probe(url, role, transport=transport)
            except MediaRejected as error:
                return MediaReport(role=role, facts=None, checks=(rejection(error, role),))
        return MediaReport(
            role=role,
            facts=found.facts,
            checks=tuple(checks(found.facts, role)),
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
