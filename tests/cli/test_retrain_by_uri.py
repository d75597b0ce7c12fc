"""`avatars provision` and `retrain` by URI: after the first signature has expired, Argil gets another one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator
from tests.cli_process import avatars
from tests.s3_recordings import BUCKET, CONSENT, DATASET, s3, session_s3  # noqa: F401  # fixtures
from tests.s3_server import KEY_ID, SECRET_KEY, S3Server

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]  # two commands with flows


def sent_urls(argil: ArgilSimulator) -> list[str]:
    return [body[name]["url"] for body in argil.account.posts for name in ("datasetVideo", "consentVideo")]


def statuses(urls: list[str]) -> list[int]:
    return [httpx.get(url).status_code for url in urls]


def test_retrain_after_the_first_signature_has_expired(
    simulated: ArgilSimulator,
    s3: S3Server,  # noqa: F811
    videos: MediaHost,
    prefect_api_url: str,
    sample_folder: Path,
    tmp_path: Path,
    clean_environment: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for uri, name in ((DATASET, "dataset.mp4"), (CONSENT, "consent.mp4")):
        s3.put(BUCKET, uri.removeprefix(f"s3://{BUCKET}/"), sample_folder / name)
    monkeypatch.setenv("AVATARS_SOURCES", f"s3://{BUCKET}/people")
    monkeypatch.delenv("AVATARS_MEDIA_ALLOWED_HOSTS")
    for variable in ("PREFECT_LOGGING_LEVEL", "PREFECT_LOGGING_ROOT_LEVEL"):
        monkeypatch.setenv(variable, "DEBUG")
    recordings = ("--dataset-video", DATASET, "--consent-video", CONSENT)
    failed = avatars(
        "provision", "--name", "Ada", *recordings, "--extra", "simulator=fail", "--reference", "r-1", "--json"
    )
    assert (failed.code, failed.document["status"]) == (10, "TRAINING_FAILED")
    first = sent_urls(simulated)
    assert statuses(first) == [200, 200]
    s3.expired_before = datetime.now(UTC)
    assert statuses(first) == [403, 403]
    again = avatars("retrain", "r-1", "--reason", "the simulator fails", "--json")
    assert (again.code, again.document["id"]) == (10, failed.document["id"])
    second = sent_urls(simulated)[2:]
    assert len(second) == 2
    assert statuses(second) == [200, 200]
    shown = [avatars(*command, "--json").out for command in (("show", "r-1"), ("evidence", "r-1"), ("list",))]
    signatures = {parse_qs(urlsplit(url).query)["X-Amz-Signature"][0] for url in (*first, *second)}
    assert len(signatures) == 4
    secrets = {*signatures, f"X-Amz-Credential={KEY_ID}", SECRET_KEY}
    printed = "".join([failed.out, failed.err, again.out, again.err, *shown])
    assert not [secret for secret in secrets if secret in printed]
    files = [file for folder in (tmp_path, clean_environment) for file in folder.rglob("*") if file.is_file()]
    assert any(file.name == "ledger.db" for file in files)
    assert any("prefect" in file.name and file.suffix == ".db" for file in files)
    content = {file.name: file.read_bytes() for file in files}
    assert not {name for name, data in content.items() for secret in secrets if secret.encode() in data}
