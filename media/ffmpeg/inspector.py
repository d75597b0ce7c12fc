"""Inspects the bytes of a recording with FFmpeg (PyAV). Untrusted bytes: only child processes call it.

It reads neither files nor the network; see docs/adr/0014-ffmpeg-processes.md.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import av.audio.stream
import av.error
import av.subtitles.stream  # PyAV would import it when it sees the first stream, and the memory may be used up then
import av.video.stream
from av.stream import Disposition

from media.ffmpeg.ffmpeg_functions import color_transfer_name, limit_ffmpeg_allocations
from media.ffmpeg.frame_start import end_last_nal_unit
from media.ffmpeg.inspection import AudioStream, FirstFrame, IndexEntry, Inspection, VideoStream
from media.processes.available_bytes import AvailableBytes

if TYPE_CHECKING:
    from av.codec.context import CodecContext
    from av.container import InputContainer
    from av.video.stream import VideoStream as FfmpegVideoStream

# Real files have a handful. Each track costs memory and a pass over every fragment.
MAX_TRACKS = 32
# A frame larger than 8K would exceed the memory that a check may use.
MAX_FRAME_PIXELS = 8192 * 4320


class SparseFile:
    """A file of which some blocks are available, with the methods that PyAV calls; a read ends with its block."""

    def __init__(self, available: AvailableBytes) -> None:
        self._size = available.size
        self._blocks = available.blocks
        self._starts = [offset for offset, _ in available.blocks]
        self._position = 0

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes from the current position; none in a gap and at the end."""
        data = self.bytes_at(self._position, min(size, self._size - self._position))
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set and return the position."""
        self._position = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence] + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def bytes_at(self, start: int, size: int) -> bytes:
        """Return the available bytes from `start`, at most `size`, also behind the end that FFmpeg sees."""
        number = bisect_right(self._starts, start) - 1
        if number < 0 or size <= 0:
            return b""
        offset, data = self._blocks[number]
        return data[start - offset : start - offset + size]


def inspect(
    available: AvailableBytes, stream: int | None = None, *, max_frame_pixels: int = MAX_FRAME_PIXELS
) -> Inspection:
    """Return the streams of a recording, and decode its first frame if the bytes of that are available.

    Args:
        available: The bytes; at least the index.
        stream: The index of the video stream to decode. None: the only one, if there is exactly one.
        max_frame_pixels: Larger frames are not decoded.
    """
    limit_ffmpeg_allocations()
    file = SparseFile(available)
    # FFmpeg decodes frames of every stream when it opens a file: these options reach only those decoders. The
    # first frame of one stream is decoded below, so they skip theirs: that takes half of the time.
    options = {"max_pixels": str(max_frame_pixels), "threads": "1", "skip_frame": "all"}
    try:
        with av.open(
            file,
            "r",
            format="mov",  # no other demuxer: some read playlists and open the files that these name
            container_options={
                "enable_drefs": "0",  # nor tracks that are stored in other files
                "max_streams": str(MAX_TRACKS),
                # Drops a frame that is available in part. The parser of AV1 would refuse the whole file.
                "fflags": "+discardcorrupt",
                # It reads no frames to estimate rates, and to look for facts that skipped frames do not tell.
                "fpsprobesize": "0",
                "probesize": "32",
            },
            options=options,
            metadata_errors="replace",
        ) as container:
            return _describe(container, file, stream, options)
    except av.FFmpegError as error:
        return Inspection(error=error.strerror or "unknown error")


def _describe(
    container: InputContainer, file: SparseFile, decoded_index: int | None, options: dict[str, str]
) -> Inspection:
    pictures = [video.index for video in container.streams.video if not _is_attached_picture(video)]
    if decoded_index is None and len(pictures) == 1:
        decoded_index = pictures[0]
    return Inspection(
        videos=tuple(
            _describe_video(video, file, options, is_decoded=video.index == decoded_index)
            for video in container.streams.video
        ),
        audios=tuple(
            AudioStream(
                index=audio.index,
                id=audio.id,
                codec=_codec_name(audio.codec_context),
                duration=audio.duration,
                time_base=_pair(audio.time_base),
            )
            for audio in container.streams.audio
        ),
    )


def _describe_video(
    stream: FfmpegVideoStream, file: SparseFile, options: dict[str, str], *, is_decoded: bool
) -> VideoStream:
    entries = stream.index_entries
    first, last = (_entry(entries[0]), _entry(entries[-1])) if len(entries) else (None, None)
    # Before the facts: some codecs store the size and the pixel format in frames only.
    first_frame = _decode_first(stream, first, file, options) if is_decoded and first else FirstFrame.NOT_DECODED
    return replace(
        _describe_picture(stream),
        frame_rate=float(stream.average_rate) if stream.average_rate else None,
        duration=stream.duration,
        time_base=_pair(stream.time_base),
        first=first,
        last=last,
        is_attached_picture=_is_attached_picture(stream),
        first_frame=first_frame,
    )


def _describe_picture(stream: FfmpegVideoStream) -> VideoStream:
    # None for a codec that PyAV cannot decode.
    if stream.codec_context is None:
        return VideoStream(stream.index, stream.id)
    return VideoStream(
        stream.index,
        stream.id,
        codec=_codec_name(stream.codec_context),
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        sample_aspect_ratio=_pair(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio),
        pixel_format=stream.codec_context.pix_fmt,
        color_transfer=color_transfer_name(stream.codec_context.color_trc),
    )


def _decode_first(
    stream: FfmpegVideoStream, first: IndexEntry, file: SparseFile, options: dict[str, str]
) -> FirstFrame:
    """Decode the first frame. Of one that is available in part, FFmpeg learns only the facts in its header."""
    data = file.bytes_at(first.position, first.size)
    if 0 < first.size == len(data):
        return _decode(stream, data, options)
    if data and stream.codec_context is not None:
        codec, configuration = _codec_name(stream.codec_context), stream.codec_context.extradata
        _decode(stream, end_last_nal_unit(data, codec, configuration), options)
    return FirstFrame.NOT_DECODED


def _decode(stream: FfmpegVideoStream, data: bytes, options: dict[str, str]) -> FirstFrame:
    decoder = stream.codec_context
    if decoder is None:
        return FirstFrame.UNSUPPORTED
    # On the decoder itself, because `av.open` does not pass them on.
    decoder.options = {"max_pixels": options["max_pixels"]}
    # With more threads, dav1d deadlocks: PyAV frees the decoder with the GIL held, while a thread of
    # the decoder waits for the GIL to release a packet.
    decoder.thread_count = 1
    try:
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    except av.InvalidDataError:
        # Some decoders report a picture over the limit so, too.
        is_too_large = decoder.width * decoder.height > int(options["max_pixels"])
        return FirstFrame.UNSUPPORTED if is_too_large else FirstFrame.INVALID
    except (av.FFmpegError, MemoryError):
        return FirstFrame.UNSUPPORTED
    return FirstFrame.DECODED if frames else FirstFrame.NO_PICTURE


def _codec_name(decoder: CodecContext | None) -> str | None:
    return None if decoder is None else decoder.codec.canonical_name


def _is_attached_picture(stream: FfmpegVideoStream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _entry(entry: av.index.IndexEntry) -> IndexEntry:
    return IndexEntry(entry.pos, entry.size, entry.timestamp)


def _pair(number: Fraction | None) -> tuple[int, int] | None:
    return (number.numerator, number.denominator) if number else None
