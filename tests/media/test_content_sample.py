"""The sample of a recording: the same for every copy, whatever its URL and its host."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import pytest

from media.probe import ProbeResult, probe
from media.remote.remote_file import SAMPLE_BYTES, RemoteFile
from media.remote.ssrf_guard import PublicOnlyTransport
from media.remote.streamed_download import MAX_SAMPLE_DOWNLOAD_BYTES
from models.media.facts import MediaFacts
from models.media.rules import RULES, MediaRole
from simulator.media_host import MediaHost
from simulator.sample_videos import ensure_sample
from tests.media.test_probe import FileTransport

DATASET, CONSENT = MediaRole.DATASET, MediaRole.CONSENT


def sample(data: bytes) -> str:
    parts = (b"%d\n" % len(data), data[:SAMPLE_BYTES], data[-SAMPLE_BYTES:])
    return hashlib.sha256(b"".join(parts)).hexdigest()


@pytest.mark.parametrize("name", ["dataset.mp4", "dataset-index-first.mp4", "dataset-fragmented.mp4"])
@pytest.mark.parametrize("prefix", ["", "no-ranges/"])
@pytest.mark.parametrize("with_sha256", [False, True])
def test_every_copy_has_one_sample(
    media_host: MediaHost,
    transport: PublicOnlyTransport,
    samples: Path,
    name: str,
    prefix: str,
    *,
    with_sha256: bool,
) -> None:
    data = ensure_sample(name, samples).read_bytes()
    facts = probe(media_host.url(f"{prefix}{name}"), DATASET, transport=transport, with_sha256=with_sha256).facts
    assert facts.sample_sha256 == sample(data)
    assert facts.sha256 == (hashlib.sha256(data).hexdigest() if with_sha256 else None)


def test_sample_takes_no_request_after_the_whole_digest(
    media_host: MediaHost, transport: PublicOnlyTransport, samples: Path
) -> None:
    def requests_of(*, with_sha256: bool) -> ProbeResult[MediaFacts]:
        url = media_host.url(ensure_sample("dataset-index-first.mp4", samples).name)
        return probe(url, CONSENT, transport=transport, with_sha256=with_sha256)

    assert requests_of(with_sha256=True).requests == requests_of(with_sha256=False).requests


def test_sample_depends_on_size_start_and_end() -> None:
    data = bytes(range(256)) * 1024
    middle = len(data) // 2

    def sample_of(copy: bytes) -> str | None:
        with RemoteFile(
            "https://h.example/a.mp4", transport=FileTransport(copy), download_limit_bytes=len(copy)
        ) as file:
            return file.sample_sha256()

    assert sample_of(data) == sample(data)
    for other in (data + b"x", b"x" + data[1:], data[:-1] + b"x"):
        assert sample_of(other) not in {None, sample(data)}
    assert sample_of(data[:middle] + b"x" + data[middle + 1 :]) == sample(data)


class LargeHost(httpx.BaseTransport):
    """A host without range requests, whose file is larger than it sends."""

    def __init__(self, size: int) -> None:
        self._size = size

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        chunks = iter([bytes(SAMPLE_BYTES)] * 2)
        return httpx.Response(200, headers={"content-length": str(self._size)}, content=chunks, request=request)


def test_large_download_is_not_completed_for_the_sample() -> None:
    size = MAX_SAMPLE_DOWNLOAD_BYTES + 2 * SAMPLE_BYTES + 1
    limit = RULES[DATASET].max_bytes
    with RemoteFile(
        "https://h.example/a.mp4", transport=LargeHost(size), download_limit_bytes=limit, sleep=lambda _: None
    ) as file:
        assert file.read(10) == bytes(10)
        assert file.sample_sha256() is None
        assert file.bytes_fetched <= 2 * SAMPLE_BYTES
