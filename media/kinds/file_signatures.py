"""The first bytes of pictures, audio, other videos, documents, archives and encrypted files."""

from __future__ import annotations

from typing import NamedTuple

from models.media.codes import MediaCode

EXPORT_HINT = "export it as MP4 (H.264)"


class FileKind(NamedTuple):
    """What a file is that is not an MP4 or MOV video.

    Attributes:
        code: The code of its rejection as a video.
        name: A name that continues "the file is".
        hint: The remedy if a video is expected.
        is_picture: Whether it is a still picture.
    """

    code: MediaCode
    name: str
    hint: str
    is_picture: bool = False


def picture(name: str) -> FileKind:
    """Return the kind of a still picture."""
    hint = "use the video, not a picture"
    return FileKind(MediaCode.NOT_A_VIDEO, f"a picture ({name})", hint, is_picture=True)


def document(name: str) -> FileKind:
    """Return the kind of a document or of other data without a video."""
    return FileKind(MediaCode.NOT_A_VIDEO, name, "use the video file")


def encrypted(name: str) -> FileKind:
    """Return the kind of an encrypted file."""
    return FileKind(MediaCode.ENCRYPTED, f"encrypted ({name})", "decrypt it, and upload the video itself")


def archive(name: str) -> FileKind:
    """Return the kind of an archive or of a compressed file."""
    return FileKind(MediaCode.NOT_A_VIDEO, f"{name} archive", "unpack it first, and upload the video in it")


def audio(name: str) -> FileKind:
    """Return the kind of a file with sound only."""
    hint = f"record a video with picture and sound, and {EXPORT_HINT}"
    return FileKind(MediaCode.WRONG_CONTAINER, f"audio only ({name})", hint)


def video(name: str) -> FileKind:
    """Return the kind of a video in another container, or in none."""
    return FileKind(MediaCode.WRONG_CONTAINER, name, EXPORT_HINT)


OFFICE = document("a document of Microsoft Office or OpenDocument")
_DISC = FileKind(MediaCode.NOT_A_VIDEO, "a disc image", "copy the video out of it, and upload that")

# Offset, bytes, kind. A signature of printable bytes is long enough not to begin a text.
SIGNATURES: tuple[tuple[int, bytes, FileKind], ...] = (
    (0, b"\xff\xd8\xff", picture("JPEG")),
    (0, b"\x89PNG", picture("PNG")),
    (0, b"\x8aMNG", picture("MNG")),
    (0, b"GIF87a", picture("GIF")),
    (0, b"GIF89a", picture("GIF")),
    (0, b"8BPS\0", picture("Photoshop")),
    (0, b"gimp xcf", picture("GIMP")),
    (0, b"II*\0", picture("TIFF or camera raw")),
    (0, b"MM\0*", picture("TIFF or camera raw")),
    (0, b"II+\0", picture("TIFF")),
    (0, b"MM\0+", picture("TIFF")),
    (0, b"IIRO", picture("camera raw")),
    (0, b"IIRS", picture("camera raw")),
    (0, b"MMOR", picture("camera raw")),
    (0, b"IIU\0", picture("camera raw")),
    (0, b"FUJIFILMCCD-RAW", picture("camera raw")),
    (0, b"FOVb", picture("camera raw")),
    (0, b"\0\0\0\x0cjP  ", picture("JPEG 2000")),
    (0, b"\xff\x4f\xff\x51", picture("JPEG 2000")),
    (0, b"\0\0\0\x0cJXL ", picture("JPEG XL")),
    (0, b"\xff\x0a", picture("JPEG XL")),
    (0, b"\x76\x2f\x31\x01", picture("OpenEXR")),
    (0, b"SDPX", picture("DPX")),
    (0, b"XPDS", picture("DPX")),
    (0, b"DDS \x7c", picture("DDS")),
    (0, b"fLaC", audio("FLAC")),
    (0, b"ID3\2", audio("MP3")),
    (0, b"ID3\3", audio("MP3")),
    (0, b"ID3\4", audio("MP3")),
    (0, b"#!AMR", audio("AMR")),
    (0, b"caff\0", audio("CAF")),
    (0, b".snd\0", audio("AU")),
    (0, b"MThd\0", audio("MIDI")),
    (0, b"wvpk", audio("WavPack")),
    (0, b"DSD \x1c", audio("DSD")),
    (0, b"FRM8", audio("DSD")),
    (0, b"riff\x2e\x91\xcf\x11", audio("Wave64")),
    (0, b"\x0bw", audio("AC-3")),
    (0, b"FLV\x01", video("Flash video")),
    (0, b"\x30\x26\xb2\x75", video("Windows Media (WMV or WMA)")),
    (0, b".RMF\0", video("RealMedia")),
    (0, b"\xb7\xd8\x00\x20", video("Windows Recorded TV")),
    (0, b"nut/multimedia", video("NUT")),
    (0, b"DKIF\0", video("IVF")),
    (0, b"YUV4MPEG2", video("raw video (Y4M)")),
    (0, b"\0\0\0\0\x01\xbc", video("GXF")),
    (0, b"\x1f\x07\0", video("DV")),
    (0, b"\x12\0\x0a", video("a raw AV1 stream without a container")),
    (4, b"RED1", video("RED camera raw video")),
    (4, b"RED2", video("RED camera raw video")),
    (0, b"%PDF", document("a PDF document")),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OFFICE),
    (0, b"SQLite format 3\0", document("a SQLite database")),
    (0, b"bplist0", document("a property list, such as a link of macOS")),
    (0, b"L\0\0\0\x01\x14\x02\0", document("a shortcut of Windows")),
    (0, b"\x7fELF", document("a program")),
    (0, b"\x1f\x8b", archive("a gzip")),
    (0, b"\x1f\x9d", archive("a compress")),
    (0, b"7z\xbc\xaf\x27\x1c", archive("a 7z")),
    (0, b"Rar!\x1a\7", archive("a RAR")),
    (0, b"\xfd7zXZ\0", archive("an xz")),
    (4, b"1AY&SY", archive("a bzip2")),
    (0, b"\x28\xb5\x2f\xfd", archive("a zstd")),
    (0, b"\x04\x22\x4d\x18", archive("an lz4")),
    (0, b"LZIP\1", archive("an lzip")),
    (0, b"xar!", archive("a xar")),
    (0, b"MSCF\0", archive("a cabinet (CAB)")),
    (257, b"ustar", archive("a tar")),
    (32769, b"CD001", _DISC),
    (32769, b"BEA01", _DISC),
    (0, b"Salted__", encrypted("OpenSSL")),
    (0, b"age-encryption.org/", encrypted("age")),
    (0, b"AES\x02", encrypted("AES Crypt")),
    (0, b"LUKS\xba\xbe", encrypted("LUKS")),
)
