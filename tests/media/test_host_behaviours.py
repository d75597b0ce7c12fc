"""Hosts that answer range requests in ways that RFC 9110 allows or real servers have, over HTTPS."""

from __future__ import annotations

import gzip
import hashlib
import random
import ssl
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from media.checker import MediaChecker
from media.manifest_loader import download_manifest
from media.remote.fetch_limits import DEFAULT_LIMITS, FetchLimits
from models.errors import MediaUnreachable
from models.media.facts import MediaFacts
from models.media.report import MediaReport
from models.media.rules import MIB, MediaRole
from simulator.host_behaviour import HostBehaviour
from simulator.media_host import MediaHost
from tests.media.sample_files import encode_video

CONSENT, DATASET = MediaRole.CONSENT, MediaRole.DATASET
KIB = 1024
NAME = "consent-5mb.mp4"
MEDIUM = "consent-600kb.mp4"
SMALL = "consent-small.mp4"

Check = Callable[..., MediaReport]


def large_video(size: int = 5 * MIB) -> bytes:
    """Return a video with this much other data before its index, which is at the end."""
    data = encode_video(12)
    index = data.index(b"moov") - 4
    filler = random.Random(1).randbytes(size)  # noqa: S311  # not used for secrets
    return data[:index] + struct.pack(">I4s", len(filler) + 8, b"free") + filler + data[index:]


@pytest.fixture(scope="module", autouse=True)
def videos(session_media_host: MediaHost, samples: Path) -> None:
    (samples / NAME).write_bytes(large_video())
    (samples / MEDIUM).write_bytes(large_video(600 * KIB))
    (samples / SMALL).write_bytes(encode_video(12))


@pytest.fixture
def check(media_host: MediaHost, trusting: ssl.SSLContext) -> Iterator[Check]:
    """Check a video from a host with the given behaviour, and read all of it for its digest."""

    def run(behaviour: HostBehaviour, name: str = NAME, limits: FetchLimits = DEFAULT_LIMITS) -> MediaReport:
        media_host.behaviours["b"] = behaviour
        with MediaChecker(
            allowed_hosts={"127.0.0.1"},
            sha256_of={CONSENT},
            ssl_context=trusting,
            sleep=sleeps.append,
            limits=limits,
        ) as checker:
            return checker._check_blocking(f"{media_host.url(f'behaviour/b/{name}')}?sig=CANARY", CONSENT)

    sleeps: list[float] = []
    yield run
    media_host.behaviours.clear()


def codes(report: MediaReport) -> list[str]:
    return [reason.code.removeprefix("consent.") for reason in report.reasons]


def assert_read_completely(report: MediaReport, data: bytes) -> None:
    """Check that the facts and both digests are those of the file."""
    assert codes(report) == []
    assert isinstance(report.facts, MediaFacts)
    sample = hashlib.sha256(b"%d\n" % len(data) + data[: 64 * KIB] + data[-64 * KIB :]).hexdigest()
    assert report.facts.size_bytes == len(data)
    assert report.facts.duration_seconds == 12
    assert report.facts.sha256 == hashlib.sha256(data).hexdigest()
    assert report.facts.sample_sha256 == sample


ANSWERS = {
    "1 MiB per answer": HostBehaviour(answer_bytes=[MIB]),
    "varying answers": HostBehaviour(answer_bytes=[300_000, 1, 64 * KIB, 700_001, 5000]),
    "blocks": HostBehaviour(block_bytes=512 * KIB),
    "blocks, 64 KiB per answer": HostBehaviour(block_bytes=8192, answer_bytes=[64 * KIB]),
    "without an end": HostBehaviour(ignores_end=True),
    "206 for the whole file": HostBehaviour(ignores_end=True, ignores_start=True),
    "200": HostBehaviour(supports_ranges=False),
    "200 without a length": HostBehaviour(supports_ranges=False, states_length=False),
    "unknown size": HostBehaviour(content_range="bytes {first}-{last}/*"),
    "unknown size, 1 MiB per answer": HostBehaviour(content_range="bytes {first}-{last}/*", answer_bytes=[MIB]),
    "unknown size and length": HostBehaviour(content_range="bytes {first}-{last}/*", states_length=False),
    "unit in upper case": HostBehaviour(content_range="BYTES {first}-{last}/{size}"),
    "spaces": HostBehaviour(content_range="bytes  {first} - {last} / {size}"),
    "sign of equality": HostBehaviour(content_range="bytes={first}-{last}/{size}"),
    "no space": HostBehaviour(content_range="bytes{first}-{last}/{size}"),
    "multipart": HostBehaviour(is_multipart=True),
    "multipart, 1 MiB per answer": HostBehaviour(is_multipart=True, answer_bytes=[MIB]),
    "gzip": HostBehaviour(coding="gzip", supports_ranges=False),
    "gzip without a length": HostBehaviour(coding="gzip", supports_ranges=False, states_length=False),
    "ranges of a gzip body": HostBehaviour(coding="gzip"),
    "deflate": HostBehaviour(coding="deflate", supports_ranges=False),
    "deflate without its header": HostBehaviour(
        coding="deflate", supports_ranges=False, encode=lambda data: zlib.compress(data, 1, wbits=-15)
    ),
    "gzip of two members": HostBehaviour(
        coding="x-gzip",
        supports_ranges=False,
        encode=lambda data: gzip.compress(data[:99], 1) + gzip.compress(data[99:], 1) + bytes(512),
    ),
    "a coding that is not a compression": HostBehaviour(coding="aws-chunked"),
    "identity": HostBehaviour(coding="identity"),
}


