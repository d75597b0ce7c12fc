"""Fuzzes the readers of images and Pillow, in this process and in a child process, with mutated files."""

from __future__ import annotations

import atexit
import functools
import struct
import zlib
from typing import NamedTuple

from hypothesis import strategies as st

from media.images.image_inspector import inspect_image
from media.images.image_pool import ImagePool
from media.images.inspection import InspectImage
from media.probe import probe_image
from models.media.checks import check_rules
from models.media.image_facts import ImageFacts
from models.media.rules import MAX_IMAGE_BYTES, MIB, MediaRole
from tests.fuzz.media import File
from tests.fuzz.mutations import Mutation, mutated, mutations
from tests.fuzz.target import CANARY, FuzzTarget, assert_no_secrets, expect_own_errors
from tests.media.image_files import (
    animation,
    chunk,
    encode,
    picture,
    png,
    rotated,
    save,
    transparent,
    with_segment,
)

URL = f"https://images.example/ada.png?X-Amz-Signature={CANARY}"
MAX_SAMPLES = 20
_SIGNATURE_BYTES = 8
_TOKENS = [
    *(b"IHDR", b"IDAT", b"IEND", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"iCCP", b"zTXt", b"iTXt", b"eXIf"),
    *(b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"EXIF", b"ICCP", b"XMP ", b"RIFF", b"WEBP"),
    *(b"\xff\xd8", b"\xff\xd9", b"\xff\xda", b"\xff\xc0", b"\xff\xc2", b"\xff\xc4", b"\xff\xdb", b"\xff\xdd"),
    *(b"\xff\xe1", b"\xff\xe2", b"\xff\xee", b"Exif\0\0", b"MPF\0", b"II*\0", b"MM\0*", b"ICC_PROFILE\0"),
]


@functools.cache
def samples() -> list[bytes]:
    """Return small files of every format, so that a mutation often hits a header."""
    small = functools.partial(encode, width=160, height=90)
    tiny = picture("RGB", 160, 90)
    return [
        small("PNG"),
        small("PNG", mode="P", transparency=0),
        png(160, 90, bits=16, color_type=6),
        png(160, 90, before=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(5000)))),
        save(tiny, "PNG", save_all=True, append_images=[tiny.rotate(90)]),
        rotated("PNG", 6, 160, 90),
        small("JPEG"),
        small("JPEG", progressive=True),
        small("JPEG", mode="CMYK"),
        rotated("JPEG", 6, 160, 90),
        with_segment(small("JPEG"), 0xE2, b"ICC_PROFILE\0\1\1" + bytes(300)),
        save(tiny, "MPO", save_all=True, append_images=[tiny.rotate(90)]),
        small("WEBP"),
        small("WEBP", lossless=True),
        rotated("WEBP", 6, 160, 90),
        save(tiny.convert("RGBA"), "WEBP"),
        save(tiny, "WEBP", save_all=True, append_images=[tiny.rotate(90)]),
        encode("JPEG"),
        transparent("WEBP"),
        animation("WEBP"),
    ]


class ImageCase(NamedTuple):
    """A sample by its number, its mutations, whether checksums are corrected, and the host."""

    sample: int
    mutations: list[Mutation]
    has_valid_checksums: bool
    ranges: bool
    extra_bytes: int

    def data(self) -> bytes:
        """Return the file."""
        data = mutated(samples()[self.sample % len(samples())], self.mutations)
        return _with_checksums(data) if self.has_valid_checksums else data


def _with_checksums(data: bytes) -> bytes:
    """Correct the checksums of a PNG file, so that its readers see the mutated chunks."""
    parts, start = [data[:_SIGNATURE_BYTES]], _SIGNATURE_BYTES
    if not data.startswith(b"\x89PNG"):
        return data
    while start + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, start)
        end = start + 8 + length
        if end + 4 > len(data):
            break
        parts += [data[start:end], struct.pack(">I", zlib.crc32(data[start + 4 : end]))]
        start = end + 4
    return b"".join([*parts, data[start:]])


def check_image(case: ImageCase, inspect: InspectImage = inspect_image) -> None:
    """Probe an image twice: only our own errors, the same facts, and what is accepted is a plausible image."""
    data = case.data()

    def probe() -> ImageFacts | None:
        host = File(data, ranges=case.ranges, extra_bytes=case.extra_bytes)
        result = expect_own_errors(lambda: probe_image(URL, transport=host, inspect=inspect, sleep=lambda _: None))
        return None if result is None else result.facts

    facts = probe()
    assert probe() == facts, "the same bytes give other facts"
    if facts is None:
        return
    assert_no_secrets([facts.model_dump_json()])
    results = check_rules(facts, MediaRole.IMAGE)
    assert_no_secrets([result.model_dump_json() for result in results])
    assert 1 <= facts.orientation <= 8  # EXIF
    assert (facts.sha256 is None) is (facts.size_bytes > MAX_IMAGE_BYTES)
    if all(result.passed for result in results if result.enforced):
        assert facts.width, "an image of no width passes"
        assert facts.height, "an image of no height passes"


@functools.cache
def _pool() -> ImagePool:
    pool = ImagePool(size=1)
    atexit.register(pool.close)
    return pool


def _prepare() -> None:
    for number in range(len(samples())):
        check_image(ImageCase(number, [], has_valid_checksums=False, ranges=True, extra_bytes=0))


def _check_in_child(case: ImageCase) -> None:
    check_image(case, _pool().inspect)


_cases: st.SearchStrategy[ImageCase] = st.builds(
    ImageCase,
    st.integers(0, MAX_SAMPLES - 1),
    mutations(_TOKENS),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([0, 0, 0, 0, 0, 0, MIB, MAX_IMAGE_BYTES]),
)

IMAGES = FuzzTarget("images", _cases, check_image, _prepare)
IMAGE_POOL = FuzzTarget("image-pool", _cases, _check_in_child, _prepare)
