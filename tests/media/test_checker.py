"""MediaChecker over a real HTTPS host: reports, policy, limits, digests, concurrency."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from media.checker import MediaChecker
from media.remote.fetch_limits import FetchLimits
from models.errors import MediaUnreachable
from models.media.report import MediaReport
from models.media.rules import MIB, MediaRole
from simulator.media_host import MediaHost
from simulator.sample_videos import ensure_sample

DATASET, CONSENT = MediaRole.DATASET, MediaRole.CONSENT
QUERY = "?X-Amz-Signature=CANARY"


@pytest.fixture
def checker(trusting: ssl.SSLContext) -> Iterator[MediaChecker]:
    with MediaChecker(allowed_hosts={"127.0.0.1"}, ssl_context=trusting, sleep=lambda _: None) as running:
        yield running


@pytest.mark.parametrize("prefix", ["", "no-ranges/"])
@pytest.mark.parametrize(
    ("name", "role", "expected"),
    [
        ("dataset.mp4", DATASET, []),
        ("dataset-index-first.mp4", DATASET, []),
        ("dataset-quicktime.mov", DATASET, []),
        ("dataset-portrait.mp4", DATASET, []),
        ("dataset-rotated.mp4", DATASET, []),
        ("dataset-40s.mp4", DATASET, ["dataset.duration-too-short"]),
        ("dataset-310s.mp4", DATASET, ["dataset.duration-too-long"]),
        ("dataset-small.mp4", DATASET, ["dataset.resolution-too-low"]),
        ("dataset-fragmented.mp4", DATASET, []),
        ("consent.mp4", CONSENT, []),
        ("consent-45s.mp4", CONSENT, ["consent.duration-too-long"]),
        ("dataset.mp4", CONSENT, ["consent.duration-too-long"]),
        ("consent.mp4", DATASET, ["dataset.duration-too-short"]),
        ("matroska.mp4", DATASET, ["dataset.wrong-container"]),
        ("sound-only.mp4", CONSENT, ["consent.no-video-stream"]),
        ("page.mp4", CONSENT, ["consent.not-a-video"]),
    ],
)
async def test_checker_reports_codes_of_every_sample(
    prefix: str,
    name: str,
    role: MediaRole,
    expected: list[str],
    checker: MediaChecker,
    media_host: MediaHost,
    samples: Path,
) -> None:
    ensure_sample(name, samples)
    report = await checker.check(media_host.url(prefix + name) + QUERY, role)
    assert [reason.code for reason in report.reasons] == expected
    assert all(reason.hint for reason in report.reasons)
    assert "CANARY" not in report.model_dump_json()
    assert len(media_host.requests) == 1


async def test_checker_reads_all_facts_of_a_video(
    checker: MediaChecker, media_host: MediaHost, samples: Path
) -> None:
    path = ensure_sample("dataset.mp4", samples)
    report = await checker.check(media_host.url(path.name), DATASET)
    assert report.facts is not None
    assert report.facts.model_dump(exclude={"etag", "sample_sha256", "audio_bit_rate"}, exclude_none=True) == {
        "size_bytes": path.stat().st_size,
        "container": "mp4",
        "video_codec": "h264",
        "width": 1280,
        "height": 720,
        "duration_seconds": 75.0,
        "frame_rate": 1.0,
        "has_audio": True,
        "audio_seconds": 75.008,
        "pixel_format": "yuv420p",
    }
    assert report.facts.etag
    assert (report.requests, report.bytes_fetched) == (1, path.stat().st_size)


async def test_report_lists_passed_and_failed_rules(
    checker: MediaChecker, media_host: MediaHost, samples: Path
) -> None:
    ensure_sample("dataset-small.mp4", samples)
    report = await checker.check(media_host.url("dataset-small.mp4"), DATASET)
    assert {row.code.removeprefix("dataset."): row.passed for row in report.checks} == {
        "wrong-container": True,
        "file-too-large": True,
        "no-video-stream": True,
        "unknown-codec": True,
        "uncommon-codec": True,
        "duration-too-short": True,
        "duration-too-long": True,
        "resolution-too-low": False,
        "resolution-too-high": True,
        "no-audio": False,
    }
    assert [reason.code for reason in report.reasons] == ["dataset.resolution-too-low"]
    assert [warning.code for warning in report.warnings] == ["dataset.no-audio"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("status/403/v.mp4", "consent.forbidden"),
        ("status/404/v.mp4", "consent.not-found"),
        ("missing.mp4", "consent.not-found"),
    ],
)
async def test_client_error_is_a_reason_with_the_role(
    path: str, code: str, checker: MediaChecker, media_host: MediaHost
) -> None:
    report = await checker.check(media_host.url(path) + QUERY, CONSENT)
    assert report.facts is None
    assert [reason.code for reason in report.reasons] == [code]
    assert "CANARY" not in report.model_dump_json()


async def test_server_error_raises_media_unreachable(checker: MediaChecker, media_host: MediaHost) -> None:
    with pytest.raises(MediaUnreachable) as unreachable:
        await checker.check(media_host.url("status/503/v.mp4") + QUERY, CONSENT)
    assert "CANARY" not in str(unreachable.value)
    assert len(media_host.requests) == 3


async def test_checker_rejects_private_hosts(media_host: MediaHost, trusting: ssl.SSLContext) -> None:
    with MediaChecker(ssl_context=trusting) as checker:
        report = await checker.check(media_host.url("v.mp4"), CONSENT)
    assert [reason.code for reason in report.reasons] == ["consent.address-not-public"]
    assert media_host.requests == []


async def test_checker_applies_its_limits(media_host: MediaHost, trusting: ssl.SSLContext, samples: Path) -> None:
    ensure_sample("dataset-1.4gb.mp4", samples)
    with MediaChecker(
        allowed_hosts={"127.0.0.1"}, ssl_context=trusting, limits=FetchLimits(max_requests=2)
    ) as checker:
        report = await checker.check(media_host.url("dataset-1.4gb.mp4"), DATASET)
    assert [reason.code for reason in report.reasons] == ["dataset.read-budget-exceeded"]


@pytest.mark.parametrize("prefix", ["", "no-ranges/"])
@pytest.mark.parametrize("name", ["consent.mp4", "large-consent.mp4"])
async def test_consent_video_is_hashed_completely(
    prefix: str, name: str, media_host: MediaHost, trusting: ssl.SSLContext, samples: Path
) -> None:
    data = ensure_sample("consent.mp4", samples).read_bytes() + struct.pack(">I4s", 9 * MIB, b"free").ljust(
        9 * MIB, b"x"
    )
    if name == "large-consent.mp4":
        (samples / name).write_bytes(data)
    with MediaChecker(allowed_hosts={"127.0.0.1"}, sha256_of={CONSENT}, ssl_context=trusting) as checker:
        report = await checker.check(media_host.url(prefix + name), CONSENT)
        dataset = await checker.check(media_host.url(prefix + name), DATASET)
    content = (samples / name).read_bytes()
    assert report.facts is not None
    assert report.facts.sha256 == hashlib.sha256(content).hexdigest()
    assert report.bytes_fetched == len(content)
    assert dataset.facts is not None
    assert dataset.facts.sha256 is None


async def test_oversized_consent_video_is_not_hashed(
    media_host: MediaHost, trusting: ssl.SSLContext, samples: Path
) -> None:
    ensure_sample("dataset-1.4gb.mp4", samples)
    with MediaChecker(allowed_hosts={"127.0.0.1"}, sha256_of={CONSENT}, ssl_context=trusting) as checker:
        report = await checker.check(media_host.url("dataset-1.4gb.mp4"), CONSENT)
    assert report.facts is not None
    assert report.facts.sha256 is None
    assert report.bytes_fetched is not None
    assert report.bytes_fetched < MIB


async def test_checks_run_concurrently(checker: MediaChecker, media_host: MediaHost, samples: Path) -> None:
    ensure_sample("consent.mp4", samples)
    url = media_host.url("consent.mp4")
    reports: list[MediaReport] = await asyncio.gather(*(checker.check(url, CONSENT) for _ in range(20)))
    assert all(report.facts == reports[0].facts and not report.reasons for report in reports)
