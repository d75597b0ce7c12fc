"""Rejects files that are not an MP4 or MOV video, and says what they are."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from media.kinds.binary_kinds import identify_binary
from media.kinds.file_signatures import EXPORT_HINT, FileKind, encrypted, picture
from media.kinds.text_kinds import GENERIC_TEXT, identify_text
from models.errors import MediaRejected
from models.media.codes import MediaCode

KIND_BYTES = 36 * 1024
"""The first bytes that tell what a file is. A disc image has its signature after 32 KiB."""

# The boxes that a file or a segment of a stream may begin with (ISO/IEC 14496-12, QuickTime File Format).
_FIRST_BOXES = {
    *(b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"junk", b"meta", b"udta", b"PICT"),
    *(b"styp", b"sidx", b"ssix", b"moof", b"emsg", b"prft", b"prfl", b"pdin", b"mfra", b"bloc"),
}
_MAX_UNKNOWN_BOXES = 4
_BOX_HEADER_BYTES = 8
_SEGMENT_BOXES = {b"styp", b"sidx", b"moof"}
# Brands of files whose main content is a picture, also those that have it as a movie of frames.
PICTURE_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), picture("HEIC")),
    **dict.fromkeys((b"mif1", b"mif2", b"miaf", b"msf1"), picture("HEIF")),
    **dict.fromkeys((b"avif", b"avis", b"avio"), picture("AVIF")),
    **dict.fromkeys((b"jp2 ", b"jpx ", b"jpm "), picture("JPEG 2000")),
    b"jxl ": picture("JPEG XL"),
    b"crx ": picture("camera raw"),
}
_ENCRYPTED = dict.fromkeys((b"odcf", b"opf2"), encrypted("OMA DRM"))
_ZEROS = FileKind(
    MediaCode.TRUNCATED,
    "only zeros at its start: the upload was not completed",
    "check that the original plays to its end, then upload it again",
)
_UNKNOWN = FileKind(MediaCode.WRONG_CONTAINER, "in another format", EXPORT_HINT)
_EMPTY = FileKind(MediaCode.EMPTY_FILE, "empty", "check that the upload was completed")


def require_first_box(head: bytes) -> None:
    """Check that a file begins as an MP4 or MOV file does.

    Args:
        head: The first KIND_BYTES of the file.

    Raises:
        MediaRejected: If it does not.
    """
    kind = identify(head)
    if kind is not None:
        raise _rejection(kind)


def identify(head: bytes) -> FileKind | None:
    """Return what a file is by its first bytes; None if it begins as an MP4 or MOV file does."""
    if not head:
        return _EMPTY
    if not head.strip(b"\0"):
        return _ZEROS
    text = identify_text(head)
    if text is None and _begins_with_boxes(head):
        return None
    if text is not None and text is not GENERIC_TEXT:
        return text
    return identify_binary(head) or text or _UNKNOWN


def _begins_with_boxes(head: bytes) -> bool:
    """Return whether a known box is first, or follows a few that are not known."""
    start = 0
    for _ in range(_MAX_UNKNOWN_BOXES + 1):
        if head[start + 4 : start + 8] in _FIRST_BOXES:
            return True
        length = int.from_bytes(head[start : start + 4])
        if length < _BOX_HEADER_BYTES:
            return False
        start += length
    return False


def require_video_brand(major: bytes) -> None:
    """Raise MediaRejected if a file declares by its major brand that it is a picture, or encrypted."""
    kind = PICTURE_BRANDS.get(major) or _ENCRYPTED.get(major)
    if kind is not None:
        raise _rejection(kind)


def missing_index_error(brands: Sequence[bytes], boxes: Collection[bytes]) -> MediaRejected:
    """Return the error for a file without an index.

    Args:
        brands: The brands that the file declares.
        boxes: The kinds of its boxes.
    """
    for brand in brands:
        if kind := PICTURE_BRANDS.get(brand):
            return _rejection(kind)
    if not _SEGMENT_BOXES.isdisjoint(boxes):
        return MediaRejected(
            MediaCode.MISSING_MOOV,
            "the file is one segment of a stream, without the index (moov box) in its initialization segment",
            hint="save the stream as one file: ffmpeg -i PLAYLIST_URL -c copy OUT.mp4",
        )
    return MediaRejected(
        MediaCode.MISSING_MOOV,
        "the file has no index (moov box), so no player can open it",
        hint=f"{EXPORT_HINT} again: the recording was not finished",
    )


def _rejection(kind: FileKind) -> MediaRejected:
    is_other = kind.code in {MediaCode.NOT_A_VIDEO, MediaCode.WRONG_CONTAINER}
    ending = ", not an MP4 or MOV video" if is_other else ""
    return MediaRejected(kind.code, f"the file is {kind.name}{ending}", hint=kind.hint)
