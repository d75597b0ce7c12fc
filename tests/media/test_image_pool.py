"""Child processes that read images: their memory, their limits and their isolation."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from media.facts import image_facts
from media.images.image_pool import IMAGE_LIMITS, ImagePool
from media.images.inspection import ImageInspection
from media.processes.available_bytes import InspectionFailed
from media.processes.messages import InspectionLimits
from models.media.rules import MIB
from tests.media.image_files import chunk, compressed_bomb, encode, png, riff, vp8x, with_scans
from tests.media.inspected_files import whole
from tests.media.test_inspector_pool import children, loaded_modules

MAX_BOMB_GROWTH_BYTES = 40 * MIB
"""Of a bomb over a small image: its bytes, the pipe and our own copies of them."""
MAX_PICTURE_GROWTH_BYTES = 160 * MIB
"""Of the largest picture that is decoded: 33 MB, three times for WebP, and a copy with transparency."""


@pytest.fixture
def pool() -> Iterator[ImagePool]:
    with ImagePool(size=1) as running:
        yield running


def inspect(pool: ImagePool, data: bytes) -> ImageInspection:
    return pool.inspect(whole(data))


def peak_bytes(pool: ImagePool) -> int:
    (pid,) = children(pool)
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.fixture(scope="module")
def measured() -> Iterator[tuple[ImagePool, int]]:
    """A pool with one child process, and its memory after a small image."""
    with ImagePool(size=1) as pool:
        inspect(pool, encode("PNG"))
        yield pool, peak_bytes(pool)


BOMBS: dict[str, Callable[[], bytes]] = {
    "pixels of a PNG": lambda: png(50_000, 50_000, pixels=bytes(10_000_000)),
    "most pixels of a PNG": lambda: png(2**31 - 1, 2**31 - 1, pixels=b""),
    "pixels of a JPEG": lambda: encode("JPEG").replace(struct.pack(">HH", 720, 1280), b"\xff\xff\xff\xff", 1),
    "canvas of a WebP": lambda: riff(vp8x(0, 2**24, 2**24), (b"VP8 ", bytes(20))),
    "ICC profile": lambda: png(before=chunk(b"iCCP", b"a\0\0" + compressed_bomb())),
    "compressed text": lambda: png(after=chunk(b"zTXt", b"a\0\0" + compressed_bomb())),
    "compressed international text": lambda: png(after=chunk(b"iTXt", b"a\0\1\0\0\0" + compressed_bomb())),
    "many compressed texts": lambda: png(before=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(MIB), 9)) * 5000),
    "picture data": lambda: png(pixels=bytes(100_000_000)),
    "many chunks": lambda: png(before=chunk(b"prVt") * 800_000),
    "segments of a JPEG": lambda: b"\xff\xd8" + b"\xff\xe5\0\2" * 2_500_000,
    "fill bytes of a JPEG": lambda: b"\xff\xd8\xff\xe0\0\2" + (b"\xff" * 1_000_000 + b"\0") * 10,
    "scans of a JPEG": lambda: with_scans(400),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_takes_little_memory(name: str, measured: tuple[ImagePool, int]) -> None:
    """The bombs share a child process: its peak only rises, so that the first one over the limit fails."""
    pool, small = measured
    inspect(pool, BOMBS[name]())
    grown = peak_bytes(pool) - small
    assert grown < MAX_BOMB_GROWTH_BYTES, f"{grown:,} bytes"


def test_largest_pictures_fit_into_the_limit(measured: tuple[ImagePool, int]) -> None:
    pool, small = measured
    for data in (encode("JPEG", 3840, 2160), encode("WEBP", 2160, 3840), encode("PNG", 3840, 2160)):
        assert inspect(pool, data).damage is None
    grown = peak_bytes(pool) - small
    assert grown < MAX_PICTURE_GROWTH_BYTES < IMAGE_LIMITS.memory_bytes, f"{grown:,} bytes"


def test_image_that_takes_too_long_fails_alone(pool: ImagePool) -> None:
    with ImagePool(size=1, limits=InspectionLimits(cpu_seconds=0.02)) as limited:
        with pytest.raises(
            InspectionFailed, match=r"Pillow did not read it within 0.02 s of CPU time, in 2 attempts"
        ):
            inspect(limited, with_scans(490))
        assert children(limited) == []
    assert inspect(pool, encode("PNG")).damage is None


def test_decoder_without_memory_is_damage_and_not_a_crash() -> None:
    with ImagePool(size=1, limits=InspectionLimits(memory_bytes=110 * MIB)) as limited:
        inspection = inspect(limited, encode("WEBP", 3840, 2160))
    assert inspection.damage is not None


def test_child_imports_neither_ffmpeg_nor_a_network_client() -> None:
    loaded = loaded_modules("media.images.image_process")
    assert "PIL.PngImagePlugin" in loaded
    assert not loaded & {"av", "prefect", "httpx", "httpcore", "sqlalchemy", "pydantic", "asyncio"}
    assert not loaded & {"PIL.TiffImagePlugin", "PIL.GifImagePlugin", "PIL.EpsImagePlugin"}


def test_parent_does_not_load_pillow() -> None:
    assert not {name for name in loaded_modules("media.checker") if name.split(".")[0] == "PIL"}


def test_header_of_a_large_image_is_enough_for_its_size(pool: ImagePool) -> None:
    assert image_facts.HEADER_BYTES >= MIB
    data = encode("JPEG")
    inspection = pool.inspect(whole(data).__class__(50 * MIB, ((0, data[:3000]),)))
    assert (inspection.width, inspection.height, inspection.damage) == (1280, 720, None)
