"""Sample videos, encoded once per session, and a real HTTPS host that serves them on loopback."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from media.remote.ssrf_guard import PublicOnlyTransport
from simulator.media_host import MediaHost, running_media_host


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of samples; a test creates those it needs with `simulator.sample_videos.ensure_sample`."""
    return tmp_path_factory.getbasetemp() / "samples"


@pytest.fixture(scope="session")
def session_media_host(samples: Path) -> Iterator[MediaHost]:
    samples.mkdir(exist_ok=True)
    with running_media_host(samples) as host:
        yield host


@pytest.fixture
def media_host(session_media_host: MediaHost) -> MediaHost:
    """The host of the session, with an empty list of requests."""
    session_media_host.requests.clear()
    return session_media_host


@pytest.fixture(scope="session")
def trusting(session_media_host: MediaHost) -> ssl.SSLContext:
    """An SSL context that trusts the certificate of the host."""
    return ssl.create_default_context(cafile=session_media_host.ca_file)


@pytest.fixture
def transport(trusting: ssl.SSLContext) -> Iterator[PublicOnlyTransport]:
    """A transport with the SSRF guard that allows the host."""
    with PublicOnlyTransport({"127.0.0.1"}, ssl_context=trusting) as allowing:
        yield allowing
