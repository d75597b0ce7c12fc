"""Images for the tests, made with Pillow or byte by byte."""

from __future__ import annotations

import functools
import io
import struct
import zlib

from PIL import Image

ORIENTATION = 0x0112
SIZE = (1280, 720)


@functools.cache
def picture(mode: str = "RGB", width: int = SIZE[0], height: int = SIZE[1]) -> Image.Image:
    """Return a picture of random squares, in any mode of Pillow."""
    noise = Image.effect_noise((32, 18), 60).resize((width, height), Image.Resampling.NEAREST)
    if mode == "CMYK":
        return Image.merge("CMYK", [noise, noise, noise, noise])
    return noise.convert("RGB").convert(mode) if mode in {"P", "RGBA", "LA"} else noise.convert(mode)


def encode(
    image_format: str, width: int = SIZE[0], height: int = SIZE[1], *, mode: str = "RGB", **options: object
) -> bytes:
    """Encode a picture; `options` are those of Pillow's encoder."""
    return save(picture(mode, width, height), image_format, **options)


def save(image: Image.Image, image_format: str, **options: object) -> bytes:
    """Encode an image in memory."""
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def rotated(image_format: str, orientation: int, width: int = SIZE[0], height: int = SIZE[1]) -> bytes:
    """Encode a picture with an EXIF orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encode(image_format, width, height, exif=exif)


def animation(image_format: str, frames: int = 2, **options: object) -> bytes:
    """Encode an animation of different pictures."""
    pictures = [picture().rotate(90 * number) for number in range(frames)]
    return save(pictures[0], image_format, save_all=True, append_images=pictures[1:], **options)


def transparent(image_format: str) -> bytes:
    """Encode a picture with a transparent corner."""
    image = picture("RGBA").copy()
    image.putpixel((0, 0), (0, 0, 0, 0))
    return save(image, image_format, **({"lossless": True, "method": 0} if image_format == "WEBP" else {}))


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int = SIZE[0],
    height: int = SIZE[1],
    *,
    bits: int = 8,
    color_type: int = 2,
    pixels: bytes | None = None,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """Return a PNG file of zeros, with chunks before and after its picture data."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color_type]
    if pixels is None:
        pixels = bytes((1 + -(-width * channels * bits // 8)) * height)
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(pixels))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + data + after + chunk(b"IEND")


@functools.cache
def compressed_bomb() -> bytes:
    """Return 50 KB that expand to 50 MB."""
    return zlib.compress(bytes(50_000_000), 9)


def with_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    """Insert a segment at the start of a JPEG file."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + jpeg[2:]


def with_frame_marker(jpeg: bytes, marker: int, bits: int = 8) -> bytes:
    """Return a JPEG file with another kind of frame header."""
    at = jpeg.index(b"\xff\xc0\x00\x11")
    return jpeg[:at] + bytes([0xFF, marker]) + jpeg[at + 2 : at + 4] + bytes([bits]) + jpeg[at + 5 :]


def with_scans(count: int) -> bytes:
    """Return a progressive JPEG file whose last scan is repeated."""
    data = save(Image.new("RGB", SIZE), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    return data[:start] + data[start:-2] * count + data[-2:]


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a WebP file of chunks."""
    body = b"".join(struct.pack("<4sI", kind, len(data)) + data + bytes(len(data) % 2) for kind, data in chunks)
    return struct.pack("<4sI4s", b"RIFF", len(body) + 4, b"WEBP") + body


def vp8x(flags: int, width: int, height: int) -> tuple[bytes, bytes]:
    """Return the first chunk of an extended WebP file."""
    return b"VP8X", bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def padded_png(size: int) -> bytes:
    """Return a PNG file of exactly this size in bytes, by a chunk that every program ignores."""
    data = png()
    return png(after=chunk(b"prVt", bytes(size - len(data) - 12)))
