"""Fetching a manifest: over HTTPS from a real host, whole, bounded and guarded."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from clients import manifest_file
from clients.manifest_file import fetch_manifest
from clients.range_requests import FetchLimits
from models.errors import InvalidManifest, MediaUnreachable
from simulator.media_host import MediaHost

ALLOWED = {"127.0.0.1"}


@pytest.mark.parametrize("path", ["rows.csv", "no-ranges/rows.csv"])
def test_the_whole_file_is_fetched_from_hosts_with_ranges_and_without(
    path: str, samples: Path, media_host: MediaHost, trusting: ssl.SSLContext
) -> None:
    content = b"name,dataset_video\n" * 20_000
    (samples / "rows.csv").write_bytes(content)
    assert fetch_manifest(media_host.url(path), allowed_hosts=ALLOWED, ssl_context=trusting) == content
    assert len(media_host.requests) <= 2


@pytest.mark.parametrize(
    ("path", "told"),
    [("none.csv", "404"), ("status/403/rows.csv", "403"), ("redirect/http%3A%2F%2Fh%2Fa.csv", "no https URL")],
)
def test_a_definite_no_is_an_invalid_manifest(
    path: str, told: str, media_host: MediaHost, trusting: ssl.SSLContext
) -> None:
    url = f"{media_host.base_url}/{path}?sig=canary-signature"
    with pytest.raises(InvalidManifest, match=told) as caught:
        fetch_manifest(url, allowed_hosts=ALLOWED, ssl_context=trusting)
    assert "canary" not in caught.value.message + caught.value.hint


def test_an_address_that_is_not_public_is_not_asked(media_host: MediaHost, trusting: ssl.SSLContext) -> None:
    with pytest.raises(InvalidManifest, match="not a public address"):
        fetch_manifest(media_host.url("rows.csv"), ssl_context=trusting)
    assert media_host.requests == []


@pytest.mark.parametrize("path", ["large.csv", "no-ranges/large.csv"])
def test_a_file_past_the_bound_is_not_fetched(
    path: str,
    samples: Path,
    media_host: MediaHost,
    trusting: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (samples / "large.csv").write_bytes(b"x" * 100_000)
    monkeypatch.setattr(manifest_file, "MAX_BYTES", 99_999)  # 32 MiB over a socket would take a while
    with pytest.raises(InvalidManifest, match=r"larger|cannot be had"):
        fetch_manifest(media_host.url(path), allowed_hosts=ALLOWED, ssl_context=trusting)


def test_a_host_that_gives_no_answer_is_the_operators(media_host: MediaHost, trusting: ssl.SSLContext) -> None:
    limits = FetchLimits(attempts=1)
    with pytest.raises(MediaUnreachable, match="the manifest cannot be had"):
        fetch_manifest(
            media_host.url("status/500/rows.csv"), allowed_hosts=ALLOWED, ssl_context=trusting, limits=limits
        )
