"""Fixtures for tests with recordings on the S3 server: the server, and the settings to use it in this process."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.s3_server import KEY_ID, REGION, SECRET_KEY, S3Server, running_s3_server
from tests.s3_signatures import NEVER, Credential

BUCKET = "recordings"
DATASET, CONSENT = f"s3://{BUCKET}/people/ada/dataset.mp4", f"s3://{BUCKET}/people/ada/consent.mp4"


@pytest.fixture(scope="session")
def session_s3() -> Iterator[S3Server]:
    with running_s3_server() as server:
        yield server


@pytest.fixture
def s3(session_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """An S3 server with two recordings, whose credentials are in the environment."""
    from moto.s3.models import s3_backends

    session_s3.requests.clear()
    session_s3.create_bucket(BUCKET)
    for uri in (DATASET, CONSENT):
        session_s3.put(BUCKET, uri.removeprefix(f"s3://{BUCKET}/"), uri.encode())
    for name, value in session_s3.environment.items():
        monkeypatch.setenv(name, value)
    yield session_s3
    s3_backends.reset()
    session_s3.region, session_s3.credentials = REGION, {KEY_ID: Credential(SECRET_KEY)}
    session_s3.clock_offset, session_s3.expired_before = timedelta(0), NEVER
    session_s3.denied.clear()
    session_s3.before_request = None
