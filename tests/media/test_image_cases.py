"""Images of every kind, from a real HTTPS host, with the codes that they must give."""

from __future__ import annotations

import hashlib
import io
import re
import ssl
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from media.checker import MediaChecker
from models.media.image_facts import ImageFacts
from models.media.report import MediaReport
from models.media.rules import MAX_IMAGE_BYTES, MediaRole
from simulator.media_host import MediaHost
from tests.media.image_files import (
    animation,
    chunk,
    compressed_bomb,
    encode,
    padded_png,
    picture,
    png,
    riff,
    rotated,
    save,
    transparent,
    vp8x,
    with_frame_marker,
    with_scans,
    with_segment,
)

QUERY = "?X-Amz-Signature=CANARY"
Make = Callable[[], bytes]


class Case(NamedTuple):
    """An image and the codes (without the role) of its reasons and warnings."""

    name: str
    make: Make
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def sized(image_format: str, width: int, height: int) -> Make:
    return lambda: encode(image_format, width, height)


def mode(image_format: str, name: str) -> Make:
    return lambda: encode(image_format, mode=name)


def ftyp(brand: bytes) -> bytes:
    return struct.pack(">I4s4sI4s", 20, b"ftyp", brand, 0, brand) + bytes(3000)


def interlaced() -> bytes:
    """Return a PNG file in seven passes (Adam7), of zeros."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    sizes = [(-(-(1280 - x) // dx), -(-(720 - y) // dy)) for x, y, dx, dy in passes]
    data = png(pixels=bytes(sum((1 + 3 * width) * height for width, height in sizes)))
    header = struct.pack(">IIBBBBB", 1280, 720, 8, 2, 0, 0, 1)
    return data.replace(data[8:33], chunk(b"IHDR", header))


def with_segments(count: int) -> bytes:
    data = encode("JPEG")
    return data[:2] + b"\xff\xe5\0\2" * count + data[2:]


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("portrait.png", encode("PNG"))
    return file.getvalue()


def with_ctypes_of_animation(frames: int) -> bytes:
    """Return a PNG that declares an animation of so many frames, the first of which is its picture."""
    control = [
        chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 1280, 720, 0, 0, 1, 10, 0, 0)) for number in range(frames)
    ]
    return png(before=chunk(b"acTL", struct.pack(">II", frames, 0)) + control[0], after=b"".join(control[1:]))


def bad_checksum(kind: bytes) -> bytes:
    data = png(before=chunk(b"tEXt", b"Title\0Ada"))
    end = data.index(kind) + 4 + int.from_bytes(data[data.index(kind) - 4 : data.index(kind)])
    return data[:end] + bytes([data[end] ^ 1]) + data[end + 1 :]


def halved(data: bytes) -> bytes:
    return data[: len(data) // 2]


def still_in_animation() -> bytes:
    """Return a WebP animation with one frame."""
    frame = encode("WEBP")[12:]
    header = bytes(6) + (1279).to_bytes(3, "little") + (719).to_bytes(3, "little") + bytes(4)
    return riff(vp8x(0x02, 1280, 720), (b"ANIM", bytes(6)), (b"ANMF", header + frame))


ACCEPTED = [
    *(Case(f"{name} 1280x720", sized(name, 1280, 720)) for name in ("PNG", "JPEG", "WEBP")),
    *(Case(f"{name} 720x1280", sized(name, 720, 1280)) for name in ("PNG", "JPEG", "WEBP")),
    Case("JPEG 1920x1080", sized("JPEG", 1920, 1080)),
    Case("JPEG 3840x2160", sized("JPEG", 3840, 2160)),
    Case("JPEG 2160x3840", sized("JPEG", 2160, 3840)),
    Case("odd size that is exactly 16:9", sized("JPEG", 1360, 765)),
    Case("progressive JPEG", lambda: encode("JPEG", progressive=True)),
    Case("JPEG with 4:4:4", lambda: encode("JPEG", subsampling=0)),
    Case("interlaced PNG", interlaced),
    Case("grayscale JPEG", mode("JPEG", "L")),
    Case("grayscale PNG", mode("PNG", "L")),
    Case("PNG of one bit", mode("PNG", "1")),
    Case("palette PNG", mode("PNG", "P")),
    Case("PNG with an opaque alpha channel", mode("PNG", "RGBA")),
    Case("lossless WebP", lambda: encode("WEBP", lossless=True, method=0)),
    Case("JPEG with an ICC profile", lambda: encode("JPEG", icc_profile=bytes(200_000))),
    Case("PNG with an ICC profile", lambda: encode("PNG", icc_profile=bytes(200_000))),
    Case("PNG with a damaged ICC profile", lambda: png(before=chunk(b"iCCP", b"a\0\0damaged"))),
    *(Case(f"JPEG with orientation {number}", partial(rotated, "JPEG", number)) for number in range(1, 9)),
    Case("JPEG with an invalid orientation", lambda: rotated("JPEG", 9)),
    Case("JPEG with damaged EXIF", lambda: with_segment(encode("JPEG"), 0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")),
    Case("PNG with damaged EXIF", lambda: png(before=chunk(b"eXIf", b"MM\0*\0"))),
    Case("JPEG with data behind its end", lambda: encode("JPEG") + bytes(1000) + b"ftypmp42"),
    Case("PNG with data behind its end", lambda: encode("PNG") + b"<html>"),
    Case("WebP with data behind its end", lambda: encode("WEBP") + b"trailer"),
    Case("APNG with one frame", lambda: with_ctypes_of_animation(1)),
    Case("PNG of exactly 10 MB", lambda: padded_png(MAX_IMAGE_BYTES)),
    Case("PNG over 10,000,000 bytes", lambda: padded_png(10_000_001)),
]
WARNED = [
    Case("CMYK JPEG", mode("JPEG", "CMYK"), warnings=("uncommon-encoding",)),
    Case("PNG of 16 bits", lambda: png(bits=16), warnings=("uncommon-encoding",)),
    Case("grayscale PNG of 16 bits", mode("PNG", "I;16"), warnings=("uncommon-encoding",)),
    Case("transparent PNG", lambda: transparent("PNG"), warnings=("transparent",)),
    Case("transparent WebP", lambda: transparent("WEBP"), warnings=("transparent",)),
    Case(
        "palette with a transparent color",
        lambda: encode("PNG", mode="P", transparency=bytes(256)),
        warnings=("transparent",),
    ),
    Case(
        "PNG of 16 bits with alpha",
        lambda: png(bits=16, color_type=6),
        warnings=("uncommon-encoding", "transparent"),
    ),
    Case("multi-picture JPEG", lambda: animation("MPO"), warnings=("several-pictures",)),
    Case("WebP with orientation 6", lambda: rotated("WEBP", 6), warnings=("rotated-by-exif",)),
    Case("PNG with orientation 8", lambda: rotated("PNG", 8), warnings=("rotated-by-exif",)),
    Case("WebP with orientation 1", lambda: rotated("WEBP", 1)),
]
REJECTED = [
    Case("one row too many", sized("JPEG", 1920, 1081), ("wrong-aspect-ratio",)),
    Case("one row too few", sized("PNG", 1920, 1079), ("wrong-aspect-ratio",)),
    Case("one column too many", sized("WEBP", 1281, 720), ("wrong-aspect-ratio",)),
    Case("portrait with one column too few", sized("JPEG", 1079, 1920), ("wrong-aspect-ratio",)),
    Case("1366x768", sized("JPEG", 1366, 768), ("wrong-aspect-ratio",)),
    Case("square", sized("JPEG", 2000, 2000), ("wrong-aspect-ratio",)),
    Case("small square", sized("PNG", 1000, 1000), ("resolution-too-low", "wrong-aspect-ratio")),
    Case("16:9 below the minimum", sized("PNG", 1264, 711), ("resolution-too-low",)),
    Case("one pixel", sized("PNG", 8, 8), ("resolution-too-low", "wrong-aspect-ratio")),
    Case("16:9 above the maximum", sized("JPEG", 3856, 2169), ("resolution-too-high",)),
    Case("long and narrow", sized("PNG", 4000, 1000), ("resolution-too-high", "wrong-aspect-ratio")),
    Case(
        "PNG of 50,000x50,000 in 10 KB",
        lambda: png(50_000, 50_000, pixels=bytes(10_000_000)),
        ("resolution-too-high", "wrong-aspect-ratio"),
    ),
    Case(
        "WebP with a canvas of 16 million squared",
        lambda: riff(vp8x(0, 2**24, 2**24), (b"VP8 ", bytes(20))),
        ("resolution-too-high", "wrong-aspect-ratio"),
    ),
    Case("10 MB and one byte", lambda: padded_png(MAX_IMAGE_BYTES + 1), ("file-too-large",)),
    Case(
        "too large, too high and not 16:9",
        lambda: padded_png(20 * 1024 * 1024).replace(png()[8:33], png(4000, 1000, pixels=b"")[8:33]),
        ("file-too-large", "resolution-too-high", "wrong-aspect-ratio"),
    ),
    Case("animated WebP", lambda: animation("WEBP"), ("animated",)),
    Case("WebP animation of one frame", still_in_animation, ("animated",)),
    Case("animated PNG", lambda: animation("PNG"), ("animated",)),
    Case("animated PNG with another first picture", lambda: animation("PNG", default_image=True), ("animated",)),
    Case(
        "animated and too small",
        lambda: with_ctypes_of_animation(3).replace(png()[8:33], png(640, 480, pixels=b"")[8:33]),
        ("animated", "resolution-too-low", "wrong-aspect-ratio"),
    ),
    Case("JPEG cut in the middle", lambda: halved(encode("JPEG")), ("truncated",)),
    Case("JPEG without its last bytes", lambda: encode("JPEG")[:-2], ("truncated",)),
    Case("JPEG with zeros at its end", lambda: halved(encode("JPEG")) + bytes(9000), ("truncated",)),
    Case(
        "cut JPEG that is not 16:9", lambda: halved(encode("JPEG", 1280, 721)), ("truncated", "wrong-aspect-ratio")
    ),
    Case("JPEG cut in its header", lambda: encode("JPEG")[:20], ("truncated",)),
    Case("PNG cut in the middle", lambda: halved(encode("PNG")), ("truncated",)),
    Case("PNG without its last chunk", lambda: encode("PNG")[:-12], ("truncated",)),
    Case("PNG with few pixels", lambda: png(pixels=bytes(5000)), ("truncated",)),
    Case("WebP cut in the middle", lambda: halved(encode("WEBP")), ("truncated",)),
    Case("WebP cut in its header", lambda: encode("WEBP")[:18], ("truncated",)),
    Case("PNG with a bad checksum of its picture", lambda: bad_checksum(b"IDAT"), ("unreadable",)),
    Case("PNG with a bad checksum of a text", lambda: bad_checksum(b"tEXt"), ("unreadable",)),
    Case("PNG that was uploaded as text", lambda: encode("PNG").replace(b"\r\n", b"\n", 1), ("unreadable",)),
    Case(
        "PNG with an ICC profile that expands",
        lambda: png(before=chunk(b"iCCP", b"a\0\0" + compressed_bomb())),
        ("unreadable",),
    ),
    Case(
        "PNG with a text that expands",
        lambda: png(after=chunk(b"zTXt", b"a\0\0" + compressed_bomb())),
        ("unreadable",),
    ),
    Case(
        "PNG with texts that expand together",
        lambda: png(before=chunk(b"zTXt", b"a\0\0" + zlib_of(1_000_000)) * 68),
        ("unreadable",),
    ),
    Case(
        "JPEG of 12 bits",
        lambda: with_frame_marker(encode("JPEG"), 0xC1, 12),
        ("unreadable",),
        ("uncommon-encoding",),
    ),
    Case("lossless JPEG", lambda: with_frame_marker(encode("JPEG"), 0xC3), ("unreadable",)),
    Case("JPEG with 600 scans", lambda: with_scans(600), ("unreadable",)),
    Case("JPEG without a picture", lambda: b"\xff\xd8\xff\xfe\0\2\xff\xd9", ("unreadable",)),
    Case(
        "JPEG in a frame of CMYK whose channels are two",
        lambda: b"\xff\xd8\xff\xc0\0\x0b\x08\2\xd0\5\0\2" + bytes(9),
        ("unreadable",),
    ),
    Case(
        "SVG named .png",
        lambda: b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
        ("wrong-format",),
    ),
    Case("HEIC", lambda: ftyp(b"heic"), ("wrong-format",)),
    Case("HEIF", lambda: ftyp(b"mif1"), ("wrong-format",)),
    Case("AVIF", lambda: encode("AVIF", 64, 64), ("wrong-format",)),
    Case("GIF", lambda: encode("GIF", mode="P"), ("wrong-format",)),
    Case("BMP", lambda: encode("BMP"), ("wrong-format",)),
    Case("TIFF", lambda: encode("TIFF"), ("wrong-format",)),
    Case("icon", lambda: encode("ICO", 64, 64), ("wrong-format",)),
    Case("JPEG 2000", lambda: encode("JPEG2000", 64, 64), ("wrong-format",)),
    Case("JPEG XL", lambda: b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100), ("wrong-format",)),
    Case("Photoshop", lambda: b"8BPS\0\1" + bytes(100), ("wrong-format",)),
    Case("PDF", lambda: save(picture(), "PDF"), ("not-an-image",)),
    Case("MP4", lambda: ftyp(b"isom"), ("not-an-image",)),
    Case("Matroska", lambda: b"\x1aE\xdf\xa3" + bytes(100), ("not-an-image",)),
    Case("web page", lambda: b"<!DOCTYPE html><html><body>Sign in</body></html>", ("not-an-image",)),
    Case("JSON", lambda: b'{"error": "expired"}', ("not-an-image",)),
    Case("ZIP", zipped, ("not-an-image",)),
    Case("base64 of an image", lambda: b"data:image/png;base64,iVBORw0KGgo=", ("not-an-image",)),
    Case("JPEG of many segments", lambda: with_segments(200_000), ("unreadable",)),
    Case("WAV", lambda: struct.pack("<4sI4s", b"RIFF", 100, b"WAVE") + bytes(100), ("not-an-image",)),
    Case("noise", lambda: bytes(range(1, 256)) * 40, ("not-an-image",)),
    Case("zeros", lambda: bytes(40_000), ("truncated",)),
    Case("encrypted", lambda: b"Salted__" + bytes(range(100)), ("encrypted",)),
    Case("empty", lambda: b"", ("empty-file",)),
]
CASES = [*ACCEPTED, *WARNED, *REJECTED]


def zlib_of(size: int) -> bytes:
    return zlib.compress(bytes(size), 9)


@pytest.fixture
def checker(trusting: ssl.SSLContext) -> Iterator[MediaChecker]:
    with MediaChecker(allowed_hosts={"127.0.0.1"}, ssl_context=trusting, sleep=lambda _: None) as running:
        yield running


async def check(
    checker: MediaChecker, media_host: MediaHost, samples: Path, data: bytes, prefix: str = ""
) -> MediaReport:
    (samples / "portrait.png").write_bytes(data)
    return await checker.check(media_host.url(f"{prefix}portrait.png") + QUERY, MediaRole.IMAGE)


def codes(report: MediaReport) -> tuple[tuple[str, ...], tuple[str, ...]]:
    reasons, warnings = (
        tuple(reason.code.removeprefix("image.") for reason in found) for found in (report.reasons, report.warnings)
    )
    return reasons, warnings


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_image_gives_its_codes(
    case: Case, checker: MediaChecker, media_host: MediaHost, samples: Path
) -> None:
    data = case.make()
    report = await check(checker, media_host, samples, data)
    assert codes(report) == (case.reasons, case.warnings)
    assert all(reason.hint and "video" not in reason.hint for reason in report.reasons)
    assert "CANARY" not in report.model_dump_json()
    if isinstance(report.facts, ImageFacts) and len(data) <= MAX_IMAGE_BYTES:
        assert report.facts.sha256 == hashlib.sha256(data).hexdigest()
        assert len(media_host.requests) <= 2


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt", b"iTXt"])
async def test_bomb_is_named(kind: bytes, checker: MediaChecker, media_host: MediaHost, samples: Path) -> None:
    head = b"a\0\1\0\0\0" if kind == b"iTXt" else b"a\0\0"
    report = await check(checker, media_host, samples, png(before=chunk(kind, head + compressed_bomb())))
    assert f"its chunk {kind.decode()} expands to more than 1,048,576 bytes" in report.reasons[0].message


@pytest.mark.parametrize("data", [b"data:image/png;base64,iVBORw0KGgo=", b"<html>", b"%PDF-1.7", ftyp(b"heic")])
async def test_message_names_what_the_file_is(
    data: bytes, checker: MediaChecker, media_host: MediaHost, samples: Path
) -> None:
    names = {b"d": "an image as base64 text", b"<": "a web page", b"%": "a PDF document", b"\0": "a picture (HEIC)"}
    report = await check(checker, media_host, samples, data)
    assert f"the file is {names[data[:1]]}" in report.reasons[0].message
    assert "not a PNG, JPEG or WEBP image" in report.reasons[0].message


def test_table_has_enough_cases() -> None:
    assert len(CASES) == len({case.name for case in CASES}) > 100


@pytest.mark.parametrize(
    "case", [*ACCEPTED[:3], REJECTED[0], REJECTED[20], REJECTED[-1]], ids=lambda case: case.name
)
async def test_host_without_ranges_gives_the_same_codes(
    case: Case, checker: MediaChecker, media_host: MediaHost, samples: Path
) -> None:
    report = await check(checker, media_host, samples, case.make(), "no-ranges/")
    assert codes(report) == (case.reasons, case.warnings)
    assert len(media_host.requests) == 1


async def test_large_image_is_not_downloaded(checker: MediaChecker, media_host: MediaHost, samples: Path) -> None:
    report = await check(checker, media_host, samples, padded_png(30 * 1024 * 1024))
    assert codes(report)[0] == ("file-too-large",)
    assert isinstance(report.facts, ImageFacts)
    assert (report.facts.width, report.facts.height, report.facts.sha256) == (1280, 720, None)
    assert report.bytes_fetched is not None
    assert report.bytes_fetched < 2 * 1024 * 1024
    unranged = await check(checker, media_host, samples, padded_png(11_000_000), "no-ranges/")
    assert codes(unranged)[0] == ("file-too-large",)
    assert "JPEG" in unranged.reasons[0].hint


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
async def test_size_is_that_of_the_turned_picture(
    image_format: str, orientation: int, checker: MediaChecker, media_host: MediaHost, samples: Path
) -> None:
    data = rotated(image_format, orientation, 1280, 722)
    report = await check(checker, media_host, samples, data)
    is_turned = orientation >= 5
    assert isinstance(report.facts, ImageFacts)
    assert report.facts.orientation == orientation
    assert (report.facts.width, report.facts.height) == ((722, 1280) if is_turned else (1280, 722))
    side = "column at the left and 1 at the right" if is_turned else "row at the top and 1 at the bottom"
    assert side in report.reasons[0].hint


async def test_hint_names_a_crop_that_passes(checker: MediaChecker, media_host: MediaHost, samples: Path) -> None:
    for width, height in ((1920, 1104), (1366, 768), (1079, 1920), (2500, 2500)):
        report = await check(checker, media_host, samples, encode("JPEG", width, height))
        match = re.search(r"crop it to (\d+)x(\d+)", report.reasons[0].hint)
        assert match is not None
        cropped = picture("RGB", width, height).crop((0, 0, int(match[1]), int(match[2])))
        assert (await check(checker, media_host, samples, save(cropped, "JPEG"))).reasons == []
    report = await check(checker, media_host, samples, encode("JPEG", 1920, 1104))
    assert report.reasons[0].message == "the image must be exactly 16:9 or 9:16; actual: 1920x1104"
    assert report.reasons[0].hint == "crop it to 1920x1080 (remove 12 rows at the top and 12 at the bottom)"


async def test_report_lists_every_rule_of_an_image(
    checker: MediaChecker, media_host: MediaHost, samples: Path
) -> None:
    report = await check(checker, media_host, samples, encode("PNG"))
    assert {row.code.removeprefix("image."): row.passed for row in report.checks} == dict.fromkeys(
        (
            "wrong-format",
            "file-too-large",
            "unreadable",
            "animated",
            "resolution-too-low",
            "resolution-too-high",
            "wrong-aspect-ratio",
            "uncommon-encoding",
            "transparent",
            "rotated-by-exif",
        ),
        True,
    )


async def test_video_roles_still_refuse_images(checker: MediaChecker, media_host: MediaHost, samples: Path) -> None:
    (samples / "portrait.png").write_bytes(encode("PNG"))
    report = await checker.check(media_host.url("portrait.png"), MediaRole.DATASET)
    assert [reason.code for reason in report.reasons] == ["dataset.not-a-video"]


async def test_pillow_agrees_on_every_accepted_image() -> None:
    """What the check accepts must open in Pillow, too, with the size that Argil states."""
    for case in ACCEPTED:
        # Pillow warns about damaged EXIF.
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(case.make())) as image:
            image.load()
        assert min(image.size) * 16 == max(image.size) * 9
