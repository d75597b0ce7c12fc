"""Names binary files by their first bytes, also those that have no fixed signature."""

from __future__ import annotations

import re

from media.kinds.file_signatures import (
    OFFICE,
    SIGNATURES,
    FileKind,
    archive,
    audio,
    document,
    encrypted,
    picture,
    video,
)
from models.media.codes import MediaCode

_TORRENT = FileKind(MediaCode.NOT_A_VIDEO, "a torrent", "download what it names, and upload the video itself")
_UPLOAD = FileKind(
    MediaCode.NOT_A_VIDEO, "an upload that its server stored undecoded", "upload the file again, with another tool"
)
_START_CODE = rb"\0{2,3}\x01"

# The first match counts.
_PATTERNS = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb"RIF[FX].{4}AVI ", video("AVI")),
        (rb"(?:RIF[FX]|RF64|BW64).{4}WAVE", audio("WAV")),
        (rb"RIFF.{4}WEBP", picture("WebP")),
        (rb"RIFF.{4}RMID", audio("MIDI")),
        (rb"RIF[FX].{0,3}[\0-\x08\x0e-\x1f]", video("a RIFF file of another kind")),
        (rb"FORM.{4}AIF[FC]", audio("AIFF")),
        (rb"BM.{4}\0{4}", picture("BMP")),
        (rb"\0\0\x01\0[^\0]\0", picture("icon")),
        (rb"PK\x03\x04.{0,4096}?(?:\[Content_Types\]\.xml|_rels/|mimetypeapplication/vnd\.oasis)", OFFICE),
        (rb"PK\x03\x04.{0,64}?mimetypeapplication/epub", document("an e-book (EPUB)")),
        (rb"PK(?:\x03\x04|\x05\x06|\x07\x08)", archive("a ZIP")),
        # The DocType in the header (RFC 8794, section 11.2.7).
        (rb"\x1aE\xdf\xa3.{0,256}?B\x82.{1,8}?webm", video("WebM")),
        (rb"\x1aE\xdf\xa3.{0,256}?B\x82", video("Matroska")),
        (rb"\x1aE\xdf\xa3", video("Matroska or WebM")),
        (rb"OggS.{0,512}?\x80theora", video("Ogg (Theora video)")),
        (rb"OggS.{0,512}?OpusHead", audio("Ogg Opus")),
        (rb"OggS.{0,512}?\x01vorbis", audio("Ogg Vorbis")),
        (rb"OggS", video("Ogg")),
        (rb"d\d{1,2}:(?:announce|info|comment|created by|creation date|encoding|url-list|nodes)", _TORRENT),
        (rb"--[^\r\n]{1,200}\r\n[Cc]ontent-[Dd]isposition: *form-data", _UPLOAD),
        (rb"[0-9a-f]{1,8};chunk-signature=", _UPLOAD),
        # Packets of OpenPGP (RFC 9580, section 5): a session key for a public key, or for a passphrase.
        (rb"(?:\x84.|\x85..|\xc1(?:[\0-\xbf]|[\xc0-\xdf].))\x03", encrypted("PGP")),
        (rb"(?:\x8c.|\x8d..|\xc3.)[\x04-\x06][\x01-\x0d]", encrypted("PGP")),
        # Units after a start code (ITU-T H.264, H.265, and ISO/IEC 13818-1, table 2-22).
        (_START_CODE + rb"[\x40\x42\x44\x46\x4e]\x01", video("a raw H.265 stream without a container")),
        (
            _START_CODE + rb"[\x01\x21\x41\x61\x25\x45\x65\x06\x27\x47\x67\x28\x48\x68\x09]",
            video("a raw H.264 stream without a container"),
        ),
        (rb"\0\0\x01[\xb9-\xff]", video("an MPEG program stream")),
        (rb"\0\0\x01[\0-\x1f\xb0\xb3]", video("a raw MPEG video stream without a container")),
        (rb"G@[\0-\x1f]", video("an MPEG transport stream")),
        # The header of an audio frame, without reserved values.
        (rb"\xff[\xf0\xf1\xf8\xf9]", audio("AAC")),
        (rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][\0-\xef]", audio("MP3")),
    )
)
# The key of the header (SMPTE ST 377-1), which a run-in of up to 64 KiB may precede.
_MXF_KEY = b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02"
_MXF_RUN_IN_BYTES = 65536
_PACKET_BYTES = (188, 192, 204)
_SYNC_BYTE = 0x47
_SYNC_COUNT = 5


def identify_binary(head: bytes) -> FileKind | None:
    """Return what a file is by its first bytes; None if they are not known."""
    for offset, magic, kind in SIGNATURES:
        if head.startswith(magic, offset):
            return kind
    for pattern, kind in _PATTERNS:
        if pattern.match(head):
            return kind
    if _MXF_KEY in head[: _MXF_RUN_IN_BYTES + len(_MXF_KEY)]:
        return video("MXF")
    return video("an MPEG transport stream") if _is_transport_stream(head) else None


def _is_transport_stream(head: bytes) -> bool:
    """Return whether a sync byte starts each packet, of any known size; the first packet may be cut."""
    return any(
        head[start::size].startswith(bytes([_SYNC_BYTE]) * _SYNC_COUNT)
        for size in _PACKET_BYTES
        for start in range(size)
    )
