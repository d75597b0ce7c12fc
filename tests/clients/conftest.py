"""Sample videos, made once a session, and a real HTTPS host that serves them on loopback."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.address_guard import GuardedTransport
from simulator.media_host import MediaHost, running_media_host


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of samples; a test takes what it needs with `simulator.videos.sample`."""
    return tmp_path_factory.getbasetemp() / "samples"


@pytest.fixture(scope="session")
def session_media_host(samples: Path) -> Iterator[MediaHost]:
    samples.mkdir(exist_ok=True)
    with running_media_host(samples) as host:
        yield host


@pytest.fixture
def media_host(session_media_host: MediaHost) -> MediaHost:
    """The session's host, with no request noted yet."""
    session_media_host.requests.clear()
    return session_media_host


@pytest.fixture(scope="session")
def trusting(session_media_host: MediaHost) -> ssl.SSLContext:
    """A TLS context that trusts the host's certificate."""
    return ssl.create_default_context(cafile=session_media_host.ca_file)


@pytest.fixture
def transport(trusting: ssl.SSLContext) -> Iterator[GuardedTransport]:
    """A guarded transport that may connect to the host."""
    with GuardedTransport({"127.0.0.1"}, ssl_context=trusting) as guarded:
        yield guarded
