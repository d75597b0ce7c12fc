"""Names texts that a host sends or stores instead of a video: pages, error messages, playlists, pointers."""

from __future__ import annotations

import codecs
import re

from media.kinds.file_signatures import FileKind, document, encrypted, picture
from models.media.codes import MediaCode

# A text shows what it is in its first lines.
_TEXT_BYTES = 2048
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose BOM is its start
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UTF16 = ((re.compile(rb"(?:[\x09-\x7e]\0){8}"), "utf-16-le"), (re.compile(rb"(?:\0[\x09-\x7e]){8}"), "utf-16-be"))
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
# Of the characters of a text that is not UTF-8.
_MAX_FOREIGN_RATIO = 0.5

_DIRECT_HINT = "use the file itself or its direct download URL, not the page that shows it"
_PAGE = FileKind(MediaCode.NOT_A_VIDEO, "a web page or an error message", _DIRECT_HINT)
_STORE_ERROR = FileKind(MediaCode.NOT_A_VIDEO, "an error message of an object store", _DIRECT_HINT)
_JSON = FileKind(MediaCode.NOT_A_VIDEO, "a JSON document, such as an error message", _DIRECT_HINT)
GENERIC_TEXT = FileKind(MediaCode.NOT_A_VIDEO, "a text, such as an error message", _DIRECT_HINT)
_PLAYLIST = FileKind(
    MediaCode.NOT_A_VIDEO,
    "a playlist of a stream",
    "save the stream as one file: ffmpeg -i URL -c copy OUT.mp4",
)
_SUBTITLES = document("a file of subtitles")
_SHORTCUT = document("a link to another page")
_POINTER_HINT = "the repository has the content elsewhere: run `{}`, and upload the video itself"
_LFS = FileKind(MediaCode.NOT_A_VIDEO, "a pointer of Git LFS", _POINTER_HINT.format("git lfs pull"))
_ANNEX = FileKind(MediaCode.NOT_A_VIDEO, "a pointer of git-annex", _POINTER_HINT.format("git annex get"))
_BASE64 = FileKind(MediaCode.NOT_A_VIDEO, "a video as base64 text", "decode it, and upload the video itself")

# The first characters, in lower case.
_PREFIXES = (
    ("#extm3u", _PLAYLIST),
    ("[playlist]", _PLAYLIST),
    ("webvtt", _SUBTITLES),
    ("[script info]", _SUBTITLES),
    ("[internetshortcut]", _SHORTCUT),
    ("[desktop entry]", _SHORTCUT),
    ("http://", _SHORTCUT),
    ("https://", _SHORTCUT),
    ("magnet:", FileKind(MediaCode.NOT_A_VIDEO, "a link of a torrent", "upload the video itself")),
    ("version https://git-lfs", _LFS),
    ("version https://hawser", _LFS),
    ("-----begin pgp", encrypted("PGP")),
    ("-----begin age encrypted file", encrypted("age")),
    ("u2fsdgvkx1", encrypted("OpenSSL")),
    ("data:video/", _BASE64),
    ("data:image/", FileKind(MediaCode.NOT_A_VIDEO, "an image as base64 text", "use the video file itself")),
    ("{\\rtf", document("an RTF document")),
    ("%!ps", document("a PostScript document")),
    ("{", _JSON),
    ("[", _JSON),
)
_ROOTS = (
    ("<mpd", _PLAYLIST),
    ("<smoothstreamingmedia", _PLAYLIST),
    ("<asx", _PLAYLIST),
    ("<playlist", _PLAYLIST),
    ("<svg", picture("SVG")),
    ("<error", _STORE_ERROR),
    ("<tt", _SUBTITLES),
    ("<plist", _SHORTCUT),
)
_ANNEX_POINTER = re.compile(r"(?:(?:\.\./)*\.git)?/annex/objects/")
_SUBRIP = re.compile(r"\d{1,6}\s{1,4}\d{1,3}:\d\d:\d\d[,.]\d{1,3} ?-->")
# The length and kind of an ftyp box in base64.
_BASE64_FTYP = re.compile(r"AAAA[A-Za-z0-9+/]{2}Z0eX[AB]")


def identify_text(head: bytes) -> FileKind | None:
    """Return what a text is by its first bytes; None if the file is not a text."""
    text = _decode(head[:_TEXT_BYTES])
    if text is None:
        return None
    text = text.strip("\ufeff \t\r\n\f\v")
    if _ANNEX_POINTER.match(text):
        return _ANNEX
    if _SUBRIP.match(text):
        return _SUBTITLES
    if _BASE64_FTYP.match(text):
        return _BASE64
    lower = text.lower()
    if lower.startswith("<"):
        root = _skip_prolog(lower)
        return next((kind for prefix, kind in _ROOTS if root.startswith(prefix)), _PAGE)
    return next((kind for prefix, kind in _PREFIXES if lower.startswith(prefix)), GENERIC_TEXT)


def _decode(head: bytes) -> str | None:
    """Decode a text of any usual encoding; None if the bytes are not a text."""
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return _printable(head[len(bom) :].decode(encoding, "ignore"))
    for pattern, encoding in _UTF16:
        if pattern.match(head):
            return _printable(head.decode(encoding, "ignore"))
    if b"\0" in head:
        return None
    try:
        # The last character may be cut off.
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        text = head.decode("latin-1")
        foreign = sum(character > "\x7e" for character in text)
        if foreign > len(text) * _MAX_FOREIGN_RATIO and not text.lstrip().startswith("<"):
            return None
    return _printable(text)


def _printable(text: str) -> str | None:
    return None if _CONTROL.search(text) else text


def _skip_prolog(markup: str) -> str:
    """Return a document from its first element on: without XML declarations, comments and a document type."""
    while True:
        markup = markup.lstrip()
        end = {"<?": "?>", "<!": "-->" if markup.startswith("<!--") else ">"}.get(markup[:2])
        if end is None or end not in markup:
            return markup
        markup = markup.partition(end)[2]
