"""Checks the facts about an image against Argil's rules, and warns about what services commonly misread."""

from __future__ import annotations

from collections.abc import Iterator

from models.media.codes import MediaCode
from models.media.image_facts import ImageFacts
from models.media.image_rules import (
    EXPORT_IMAGE_HINT,
    FORMATS,
    LARGER_IMAGE_HINT,
    MAX_LONG,
    MAX_SHORT,
    MAX_SIZE_TEXT,
    MIN_LONG,
    MIN_SHORT,
    SMALLER_IMAGE_HINT,
    describe_fix,
    has_exact_ratio,
    is_large_enough,
    is_small_enough,
)
from models.media.report import RuleRow
from models.media.rules import MAX_IMAGE_BYTES

_COMMON_BITS = 8
_UPRIGHT = 1
_ROTATED_FORMATS = {"png", "webp"}
"""Programs apply the EXIF orientation of photos in JPEG; of these formats many ignore it."""


def check_image(facts: ImageFacts) -> Iterator[RuleRow]:
    """Check an image against every rule; what may be misread is a warning."""
    yield RuleRow(
        MediaCode.WRONG_FORMAT,
        "a PNG, JPEG or WEBP image",
        facts.format.upper(),
        facts.format in FORMATS,
        EXPORT_IMAGE_HINT,
    )
    yield RuleRow(
        MediaCode.FILE_TOO_LARGE,
        f"at most {MAX_SIZE_TEXT} ({MAX_IMAGE_BYTES:,} bytes)",
        f"{facts.size_bytes:,} bytes",
        facts.size_bytes <= MAX_IMAGE_BYTES,
        SMALLER_IMAGE_HINT,
    )
    yield _check_damage(facts)
    yield RuleRow(
        MediaCode.ANIMATED,
        "one still picture",
        f"an animation of {facts.pictures:,} picture{'' if facts.pictures == 1 else 's'}"
        if facts.is_animated
        else "one still picture",
        not facts.is_animated,
        f"{EXPORT_IMAGE_HINT} without animation",
    )
    if facts.width and facts.height:
        yield from _check_size(facts.width, facts.height)
    yield from _check_encoding(facts)


def _check_damage(facts: ImageFacts) -> RuleRow:
    return RuleRow(
        MediaCode.TRUNCATED if facts.is_truncated else MediaCode.UNREADABLE,
        "an image that programs commonly read",
        facts.damage or "readable",
        facts.damage is None,
        "upload it again, and check that the upload is completed"
        if facts.is_truncated
        else f"{EXPORT_IMAGE_HINT} again, without metadata",
    )


def _check_size(width: int, height: int) -> Iterator[RuleRow]:
    size, fix = f"{width}x{height}", describe_fix(width, height)
    yield RuleRow(
        MediaCode.RESOLUTION_TOO_LOW,
        f"at least {MIN_LONG}x{MIN_SHORT} or {MIN_SHORT}x{MIN_LONG}",
        size,
        is_large_enough(width, height),
        LARGER_IMAGE_HINT,
    )
    yield RuleRow(
        MediaCode.RESOLUTION_TOO_HIGH,
        f"at most {MAX_LONG}x{MAX_SHORT} or {MAX_SHORT}x{MAX_LONG}",
        size,
        is_small_enough(width, height),
        fix,
    )
    yield RuleRow(MediaCode.WRONG_ASPECT_RATIO, "exactly 16:9 or 9:16", size, has_exact_ratio(width, height), fix)


def _check_encoding(facts: ImageFacts) -> Iterator[RuleRow]:
    arithmetic = ", arithmetic coding" if facts.is_arithmetic else ""
    yield RuleRow(
        MediaCode.UNCOMMON_ENCODING,
        "an image in RGB or grayscale with 8 bits per channel, which every program reads",
        f"{facts.color}, {facts.bits_per_channel} bits per channel{arithmetic}",
        facts.color != "cmyk" and facts.bits_per_channel <= _COMMON_BITS and not facts.is_arithmetic,
        "convert it to sRGB with 8 bits per channel",
        enforced=False,
    )
    if facts.is_transparent is not None:
        yield RuleRow(
            MediaCode.TRANSPARENT,
            "an opaque image",
            "with transparent pixels" if facts.is_transparent else "opaque",
            not facts.is_transparent,
            "save it on a plain background: services show transparent pixels black, white or as they are hidden",
            enforced=False,
        )
    if facts.pictures > 1 and not facts.is_animated:
        yield RuleRow(
            MediaCode.SEVERAL_PICTURES,
            "a file with one picture",
            f"a multi-picture JPEG with {facts.pictures:,} pictures, of which programs read the first or none",
            passed=False,
            hint="export it again as a plain JPEG, without depth, live photo or HDR data",
            enforced=False,
        )
    if facts.format in _ROTATED_FORMATS:
        is_upright = facts.orientation == _UPRIGHT
        yield RuleRow(
            MediaCode.ROTATED_BY_EXIF,
            "an image that is stored upright",
            "stored upright" if is_upright else f"turned by its EXIF orientation ({facts.orientation})",
            is_upright,
            f"rotate it and save it again: many programs ignore the orientation of {facts.format.upper()} files",
            enforced=False,
        )