@pytest.mark.parametrize("answers", ANSWERS)
def test_video_is_read_from_any_valid_answers(answers: str, check: Check) -> None:
    assert_read_completely(check(ANSWERS[answers]), large_video())


@pytest.mark.parametrize("sizes", [[16 * KIB], [6001], [4096], [100_000, 1, 8000, 1, 1]])
def test_video_is_read_in_many_small_parts(sizes: list[int], check: Check) -> None:
    assert_read_completely(check(HostBehaviour(answer_bytes=sizes), MEDIUM), large_video(600 * KIB))


SMALL_ANSWERS = {
    "range beyond the end refused": HostBehaviour(refuses_beyond_end=True),
    "range beyond the end refused without a size": HostBehaviour(refuses_beyond_end=True, unsatisfied="bytes */*"),
    "multipart": HostBehaviour(is_multipart=True),
    "unknown size": HostBehaviour(content_range="bytes {first}-{last}/*"),
    "206 for the whole file": HostBehaviour(ignores_end=True, ignores_start=True),
    "1000 bytes per answer": HostBehaviour(answer_bytes=[1000]),
    "gzip": HostBehaviour(coding="gzip"),
}


@pytest.mark.parametrize("answers", SMALL_ANSWERS)
def test_small_video_is_read_from_any_valid_answers(answers: str, check: Check) -> None:
    assert_read_completely(check(SMALL_ANSWERS[answers], SMALL), encode_video(12))


@pytest.mark.parametrize(
    ("behaviour", "requests"),
    [
        (HostBehaviour(), 5),
        (HostBehaviour(answer_bytes=[MIB]), 8),
        (HostBehaviour(content_range="bytes {first}-{last}/*"), 6),
        (HostBehaviour(coding="gzip"), 2),
        (HostBehaviour(supports_ranges=False), 1),
    ],
)
def test_each_part_of_a_range_takes_a_request(
    behaviour: HostBehaviour, requests: int, check: Check, media_host: MediaHost
) -> None:
    assert check(behaviour).requests == len(media_host.requests) == requests


@pytest.mark.parametrize("size", [1, 100, 1024])
def test_tiny_answers_end_with_their_size(size: int, check: Check, media_host: MediaHost) -> None:
    report = check(HostBehaviour(answer_bytes=[size]))
    assert codes(report) == ["read-budget-exceeded"]
    assert f"about {size:,} bytes per request" in report.reasons[0].message
    assert "4,096 bytes" in report.reasons[0].hint
    assert len(media_host.requests) < 40


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [
        (HostBehaviour(answer_bytes=[16 * KIB], etags=['"1"', '"2"']), "changed"),
        (HostBehaviour(answer_bytes=[MIB], etags=['"1"', '"1"', '"1"', '"2"']), "changed"),
        (HostBehaviour(content_range="bytes {first}-{last}/*", etags=['"1"', '"2"']), "changed"),
        (HostBehaviour(content_range="bytes {last}-{first}/{size}"), "Content-Range"),
        (HostBehaviour(content_range="bytes {first}-{size}/{size}"), "Content-Range"),
        (HostBehaviour(content_range="bytes 5-{last}/{size}"), "instead of"),
        (HostBehaviour(content_range="bytes 0-{last}/{size}"), "instead of"),
        (HostBehaviour(content_range="bytes {first}-{first}/{size}"), "contradicts"),
        (HostBehaviour(content_range=None), "Content-Range"),
        (HostBehaviour(content_range="x", is_multipart=True), "Content-Range"),
        (HostBehaviour(content_range="bytes 0-99/{size}", is_multipart=True), "length of a part"),
        (HostBehaviour(ignores_start=True), "instead of"),
        (
            HostBehaviour(coding="gzip", supports_ranges=False, encode=lambda data: gzip.compress(data, 1)[:-9]),
            "early",
        ),
    ],
)
def test_wrong_answers_are_unreachable(behaviour: HostBehaviour, cause: str, check: Check) -> None:
    with pytest.raises(MediaUnreachable, match=cause) as unreachable:
        check(behaviour)
    assert "CANARY" not in str(unreachable.value)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br", "compress", "Br"])
