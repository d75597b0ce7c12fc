"""Finds recordings whose samples are missing or are not what their index says.

An upload that stopped leaves a file that is cut, or one of the right size with zeros. Both have an
index, and players show only the first part.
"""

from __future__ import annotations

from media.mp4.boxes import Box, truncated_error, unreadable_error
from media.mp4.sample_checks import MAX_CHECKED_BYTES, is_plausible_picture, is_plausible_sound
from media.mp4.samples import ByteRange
from media.mp4.top_level import FetchedFile
from media.mp4.tracks import Track
from models.errors import MediaRejected
from models.media.codes import MediaCode


def verify_positions(track: Track, moov: Box, size: int) -> None:
    """Verify that all samples of a track that were read are in a file of `size` bytes, and some not in its index.

    Raises:
        MediaRejected: If one is not, or the first, the middle or the last one is in the index.
    """
    for sample in (track.samples.first, track.samples.middle, track.samples.last):
        if sample is not None and moov.start <= sample.start < moov.end:
            raise unreadable_error(f"the index has a frame at byte {sample.start:,}, which is in the index itself")
    span = track.samples.span
    if span is not None and not 0 <= span.start <= size - span.size:
        raise truncated_error(
            f"the index has frames from byte {span.start:,} to {span.end:,}, but the file has {size:,} bytes"
        )


def verify_pictures(file: FetchedFile, video: Track, moov: Box) -> None:
    """Verify that samples of a video can be pictures: the first one, the last one, and one between them.

    The last one costs at most one request. The middle one costs another, but is fetched only if
    the index precedes the samples: a check of such a file needs one request less.

    Raises:
        MediaRejected: If the bytes of a sample are certainly not a picture.
    """
    samples = video.samples
    if samples.last is not None:
        file.fetch(samples.last.start, samples.last.start + min(samples.last.size, MAX_CHECKED_BYTES))
    if samples.middle is not None and moov.start < samples.middle.start:
        file.fetch(samples.middle.start, samples.middle.start + min(samples.middle.size, MAX_CHECKED_BYTES))
    for sample, name in ((samples.first, "first"), (samples.middle, "middle"), (samples.last, "last")):
        data = _read(file, sample)
        if sample is not None and data and not is_plausible_picture(video.entry, data, sample.size):
            # An upload that stopped has its first bytes, or zeros instead of them.
            error = unreadable_error if name == "first" and any(data) else truncated_error
            raise error(f"the {name} frame, at byte {sample.start:,}, {_describe(data, 'a picture')}")


def verify_sound(file: FetchedFile, audio: Track) -> None:
    """Verify that the last sample of a track can be sound, if its bytes have been fetched.

    Raises:
        MediaRejected: If its bytes are certainly not sound.
    """
    sample, data = audio.samples.last, _read(file, audio.samples.last)
    if sample is not None and data and not is_plausible_sound(audio.entry, data):
        raise truncated_error(f"the last packet of sound, at byte {sample.start:,}, {_describe(data, 'sound')}")


def encrypted_error() -> MediaRejected:
    """Return the error for a file that only players with a key can show."""
    return MediaRejected(
        MediaCode.ENCRYPTED, "the file is encrypted", hint="export it without copy protection (DRM), as MP4 (H.264)"
    )


def external_error() -> MediaRejected:
    """Return the error for a file whose pictures or sound are in other files."""
    return unreadable_error(
        "the pictures or the sound are in other files, as in a reference movie of QuickTime",
        hint="save it as a self-contained movie, or export it as MP4 (H.264), and upload that",
    )


def _describe(data: bytes, expected: str) -> str:
    """Return what is wrong with a sample that is not the expected thing, as words after its name."""
    return f"is not {expected}" if any(data) else "has only zeros"


def _read(file: FetchedFile, sample: ByteRange | None) -> bytes:
    """Return the first bytes of a sample, as far as they have been fetched."""
    if sample is None:
        return b""
    file.seek(sample.start)
    return file.read(min(sample.size, MAX_CHECKED_BYTES))
