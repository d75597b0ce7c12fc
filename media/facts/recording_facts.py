"""Reads the facts about a recording: its tracks from the index and the fragments, its pictures with FFmpeg."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from media.facts.fetched_recording import FetchedRecording
from media.ffmpeg.inspection import FirstFrame, Inspect, VideoStream
from media.mp4.boxes import Box, FetchedBytes, FileLayout, find_layout, unreadable_error
from media.mp4.damage import encrypted_error, external_error, verify_pictures, verify_positions, verify_sound
from media.mp4.fragments import measure_fragments
from media.mp4.index import read_index
from media.mp4.tracks import AUDIO, VIDEO, Index, Track, highest_bit_rate, longest
from media.remote.remote_file import RemoteFile
from models.errors import MediaRejected
from models.media.codes import MediaCode
from models.media.facts import MediaFacts

# Of larger first frames, only the header is read.
MAX_FIRST_FRAME_BYTES = 128 * 1024
# Contains the header of a frame. Encoders write the parameters of the picture and their own settings before it.
FRAME_START_BYTES = 16 * 1024
# A track header with a larger side is damaged: no codec has such pictures.
MAX_HEADER_PIXELS = 16384
# How FFmpeg or our checks see samples that are encrypted, or in another file.
_DAMAGE_CODES = {MediaCode.TRUNCATED, MediaCode.UNREADABLE}


def read_facts(file: RemoteFile, inspect: Inspect) -> MediaFacts:
    """Read the facts about a recording, without the digest of the whole file.

    Raises:
        MediaRejected: If the facts cannot be read, or the recording is damaged or encrypted.
        MediaUnreachable: If the host gives no usable response.
        MediaNotInspected: If FFmpeg ended or exceeded a limit.
    """
    layout = find_layout(file, file.size)
    file.fetch(layout.moov.start, layout.moov.end)
    # The index contains nearly every fact. FFmpeg would read on into the picture data.
    file.fetch_on_read = False
    file.seek(layout.moov.start)
    moov = FetchedBytes(layout.moov.start, file.read(layout.moov.end - layout.moov.start))
    index = read_index(moov, layout.moov)
    try:
        return _read_tracks(file, inspect, layout, measure_fragments(file, index, layout.moov, file.size))
    except MediaRejected as error:
        if error.rule_code in _DAMAGE_CODES and (cause := _cause_of_damage(index)):
            raise cause from error
        raise


def _cause_of_damage(index: Index) -> MediaRejected | None:
    """Return the error that explains samples that are not what their index says, None if it may be any."""
    if index.has_drm:
        return encrypted_error()
    return external_error() if any(track.is_external for track in index.tracks) else None


def _read_tracks(file: RemoteFile, inspect: Inspect, layout: FileLayout, index: Index) -> MediaFacts:
    videos = index.shown(VIDEO) or index.of_medium(VIDEO)
    audios = index.shown(AUDIO)
    video, audio = longest(videos), longest(audios)
    if any(track.entry.is_encrypted for track in (*videos, *audios)):
        raise encrypted_error()
    # The last bytes, which nearly always contain the last samples.
    sample_sha256 = file.sample_sha256()
    for track in (*videos, *audios):
        verify_positions(track, layout.moov, file.size)
    # Before FFmpeg, which takes the zeros of a stopped upload for damage.
    if video is not None and sample_sha256 is not None:
        verify_pictures(file, video, layout.moov)
    stream = _inspect_video(file, inspect, layout.moov, index, video)
    if audio is not None:
        verify_sound(file, audio)
    return MediaFacts(
        size_bytes=file.size,
        container=layout.container,
        has_audio=audio is not None,
        audio_seconds=audio and audio.seconds,
        audio_bit_rate=highest_bit_rate(audios),
        etag=file.etag,
        sample_sha256=sample_sha256,
        **(_video_facts(stream, video) if stream and video else {}),
    )


def _inspect_video(
    file: RemoteFile, inspect: Inspect, moov: Box, index: Index, video: Track | None
) -> VideoStream | None:
    """Return a video as FFmpeg describes it, None if FFmpeg finds no such track."""
    recording = FetchedRecording(file, inspect, moov, video and video.first_fragment)
    streams = [stream for stream in recording.inspect().videos if not stream.is_attached_picture]
    stream = None if video is None else _stream_of(video, streams, index)
    return None if stream is None else _verify_first_frame(recording, stream)


def _stream_of(track: Track, streams: Sequence[VideoStream], index: Index) -> VideoStream | None:
    """Return FFmpeg's description of a track: by its place if both lists are complete, else by its id."""
    tracks = index.of_medium(VIDEO)
    if len(tracks) == len(streams):
        return next(stream for other, stream in zip(tracks, streams, strict=True) if other is track)
    return next((stream for stream in streams if stream.id == track.id), None)


def _verify_first_frame(recording: FetchedRecording, stream: VideoStream) -> VideoStream:
    """Raise MediaRejected if the first frame is certainly not a picture.

    Returns:
        The stream, with the facts that only its first frame tells.
    """
    if stream.first is None:
        return stream
    is_small = stream.first.size <= MAX_FIRST_FRAME_BYTES
    size = stream.first.size if is_small else FRAME_START_BYTES
    is_needed = is_small or stream.pixel_format is None
    if stream.first_frame is FirstFrame.NOT_DECODED and is_needed and size > 0:
        recording.add(stream.first.position, stream.first.position + size)
        videos = recording.inspect(stream.index).videos
        stream = next(video for video in videos if video.index == stream.index)
    if stream.first_frame is FirstFrame.INVALID:
        raise unreadable_error("the first frame cannot be decoded: its bytes are not a picture")
    return stream


def _video_facts(stream: VideoStream, track: Track) -> dict[str, Any]:
    """Return the facts about the picture, keyed by the fields of MediaFacts."""
    width, height = displayed_size(stream, track)
    return {
        "video_codec": stream.codec or "unknown",
        "pixel_format": stream.pixel_format,
        "color_transfer": stream.color_transfer,
        "width": width,
        "height": height,
        "duration_seconds": track.seconds,
        "frame_rate": track.frame_rate or stream.frame_rate,
    }


def displayed_size(stream: VideoStream, track: Track) -> tuple[int, int]:
    """Return width and height in pixels as players show them.

    The width is scaled by the aspect ratio of a pixel, as in ffprobe's display aspect ratio. Then
    the picture is rotated. A clean aperture is not applied: ffprobe and browsers ignore it.
    """
    # Some codecs store the size in frames only, and no frame may have been fetched.
    width, height = stream.width or track.width, stream.height or track.height
    # FFmpeg also derives the ratio from the size in the header, unless a box states it.
    if stream.sample_aspect_ratio is not None and max(track.width, track.height) <= MAX_HEADER_PIXELS:
        scaled = round(width * Fraction(*stream.sample_aspect_ratio))
        # A damaged ratio would make any width of it.
        width = scaled if 0 < scaled <= MAX_HEADER_PIXELS else width
    return (height, width) if track.is_rotated else (width, height)