@pytest.mark.parametrize("supports_ranges", [False, True])
def test_undecodable_compression_is_named(coding: str, supports_ranges: bool, check: Check) -> None:
    report = check(HostBehaviour(coding=coding, supports_ranges=supports_ranges))
    assert codes(report) == ["compressed-transfer"]
    assert f"Content-Encoding: {coding.lower()}" in report.reasons[0].message
    assert "turn compression off" in report.reasons[0].hint


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_false_compression_is_named(coding: str, check: Check) -> None:
    report = check(HostBehaviour(coding=coding, supports_ranges=False, encode=lambda data: data))
    assert codes(report) == ["compressed-transfer"]


def test_decompressed_bytes_count_for_the_limit(check: Check) -> None:
    bomb = gzip.compress(bytes(101 * MIB), 1)
    report = check(HostBehaviour(coding="gzip", supports_ranges=False, encode=lambda _: bomb))
    assert codes(report) == ["file-too-large"]


def test_compressed_manifest_is_decoded(media_host: MediaHost, trusting: ssl.SSLContext, samples: Path) -> None:
    (samples / "m.csv").write_bytes(b"name,dataset_video\n" * 1000)
    media_host.behaviours["b"] = HostBehaviour(coding="gzip")
    manifest, _ = download_manifest(
        media_host.url("behaviour/b/m.csv"), allowed_hosts={"127.0.0.1"}, ssl_context=trusting
    )
    assert manifest == b"name,dataset_video\n" * 1000


def test_empty_file_is_named_without_ranges(check: Check, samples: Path) -> None:
    (samples / "empty.mp4").touch()
    for behaviour in (
        HostBehaviour(supports_ranges=False),
        HostBehaviour(supports_ranges=False, states_length=False),
        HostBehaviour(coding="gzip", supports_ranges=False),
        HostBehaviour(unsatisfied=""),
        HostBehaviour(),
    ):
        assert codes(check(behaviour, "empty.mp4")) == ["empty-file"]


# Waits that a host asks for


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        ("3600", "3,600 seconds"),
        ("121", "121 seconds"),
        ("9" * 300, "1,000,000,000 seconds"),
        ("Fri, 27 Nov 2037 09:00:00 GMT", "seconds"),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_long_wait_is_reported_at_once(
    retry_after: str, wait: str, status: int, check: Check, media_host: MediaHost
) -> None:
    with pytest.raises(MediaUnreachable, match=f"{status}.*; the host asks to wait .*{wait}"):
        check(HostBehaviour(statuses=[status], headers={"retry-after": retry_after}))
    assert len(media_host.requests) == 1


@pytest.mark.parametrize(
    "retry_after", ["-5", "soon", "", "Mon, 02 Nov 2020 09:00:00 GMT", "0", "7", "120", "1e9", "3600s"]
)
def test_short_or_invalid_wait_is_retried(retry_after: str, check: Check, media_host: MediaHost) -> None:
    headers = {"retry-after": retry_after}
    assert codes(check(HostBehaviour(statuses=[503, 0, 0, 0, 0, 0], headers=headers))) == []
    assert len(media_host.requests) == 6


def test_wait_beyond_the_time_budget_names_its_cause(check: Check, media_host: MediaHost) -> None:
    behaviour = HostBehaviour(statuses=[503], headers={"retry-after": "100"})
    with pytest.raises(MediaUnreachable, match="within 60 seconds; the host asks to wait 100 seconds"):
        check(behaviour, limits=FetchLimits(timeout_seconds=60))
    assert len(media_host.requests) == 1


def test_error_of_a_store_is_read_from_a_compressed_body(check: Check) -> None:
    body = gzip.compress(b"<?xml version='1.0'?><Error><Code>NoSuchBucket</Code></Error>")
    report = check(HostBehaviour(statuses=[404], status_body=body, headers={"content-encoding": "gzip"}))
    assert codes(report) == ["not-found"]
    assert "bucket" in report.reasons[0].hint
