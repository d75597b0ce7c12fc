"""Files that are not MP4 or MOV videos: other containers, pictures, sound, texts and archives."""

from __future__ import annotations

import io
import struct
import zipfile

from tests.media.corpus.box_edits import box
from tests.media.corpus.recording import Edit, Recording
from tests.media.corpus.sources import BOTH, SOUND, VIDEO

COPY = "-i {talk} -c copy"
FRAME = f"{VIDEO} -frames:v 1"
# Another format of videos or sound.
WRONG = ("wrong-container",)
# A picture, a text, an archive or anything else.
OTHER = ("not-a-video",)


def content(data: bytes) -> Edit:
    return lambda _: data


def picture_file(brand: bytes) -> bytes:
    """Return the start of a HEIF picture: a file type and a meta box, without an index."""
    handler = box(b"hdlr", bytes(8) + b"pict" + bytes(13))
    return (
        box(b"ftyp", brand + bytes(4) + b"mif1" + brand)
        + box(b"meta", bytes(4) + handler)
        + box(b"mdat", bytes(900))
    )


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archived:
        archived.writestr("dataset.mp4", bytes(5000))
    return file.getvalue()


MADE_BY_FFMPEG = (
    Recording("Matroska", COPY, "mkv", reasons=WRONG),
    Recording("WebM", f"{BOTH} -c:v libvpx -cpu-used 8 -deadline realtime -c:a libopus", "webm", reasons=WRONG),
    Recording("AVI", f"{BOTH} -c:v mpeg4 -c:a mp3", "avi", reasons=WRONG),
    Recording("transport stream", COPY, "ts", reasons=WRONG),
    Recording("Blu-ray stream", COPY, "m2ts", reasons=WRONG),
    Recording("program stream", f"{BOTH} -c:v mpeg2video -r 25 -c:a mp2", "mpg", reasons=WRONG),
    Recording("Flash video", COPY, "flv", reasons=WRONG),
    Recording("Windows Media", f"{BOTH} -c:v wmv2 -c:a wmav2", "wmv", reasons=WRONG),
    Recording("Ogg video", f"{BOTH} -c:v libtheora -c:a libvorbis", "ogv", reasons=WRONG),
    Recording("MXF", f"{BOTH} -c:v mpeg2video -r 25 -c:a pcm_s16le", "mxf", reasons=WRONG),
    Recording("H.264 without a container", "-i {talk} -c:v copy -an", "h264", reasons=WRONG),
    Recording("IVF", f"{VIDEO} -c:v libvpx -cpu-used 8 -deadline realtime", "ivf", reasons=WRONG),
    Recording("animated GIF", f"{VIDEO} -t 2", "gif", reasons=OTHER),
    Recording("JPEG", FRAME, "jpg", reasons=OTHER),
    Recording("PNG picture", FRAME, "png", reasons=OTHER),
    Recording("WebP", FRAME, "webp", reasons=OTHER),
    Recording("BMP", FRAME, "bmp", reasons=OTHER),
    Recording("TIFF", FRAME, "tiff", reasons=OTHER),
    Recording("MP3 file", SOUND, "mp3", reasons=WRONG),
    Recording("WAV", SOUND, "wav", reasons=WRONG),
    Recording("FLAC file", SOUND, "flac", reasons=WRONG),
    Recording("Ogg sound", f"{SOUND} -c:a libvorbis", "ogg", reasons=WRONG),
    Recording("AAC without a container", f"{SOUND} -c:a aac", "aac", reasons=WRONG),
    Recording("AIFF", SOUND, "aiff", reasons=WRONG),
    Recording("Core Audio", SOUND, "caf", reasons=WRONG),
)

MADE_OF_BYTES = (
    Recording("HEIC picture", edit=content(picture_file(b"heic")), reasons=OTHER),
    Recording("AVIF picture", edit=content(picture_file(b"avif")), reasons=OTHER),
    Recording("HEIF picture", edit=content(picture_file(b"heix")), reasons=OTHER),
    Recording(
        "JPEG 2000 picture",
        edit=content(box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ") + bytes(900)),
        reasons=OTHER,
    ),
    Recording("file type only", edit=content(box(b"ftyp", b"isom\0\0\2\0isommp42")), reasons=("missing-moov",)),
    Recording("empty file", edit=content(b""), reasons=("empty-file",)),
    Recording("one byte", edit=content(b"\0"), reasons=("truncated",)),
    Recording("zip archive", edit=content(archive()), reasons=OTHER),
    Recording("RAR archive", edit=content(b"Rar!\x1a\x07\x01\0" + bytes(900)), reasons=OTHER),
    Recording("7z archive", edit=content(b"7z\xbc\xaf\x27\x1c\0\4" + bytes(900)), reasons=OTHER),
    Recording(
        "tar archive", edit=content(b"dataset.mp4".ljust(257, b"\0") + b"ustar\x0000" + bytes(900)), reasons=OTHER
    ),
    Recording("PDF", edit=content(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(900)), reasons=OTHER),
    Recording("program", edit=content(b"\x7fELF\2\1\1" + bytes(900)), reasons=OTHER),
    Recording("database", edit=content(b"SQLite format 3\0" + bytes(900)), reasons=OTHER),
    Recording("web page", edit=content(b"<!doctype html>\n<html><title>Sign in</title></html>"), reasons=OTHER),
    Recording("web page after a byte order mark", edit=content(b"\xef\xbb\xbf<html></html>"), reasons=OTHER),
    Recording(
        "XML error", edit=content(b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>'), reasons=OTHER
    ),
    Recording("JSON error", edit=content(b'{"error": "expired"}'), reasons=OTHER),
    Recording("plain text", edit=content(b"File not found.\n"), reasons=OTHER),
    Recording(
        "pointer of large-file storage",
        edit=content(b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"),
        reasons=OTHER,
    ),
    Recording("playlist", edit=content(b"#EXTM3U\n#EXTINF:10,\nhttps://videos.test/1.ts\n"), reasons=OTHER),
    Recording("subtitles file", edit=content(b"1\n00:00:00,000 --> 00:00:02,000\nHello\n"), reasons=OTHER),
    Recording(
        "other RIFF file", edit=content(b"RIFF" + struct.pack("<I", 900) + b"RMID" + bytes(900)), reasons=WRONG
    ),
)

RECORDINGS = MADE_BY_FFMPEG + MADE_OF_BYTES
