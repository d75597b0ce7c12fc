"""Downloading a manifest over HTTPS from a real host: completely, with a size limit and the SSRF guard."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from media import manifest_loader
from media.manifest_loader import fetch_manifest, load_manifest
from media.range_client import FetchLimits
from models.errors import InvalidManifest, MediaUnreachable
from simulator.media_host import MediaHost

ALLOWED = {"127.0.0.1"}


@pytest.mark.parametrize("path", ["rows.csv", "no-ranges/rows.csv"])
def test_manifest_is_fetched_with_and_without_ranges(
    path: str, samples: Path, media_host: MediaHost, trusting: ssl.SSLContext
) -> None:
    content = b"name,dataset_video\n" * 20_000
    (samples / "rows.csv").write_bytes(content)
    assert fetch_manifest(media_host.url(path), allowed_hosts=ALLOWED, ssl_context=trusting) == content
    assert len(media_host.requests) <= 2


@pytest.mark.parametrize(
    ("path", "message"),
    [("none.csv", "404"), ("status/403/rows.csv", "403"), ("redirect/http%3A%2F%2Fh%2Fa.csv", "not an HTTPS URL")],
)
def test_client_error_is_an_invalid_manifest(
    path: str, message: str, media_host: MediaHost, trusting: ssl.SSLContext
) -> None:
    url = f"{media_host.base_url}/{path}?sig=canary-signature"
    with pytest.raises(InvalidManifest, match=message) as caught:
        fetch_manifest(url, allowed_hosts=ALLOWED, ssl_context=trusting)
    assert "canary" not in caught.value.message + caught.value.hint


def test_private_manifest_host_gets_no_request(media_host: MediaHost, trusting: ssl.SSLContext) -> None:
    with pytest.raises(InvalidManifest, match="not a public address"):
        fetch_manifest(media_host.url("rows.csv"), ssl_context=trusting)
    assert media_host.requests == []


@pytest.mark.parametrize("path", ["large.csv", "no-ranges/large.csv"])
def test_oversized_manifest_is_rejected(
    path: str,
    samples: Path,
    media_host: MediaHost,
    trusting: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (samples / "large.csv").write_bytes(b"x" * 100_000)
    monkeypatch.setattr(manifest_loader, "MAX_BYTES", 99_999)  # 32 MiB over a socket would take long
    with pytest.raises(InvalidManifest, match=r"larger|cannot download"):
        fetch_manifest(media_host.url(path), allowed_hosts=ALLOWED, ssl_context=trusting)


def test_server_error_for_manifest_is_unreachable(media_host: MediaHost, trusting: ssl.SSLContext) -> None:
    limits = FetchLimits(max_attempts=1)
    with pytest.raises(MediaUnreachable, match="cannot download the manifest"):
        fetch_manifest(
            media_host.url("status/500/rows.csv"), allowed_hosts=ALLOWED, ssl_context=trusting, limits=limits
        )


def test_manifest_url_with_a_number_sign_is_refused() -> None:
    with pytest.raises(InvalidManifest, match="cut at a #") as caught:
        load_manifest("https://h.example/week#3.csv?sig=CANARY")
    assert "%23" in caught.value.hint
    assert "CANARY" not in f"{caught.value}"
