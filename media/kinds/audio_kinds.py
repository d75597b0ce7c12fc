"""Recognizes audio files by their first bytes, and rejects others with what they are."""

from __future__ import annotations

import re

from media.kinds.binary_kinds import identify_binary
from media.kinds.file_kinds import PICTURE_BRANDS, identify
from models.errors import MediaRejected
from models.media.codes import MediaCode

_KINDS = (
    ("wav", re.compile(rb"RIFF.{4}WAVE", re.DOTALL)),
    ("flac", re.compile(rb"fLaC")),
    ("ogg", re.compile(rb"OggS")),
    ("mp3", re.compile(rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]")),
    ("aac", re.compile(rb"\xff[\xf0\xf1\xf8\xf9]")),
)
_HINT = "export the voice as MP3, M4A, WAV, FLAC or OGG, and use that file itself"


def require_audio(head: bytes) -> str:
    """Return the kind of an audio file: wav, flac, ogg, mp3, aac or mp4.

    Args:
        head: The first KIND_BYTES of the file.

    Raises:
        MediaRejected: If it is not an audio file.
    """
    for kind, pattern in _KINDS:
        if pattern.match(head):
            return kind
    if head[4:8] == b"ftyp" and head[8:12] not in PICTURE_BRANDS:
        return "mp4"
    found = identify(head) or identify_binary(head)
    if found is not None and found.code is MediaCode.EMPTY_FILE:
        raise MediaRejected(found.code, f"the file is {found.name}", hint="check that the upload was completed")
    name = "of an unknown kind" if found is None else found.name
    raise MediaRejected(MediaCode.NOT_AUDIO, f"the file is {name}, not an audio file", hint=_HINT)
