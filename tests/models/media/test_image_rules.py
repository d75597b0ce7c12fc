"""The rules of images: both sides of each limit, and crops that fit."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.media.checks import check_rules, violations
from models.media.image_facts import ImageFacts, describe_image
from models.media.image_rules import (
    LARGER_IMAGE_HINT,
    describe_fix,
    find_crop,
    has_exact_ratio,
    is_large_enough,
    is_small_enough,
)
from models.media.rules import MAX_IMAGE_BYTES, MediaRole

FACTS = ImageFacts(size_bytes=1_000_000, format="jpeg", width=1920, height=1080)


def codes(**changes: object) -> list[str]:
    facts = FACTS.model_copy(update=changes)
    return [reason.code.removeprefix("image.") for reason in violations(facts, MediaRole.IMAGE)]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1280, 720), []),
        ((720, 1280), []),
        ((3840, 2160), []),
        ((2160, 3840), []),
        ((1279, 720), ["resolution-too-low", "wrong-aspect-ratio"]),
        ((1280, 719), ["resolution-too-low", "wrong-aspect-ratio"]),
        ((1264, 711), ["resolution-too-low"]),
        ((3841, 2160), ["resolution-too-high", "wrong-aspect-ratio"]),
        ((3840, 2161), ["resolution-too-high", "wrong-aspect-ratio"]),
        ((3856, 2169), ["resolution-too-high"]),
        ((2169, 3856), ["resolution-too-high"]),
        ((1920, 1081), ["wrong-aspect-ratio"]),
        ((1920, 1079), ["wrong-aspect-ratio"]),
        ((1366, 768), ["wrong-aspect-ratio"]),
        ((4000, 700), ["resolution-too-low", "resolution-too-high", "wrong-aspect-ratio"]),
    ],
)
def test_pixels_have_limits_and_an_exact_ratio(size: tuple[int, int], expected: list[str]) -> None:
    assert codes(width=size[0], height=size[1]) == expected


def test_every_violation_is_reported() -> None:
    assert codes(
        format="gif",
        size_bytes=MAX_IMAGE_BYTES + 1,
        is_animated=True,
        damage="it is damaged",
        width=100,
        height=100,
    ) == ["wrong-format", "file-too-large", "unreadable", "animated", "resolution-too-low", "wrong-aspect-ratio"]
    assert codes(size_bytes=MAX_IMAGE_BYTES, damage="it ends too early", is_truncated=True) == ["truncated"]
    assert codes(width=None, height=None) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"color": "cmyk"}, "uncommon-encoding"),
        ({"bits_per_channel": 16}, "uncommon-encoding"),
        ({"is_arithmetic": True}, "uncommon-encoding"),
        ({"is_transparent": True}, "transparent"),
        ({"pictures": 2}, "several-pictures"),
        ({"format": "png", "orientation": 3}, "rotated-by-exif"),
        ({"format": "webp", "orientation": 6}, "rotated-by-exif"),
    ],
)
def test_what_services_misread_is_a_warning(changes: dict[str, object], code: str) -> None:
    failed = [row for row in check_rules(FACTS.model_copy(update=changes), MediaRole.IMAGE) if not row.passed]
    assert [(row.code, row.enforced) for row in failed] == [(f"image.{code}", False)]


def test_common_encodings_give_no_warning() -> None:
    for changes in ({"orientation": 6}, {"color": "grayscale"}, {"color": "palette"}, {"is_transparent": False}):
        assert all(row.passed for row in check_rules(FACTS.model_copy(update=changes), MediaRole.IMAGE))


@given(st.integers(1, 9000), st.integers(1, 9000))
def test_crop_is_exact_and_the_largest(width: int, height: int) -> None:
    crop = find_crop(width, height)
    assert (crop.width + crop.columns, crop.height + crop.rows) == (width, height)
    assert min(crop) >= 0
    if crop.width:
        assert has_exact_ratio(crop.width, crop.height)
        assert not (crop.width + 16 <= width and crop.height + 9 <= height and crop.width > crop.height)
    if is_large_enough(width, height) and is_small_enough(width, height) and has_exact_ratio(width, height):
        assert (crop.columns, crop.rows) == (0, 0)


@given(st.integers(1, 9000), st.integers(1, 9000))
def test_described_fix_leads_to_a_valid_size(width: int, height: int) -> None:
    text = describe_fix(width, height)
    if text == LARGER_IMAGE_HINT or not text:
        return
    size = tuple(map(int, re.findall(r"(?:crop|scale) it to (\d+)x(\d+)", text)[-1]))
    assert has_exact_ratio(*size)
    assert is_large_enough(*size)
    assert is_small_enough(*size)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        ((1920, 1104), "crop it to 1920x1080 (remove 12 rows at the top and 12 at the bottom)"),
        ((1920, 1081), "crop it to 1920x1080 (remove 1 row at the bottom)"),
        ((1081, 1920), "crop it to 1080x1920 (remove 1 column at the right)"),
        ((1920, 1083), "crop it to 1920x1080 (remove 1 row at the top and 2 at the bottom)"),
        (
            (1366, 768),
            "crop it to 1360x765 (remove 1 row at the top and 2 at the bottom; "
            "3 columns at the left and 3 at the right)",
        ),
        ((7680, 4320), "scale it to 3840x2160"),
        (
            (3300, 5760),
            "crop it to 3240x5760 (remove 30 columns at the left and 30 at the right), then scale it to 2160x3840",
        ),
        ((1080, 1080), LARGER_IMAGE_HINT),
    ],
)
def test_fix_is_described_in_numbers(size: tuple[int, int], text: str) -> None:
    assert describe_fix(*size) == text


def test_image_is_described_by_format_pixels_and_size() -> None:
    assert describe_image(FACTS.model_dump(mode="json")) == "JPEG, 1920x1080, 1,000,000 bytes"
    assert describe_image({"format": "png", "width": None, "size_bytes": 5}) == "PNG, 5 bytes"
    assert describe_image(None) is None
