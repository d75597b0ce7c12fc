"""Checks the video track of a recording: its codec, its duration and its resolution."""

from __future__ import annotations

from collections.abc import Iterator

from models.media.codes import MediaCode
from models.media.report import RuleRow
from models.media.resolution import Fit, ResolutionLimit
from models.media.rules import MediaRules, is_measured
from models.media.video_formats import COMMON_FORMATS_TEXT, CONVERSION_HINT, judge_format

UNKNOWN_CODEC = "unknown"
"""The name of a codec for which FFmpeg has none."""

WIDER_SHAPE_HINT = "record it in 16:9 or 9:16"


def check_codec(codec: str, pixel_format: str | None, color_transfer: str | None) -> Iterator[RuleRow]:
    """Check the format of the picture, by FFmpeg's names of its parts. An uncommon one is only a warning."""
    is_known = codec != UNKNOWN_CODEC
    yield RuleRow(MediaCode.UNKNOWN_CODEC, "encoded with a known codec", codec, is_known, CONVERSION_HINT)
    if is_known:
        text, is_common, hint = judge_format(codec, pixel_format, color_transfer)
        yield RuleRow(MediaCode.UNCOMMON_CODEC, COMMON_FORMATS_TEXT, text, is_common, hint, enforced=False)


def check_duration(seconds: float | None, rules: MediaRules) -> Iterator[RuleRow]:
    """Check that the duration of the picture is known, and within the limits."""
    actual = "not stated in the index or the fragments" if seconds is None else f"{seconds:.2f} seconds"
    if seconds is None or not is_measured(seconds):
        yield RuleRow(
            MediaCode.UNKNOWN_DURATION,
            "of known duration",
            actual,
            passed=False,
            hint="remux it without quality loss: ffmpeg -i IN -c copy -movflags +faststart OUT.mp4",
        )
        return
    if rules.min_seconds is not None:
        yield RuleRow(
            MediaCode.DURATION_TOO_SHORT,
            f"at least {rules.min_seconds} seconds long",
            actual,
            not rules.is_too_short(seconds),
            f"record at least {rules.min_seconds} seconds",
        )
    yield RuleRow(
        MediaCode.DURATION_TOO_LONG,
        f"at most {rules.max_seconds} seconds long",
        actual,
        not rules.is_too_long(seconds),
        f"cut it to {rules.max_seconds} seconds or less",
    )


def check_resolution(
    width: int, height: int, limits: tuple[ResolutionLimit, ResolutionLimit] | None
) -> Iterator[RuleRow]:
    """Check the displayed size against the minimum and the maximum. A fit by only one side is a warning."""
    if limits is None:
        return
    minimum, maximum = limits
    size = f"{width}x{height}" if width and height else "unknown"
    low_fit, high_fit = minimum.fit(width, height), maximum.fit(width, height)
    smaller_hint = _scale_hint(maximum, is_portrait=height > width)
    yield RuleRow(
        MediaCode.RESOLUTION_TOO_LOW,
        minimum.describe_wide(),
        size,
        low_fit is not Fit.NO_SIDE,
        "record it in 720p or more; upscaling does not add detail",
    )
    yield RuleRow(
        MediaCode.RESOLUTION_TOO_HIGH, maximum.describe_wide(), size, high_fit is not Fit.NO_SIDE, smaller_hint
    )
    if Fit.NO_SIDE not in (low_fit, high_fit):
        limit, fit = (minimum, low_fit) if low_fit is not Fit.BOTH_SIDES else (maximum, high_fit)
        is_usual = fit is Fit.BOTH_SIDES
        yield RuleRow(
            MediaCode.UNUSUAL_RESOLUTION,
            f"{minimum.name} to {maximum.name} by both sides ({minimum.long}x{minimum.short} to "
            f"{maximum.long}x{maximum.short}, in either orientation)",
            size if is_usual else f"{size}, which is {limit.bound} {limit.name} by {fit}",
            is_usual,
            f"Argil may count both sides: {WIDER_SHAPE_HINT if limit.is_minimum else smaller_hint}",
            enforced=False,
        )


def _scale_hint(maximum: ResolutionLimit, *, is_portrait: bool) -> str:
    width, height = (maximum.short, maximum.long) if is_portrait else (maximum.long, maximum.short)
    filters = f"scale={width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2"
    return f"scale it down: ffmpeg -i IN -vf {filters} -c:a copy OUT.mp4"
