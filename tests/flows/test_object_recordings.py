"""Recordings by URI on a real Prefect server and a real S3 server: no signature is stored anywhere."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from prefect.client.schemas.objects import State

from flows.engine.batch import progress_observer
from flows.provision_avatar import provision_avatar
from flows.provision_batch import provision_batch
from models.batch import BatchProgress
from simulator.media_host import MediaHost
from simulator.sample_videos import copy_as_another_recording
from simulator.server import ArgilSimulator
from tests.s3_recordings import BUCKET, s3, session_s3  # noqa: F401  # fixtures
from tests.s3_server import KEY_ID, SECRET_KEY, S3Server

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.system,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("prefect_api_url"),
]

ROWS = 200


@pytest.fixture
def store(
    simulated: ArgilSimulator,
    s3: S3Server,  # noqa: F811
    sample_folder: Path,
    videos: MediaHost,
    monkeypatch: pytest.MonkeyPatch,
) -> S3Server:
    """The S3 server with real recordings; requests may name those below people/."""
    for name in ("dataset.mp4", "consent.mp4"):
        s3.put(BUCKET, f"people/Ada Lovelace/{name}", sample_folder / name)
    monkeypatch.setenv("SSL_CERT_FILE", str(s3.ca_file))
    monkeypatch.setenv("AVATARS_SOURCES", f"s3://{BUCKET}/people/")
    monkeypatch.delenv("AVATARS_MEDIA_ALLOWED_HOSTS")
    return s3


def row(name: str, **changes: Any) -> dict[str, Any]:
    folder = f"s3://{BUCKET}/people/Ada%20Lovelace"
    return {
        "name": name,
        "dataset_video": f"{folder}/dataset.mp4",
        "consent_video": f"{folder}/consent.mp4",
        **changes,
    }


def sent_urls(argil: ArgilSimulator) -> list[str]:
    return [body[name]["url"] for body in argil.account.posts for name in ("datasetVideo", "consentVideo")]


def signatures(argil: ArgilSimulator) -> set[bytes]:
    return {parse_qs(urlsplit(url).query)["X-Amz-Signature"][0].encode() for url in sent_urls(argil)}


async def files_with(texts: set[bytes], *folders: Path) -> set[str]:
    from deployments.embedded.prefect_session import flush_telemetry

    await asyncio.to_thread(flush_telemetry)
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    assert any(file.name == "ledger.db" for file in files)
    assert any("prefect" in file.name and file.suffix == ".db" for file in files)
    return {file.name for file in files if any(text in file.read_bytes() for text in texts)}


async def test_one_avatar_leaves_no_signature(
    simulated: ArgilSimulator,
    store: S3Server,
    tmp_path: Path,
    clean_environment: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    state: State = await provision_avatar(request=row("Ada"), wait="block", return_state=True)
    assert state.name == "Ready"
    [dataset, consent] = sent_urls(simulated)
    for url, key in ((dataset, "dataset.mp4"), (consent, "consent.mp4")):
        downloaded = await asyncio.to_thread(httpx.get, url, timeout=60)
        assert downloaded.content == store.read(BUCKET, f"people/Ada Lovelace/{key}")
    secrets = {*signatures(simulated), f"X-Amz-Credential={KEY_ID}".encode(), SECRET_KEY.encode()}
    assert len(secrets) == 4
    assert await files_with(secrets, tmp_path, clean_environment) == set()
    output = "".join(capfd.readouterr()) + caplog.text
    assert not [secret for secret in secrets if secret in output.encode()]


async def test_batch_of_200_by_uri(
    simulated: ArgilSimulator,
    store: S3Server,
    sample_folder: Path,
    tmp_path: Path,
    clean_environment: Path,
) -> None:
    observed: list[BatchProgress] = []
    progress_observer.set(observed.append)
    for number in range(0, ROWS, 50):
        copy = tmp_path / f"{number}.mp4"
        copy_as_another_recording(sample_folder / "dataset.mp4", copy)
        store.put(BUCKET, f"people/{number}.mp4", copy)
    rows = [
        row(f"creator {n}", dataset_video=f"s3://{BUCKET}/people/{n - n % 50}.mp4", reference=f"c-{n}")
        for n in range(ROWS)
    ]
    rows[7]["dataset_video"] = f"s3://{BUCKET}/people/no-such.mp4"
    rows[8]["dataset_video"] = f"s3://{BUCKET}-2/people/0.mp4"
    rows[9]["dataset_video"] = f"s3://{BUCKET}/people/../people/0.mp4"
    await provision_batch(rows=rows, allow_shared_recordings=True, return_state=True)
    [progress] = observed
    assert Counter(each.status for each in progress.rows) == {"READY": ROWS - 3, "REJECTED": 2, "INVALID": 1}
    codes = {progress.rows[number].reasons[0].code for number in (7, 8, 9)}
    assert codes == {"dataset.not-found", "dataset.source-not-allowed", "row.dataset_video"}
    assert len(sent_urls(simulated)) == 2 * (ROWS - 3)
    assert await files_with(signatures(simulated), tmp_path, clean_environment) == set()
    assert {request.bucket for request in store.requests} == {BUCKET}
