from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.kinds.file_kinds import KIND_BYTES, identify
from media.mp4.boxes import find_layout
from models.errors import MediaRejected

PICTURE = "use the video"
EXPORT = "export it as MP4"
UNPACK = "unpack it first"
PAGE = "direct download URL"


def box(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body


def ftyp(*brands: bytes) -> bytes:
    return box(b"ftyp", brands[0] + bytes(4) + b"".join(brands))


def zip_of(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("v.mp4"))
    return buffer.getvalue()


def packets(size: int, lead: int = 0) -> bytes:
    return (bytes(lead) + b"\x47\x1f\xff".ljust(size - lead, b"\xff")) * 20


def matroska(doc_type: bytes) -> bytes:
    fields = b"\x42\x86\x81\x01\x42\x82" + bytes([0x80 + len(doc_type)]) + doc_type
    return b"\x1aE\xdf\xa3" + bytes([0x80 + len(fields)]) + fields + bytes(100)


BINARY = [
    # Pictures
    (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(50), "not-a-video", "JPEG", PICTURE),
    (b"\x89PNG\r\n\x1a\n" + bytes(50), "not-a-video", "PNG", PICTURE),
    (b"GIF89a" + bytes(50), "not-a-video", "GIF", PICTURE),
    (b"RIFF\x24\0\0\0WEBPVP8 " + bytes(50), "not-a-video", "WebP", PICTURE),
    (b"II*\0\x08\0\0\0" + bytes(50), "not-a-video", "TIFF", PICTURE),
    (b"MM\0*\0\0\0\x08" + bytes(50), "not-a-video", "TIFF", PICTURE),
    (b"BM\x46\0\0\0\0\0\0\0\x36" + bytes(50), "not-a-video", "BMP", PICTURE),
    (b"8BPS\0\1" + bytes(50), "not-a-video", "Photoshop", PICTURE),
    (b"\0\0\1\0\1\0\x10\x10" + bytes(50), "not-a-video", "icon", PICTURE),
    (b"\0\0\0\x0cjP  \r\n\x87\n" + ftyp(b"jp2 "), "not-a-video", "JPEG 2000", PICTURE),
    (b"\0\0\0\x0cJXL \r\n\x87\n" + ftyp(b"jxl "), "not-a-video", "JPEG XL", PICTURE),
    (ftyp(b"heic", b"mif1", b"heic") + box(b"meta", bytes(40)) + box(b"mdat"), "not-a-video", "HEIC", PICTURE),
    (ftyp(b"mif1", b"mif1", b"heic") + box(b"meta", bytes(40)), "not-a-video", "HEIF", PICTURE),
    (ftyp(b"avif", b"avif", b"mif1") + box(b"meta", bytes(40)), "not-a-video", "AVIF", PICTURE),
    (ftyp(b"avis", b"avif", b"iso8") + box(b"moov", bytes(40)), "not-a-video", "AVIF", PICTURE),
    (ftyp(b"abcd", b"isom", b"heic") + box(b"meta", bytes(40)), "not-a-video", "HEIC", PICTURE),
    (ftyp(b"crx ", b"isom") + box(b"moov", bytes(40)), "not-a-video", "camera raw", PICTURE),
    # Documents, archives, other data
    (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3" + bytes(50), "not-a-video", "PDF", "use the video"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(50), "not-a-video", "Office", "use the video"),
    (zip_of("[Content_Types].xml", "word/document.xml"), "not-a-video", "Office", "use the video"),
    (zip_of("v.mp4"), "not-a-video", "a ZIP archive", UNPACK),
    (zip_of(), "not-a-video", "a ZIP archive", UNPACK),
    (gzip.compress(b"x", mtime=0), "not-a-video", "a gzip archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c\0\4" + bytes(50), "not-a-video", "a 7z archive", UNPACK),
    (b"Rar!\x1a\7\1\0" + bytes(50), "not-a-video", "a RAR archive", UNPACK),
    (b"\xfd7zXZ\0\0\4" + bytes(50), "not-a-video", "an xz archive", UNPACK),
    (b"BZh91AY&SY" + bytes(50), "not-a-video", "a bzip2 archive", UNPACK),
    (b"\x28\xb5\x2f\xfd" + bytes(50), "not-a-video", "a zstd archive", UNPACK),
    (tar(), "not-a-video", "a tar archive", UNPACK),
    (bytes(32768) + b"\1CD001\1", "not-a-video", "disc image", "copy the video out"),
    (b"d8:announce35:udp://tracker.example\xff", "not-a-video", "a torrent", "upload the video"),
    (
        b"--X\r\nContent-Disposition: form-data\r\n\r\n" + ftyp(b"isom"),
        "not-a-video",
        "undecoded",
        "again",
    ),
    # Audio
    (b"ID3\4\0\0\0\0\0\x0a" + bytes(50), "wrong-container", "MP3", EXPORT),
    (b"\xff\xfb\x90\x64" + bytes(50), "wrong-container", "MP3", EXPORT),
    (b"\xff\xf3\x44\xc4" + bytes(50), "wrong-container", "MP3", EXPORT),
    (b"\xff\xf1\x50\x80" + bytes(50), "wrong-container", "AAC", EXPORT),
    (b"RIFF\x24\0\0\0WAVEfmt " + bytes(50), "wrong-container", "WAV", EXPORT),
    (b"RF64\xff\xff\xff\xffWAVEds64" + bytes(50), "wrong-container", "WAV", EXPORT),
    (b"fLaC\0\0\0\x22" + bytes(50), "wrong-container", "FLAC", EXPORT),
    (b"#!AMR\n\x3c" + bytes(50), "wrong-container", "AMR", EXPORT),
    (b"FORM\0\0\1\0AIFFCOMM" + bytes(50), "wrong-container", "AIFF", EXPORT),
    (b"caff\0\1\0\0desc" + bytes(50), "wrong-container", "CAF", EXPORT),
    (b"OggS\0\2" + bytes(22) + b"\1\x13OpusHead" + bytes(50), "wrong-container", "Opus", EXPORT),
    # Other videos
    (b"RIFF\x24\0\0\0AVI LIST" + bytes(50), "wrong-container", "AVI", EXPORT),
    (b"RIFF\x24\0\0\0CDXAfmt " + bytes(50), "wrong-container", "RIFF", EXPORT),
    (matroska(b"matroska"), "wrong-container", "is Matroska,", EXPORT),
    (matroska(b"webm"), "wrong-container", "is WebM,", EXPORT),
    (b"\x06\x0e\x2b\x34\2\5\1\1\x0d\1\2\1\1\2" + bytes(50), "wrong-container", "MXF", EXPORT),
    (bytes(500) + b"\x06\x0e\x2b\x34\2\5\1\1\x0d\1\2\1\1\2" + bytes(50), "wrong-container", "MXF", EXPORT),
    (packets(188), "wrong-container", "MPEG transport stream", EXPORT),
    (packets(188)[100:], "wrong-container", "MPEG transport stream", EXPORT),
    (packets(192, lead=4), "wrong-container", "MPEG transport stream", EXPORT),
    (packets(204), "wrong-container", "MPEG transport stream", EXPORT),
    (b"\0\0\1\xba\x44\0\4\0" + bytes(50), "wrong-container", "MPEG program stream", EXPORT),
    (b"\0\0\1\xb3\x50\0" + bytes(50), "wrong-container", "raw MPEG video", EXPORT),
    (b"FLV\1\5\0\0\0\x09" + bytes(50), "wrong-container", "Flash", EXPORT),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(50), "wrong-container", "Windows Media", EXPORT),
    (b"OggS\0\2" + bytes(22) + b"\1\x2a\x80theora" + bytes(50), "wrong-container", "Theora", EXPORT),
    (b"\0\0\0\1\x67\x42\xc0\x1e" + bytes(50), "wrong-container", "raw H.264", EXPORT),
    (b"\0\0\1\x09\xf0\0\0\1\x67" + bytes(50), "wrong-container", "raw H.264", EXPORT),
    (b"\0\0\0\1\x40\1\x0c\1" + bytes(50), "wrong-container", "raw H.265", EXPORT),
    (b"DKIF\0\0\x20\0VP90" + bytes(50), "wrong-container", "IVF", EXPORT),
    (bytes(range(200, 256)), "wrong-container", "another format", EXPORT),
    # Encrypted
    (b"Salted__" + bytes(range(100, 200)), "encrypted", "OpenSSL", "decrypt it"),
    (b"age-encryption.org/v1\n-> X25519 x\n\x80\0\xff", "encrypted", "age", "decrypt it"),
    (b"\x85\1\x0c\3" + bytes(range(100, 200)), "encrypted", "PGP", "decrypt it"),
    (b"\x8c\x0d\4\x09\3\2" + bytes(range(100, 200)), "encrypted", "PGP", "decrypt it"),
    (b"\xc3\x0d\4\x09\3\2" + bytes(range(100, 200)), "encrypted", "PGP", "decrypt it"),
    (ftyp(b"odcf", b"odcf") + box(b"odrm", bytes(40)), "encrypted", "OMA", "decrypt it"),
    # Never filled, or a part
    (bytes(100_000), "truncated", "zeros", "upload it again"),
    (bytes(5), "truncated", "zeros", "upload it again"),
    (b"", "empty-file", "empty", "upload"),
    (box(b"styp", b"msdh" + bytes(4)) + box(b"moof", bytes(8)) + box(b"mdat"), "missing-moov", "segment", "ffmpeg"),
    (box(b"moof", bytes(8)) + box(b"mdat"), "missing-moov", "segment", "ffmpeg"),
    (ftyp(b"isom") + box(b"mdat", bytes(40)), "missing-moov", "no index", "not finished"),
]
HTML = "<!DOCTYPE html><html><title>Désolé</title></html>"
TEXT = [
    (HTML.encode(), "web page", PAGE),
    (b"\xef\xbb\xbf\r\n" + HTML.encode(), "web page", PAGE),
    (HTML.encode("utf-16"), "web page", PAGE),
    (HTML.encode("utf-16-be"), "web page", PAGE),
    (HTML.encode("utf-16-le"), "web page", PAGE),
    (HTML.encode("latin-1"), "web page", PAGE),
    ("<title>動画が見つかりません".encode("shift_jis"), "web page", PAGE),
    (b"<!-- cached -->\n" + HTML.encode(), "web page", PAGE),
    (b"<!-- " + b"-" * 5000, "web page", PAGE),
    (b"<?xml version='1.0'?>\n<Error><Code>NoSuchKey</Code></Error>", "object store", PAGE),
    (b"<?xml version='1.0'?><!-- a --><MPD xmlns='urn:mpeg:dash'/>", "playlist", "ffmpeg"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "picture", PICTURE),
    (b'\xef\xbb\xbf {"error": "expired"}', "JSON", PAGE),
    (b'[{"a": 1}]', "JSON", PAGE),
    (b"{\\rtf1\\ansi", "RTF", PICTURE),
    (b"Not found", "a text", PAGE),
    (b"Not found: MAC address, ID3, BM, GIF8, RIFF", "a text", PAGE),
    (b"\n", "a text", PAGE),
    ("Datei nicht gefunden: für später".encode("latin-1"), "a text", PAGE),
    (b"The free version of the file moov", "a text", PAGE),
    ("é".encode() * 2000, "a text", PAGE),
    (b"#EXTM3U\n#EXT-X-VERSION:3\n", "playlist", "ffmpeg"),
    (b"\xef\xbb\xbf#EXTM3U\n", "playlist", "ffmpeg"),
    (b"WEBVTT\n\n00:00.000 --> 00:01.000\nHi", "subtitles", PICTURE),
    (b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHi", "subtitles", PICTURE),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n", "Git LFS", "git lfs pull"),
    (b"/annex/objects/SHA256E-s5--0.mp4\n", "git-annex", "git annex get"),
    (b"../.git/annex/objects/ab/cd/SHA256E-s5--0.mp4", "git-annex", "git annex get"),
    (b"[InternetShortcut]\r\nURL=https://videos.test/v.mp4", "link", PICTURE),
    (b"AAAAIGZ0eXBpc29tAAACAGlzb21pc28y", "base64", "decode it"),
]


def rejection(data: bytes) -> MediaRejected:
    with pytest.raises(MediaRejected) as rejected:
        find_layout(io.BytesIO(data), len(data))
    return rejected.value


@pytest.mark.parametrize(("data", "code", "name", "hint"), BINARY)
def test_binary_file_is_named(data: bytes, code: str, name: str, hint: str) -> None:
    error = rejection(data)
    assert error.rule_code == code
    assert name in error.message
    assert hint in error.hint


@pytest.mark.parametrize(("data", "name", "hint"), TEXT)
def test_text_is_named(data: bytes, name: str, hint: str) -> None:
    error = rejection(data)
    assert error.rule_code == "not-a-video"
    assert name in error.message
    assert hint in error.hint


ENCRYPTED = [b"-----BEGIN PGP MESSAGE-----\n", b"U2FsdGVkX18=", b"-----BEGIN AGE ENCRYPTED FILE-----"]


@pytest.mark.parametrize("data", ENCRYPTED)
def test_encrypted_text_is_named(data: bytes) -> None:
    assert rejection(data).rule_code == "encrypted"


def test_text_of_the_host_is_not_repeated() -> None:
    error = rejection(b"Not found: https://videos.test/v.mp4?sig=CANARY")
    assert "CANARY" not in error.message + error.hint


FIRST_BOXES = [
    *(box(kind, bytes(12)) for kind in (b"wide", b"skip", b"free", b"pnot", b"uuid", b"styp", b"sidx", b"emsg")),
    *(box(kind, bytes(12)) for kind in (b"prfl", b"moof", b"junk", b"meta", b"abcd")),
    box(b"free", b"\xff\xfb\x90\x64" * 20),
    box(b"skip", b"<html>" * 500),
    struct.pack(">I4sQ", 1, b"mdat", 16 + 40) + b"\0\0\1\xba" * 10,
    box(b"mdat", packets(188)),
    box(b"mdat", b"PK\3\4" * 9000),
    box(b"abcd") + box(b"efgh"),
]


@pytest.mark.parametrize("first", FIRST_BOXES)
@pytest.mark.parametrize("brand", [b"", ftyp(b"isom", b"mif1", b"avif"), ftyp(b"qt  "), ftyp(b"M4V ")])
def test_valid_file_is_not_named(first: bytes, brand: bytes) -> None:
    data = first + brand + box(b"moov", bytes(40))
    assert find_layout(io.BytesIO(data), len(data)).moov.kind == b"moov"


@settings(deadline=None)
@given(st.binary(max_size=600) | st.text(max_size=600).map(str.encode))
def test_any_file_is_named_without_an_error(head: bytes) -> None:
    kind = identify(head)
    assert kind is None or (kind.name and kind.hint)


def test_kind_is_found_in_the_first_request() -> None:
    assert KIND_BYTES <= 64 * 1024
