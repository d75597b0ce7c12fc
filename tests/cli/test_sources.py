"""Commands that only record refuse an address outside of AVATARS_SOURCES at once; nothing is read or uploaded."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from cli.local_uploads import upload_fields
from cli.main import run
from models.clock import SystemClock
from models.errors import InvalidRequest
from models.exit_codes import EXIT_OK, EXIT_USAGE
from models.provisioning import LeaseOwner, Provisioning, Status
from models.settings import Settings
from services.store import open_store
from simulator.sample_videos import ensure_sample

ALLOWED = "s3://allowed/people/ada.mp4"
HTTPS = "https://v.example/c.mp4"
OUTSIDE = ("s3://other/people/ada.mp4", "s3://allowed/people-2/ada.mp4", "gs://allowed/people/ada.mp4")


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "ledger.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{file}")
    monkeypatch.setenv("AVATARS_SOURCES", "s3://allowed/people")
    monkeypatch.setenv("ARGIL_API_KEY", "test-key")
    return file


def enqueue(*options: str) -> int:
    return run(["enqueue", "--name", "Ada", *options, "--json"])


def videos(dataset: str, consent: str = HTTPS) -> tuple[str, ...]:
    return ("--dataset-video", dataset, "--consent-video", consent)


def output(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def count(ledger: Path) -> int:
    with sqlite3.connect(ledger) as connection:
        [(number,)] = connection.execute("SELECT count(*) FROM provisionings")
    return int(number)


@pytest.mark.parametrize("address", OUTSIDE)
def test_enqueue_refuses_an_address_outside_of_the_sources(
    ledger: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in (videos(address), videos(ALLOWED, address), ("--image", address, "--consent-video", HTTPS)):
        assert enqueue(*options) == EXIT_USAGE
        error = output(capsys)["error"]
        assert error["code"] == "request.invalid"
        assert "AVATARS_SOURCES lists" in error["message"]
        assert address in error["message"]
        assert "AVATARS_SOURCES" in error["hint"]
    assert count(ledger) == 0
    assert enqueue(*videos(ALLOWED)) == EXIT_OK


def test_enqueue_without_sources_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AVATARS_SOURCES")
    assert enqueue(*videos(ALLOWED, ALLOWED)) == EXIT_USAGE
    message = output(capsys)["error"]["message"]
    assert message.count("AVATARS_SOURCES lists no bucket") == 2
    assert "dataset_video: " in message
    assert "consent_video: " in message


def test_enqueue_attaches_although_the_bucket_is_no_longer_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert enqueue(*videos(ALLOWED), "--reference", "r-1") == EXIT_OK
    first = output(capsys)["id"]
    monkeypatch.setenv("AVATARS_SOURCES", "s3://others")
    assert enqueue(*videos(ALLOWED), "--reference", "r-1") == EXIT_OK
    assert output(capsys)["id"] == first
    assert enqueue(*videos("s3://allowed/people/other.mp4"), "--reference", "r-1") == EXIT_USAGE


def test_retry_leaves_it_rejected_until_the_bucket_is_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert enqueue(*videos(ALLOWED), "--reference", "r-1") == EXIT_OK
    key = output(capsys)["id"]

    async def reject() -> Provisioning:
        async with open_store(Settings.load(), SystemClock()) as store:
            owner = LeaseOwner(actor="test", id="1")
            return await store.ledger.transition(
                await store.ledger.get(key), owner, "no", new_status=Status.REJECTED
            )

    asyncio.run(reject())
    monkeypatch.setenv("AVATARS_SOURCES", "s3://allowed/people-2")
    again = ["enqueue", "--name", "Ada", *videos(ALLOWED), "--reference", "r-1"]
    for action in (["retry", key, "--enqueue"], again):
        assert run([*action, "--json"]) == EXIT_USAGE
        assert "AVATARS_SOURCES" in capsys.readouterr().out
    assert run(["show", key, "--json"]) == EXIT_OK
    shown = output(capsys)
    assert shown["status"] == "REJECTED"
    assert [reason["code"] for reason in shown["reasons"]] == ["dataset.source-not-allowed"]
    monkeypatch.setenv("AVATARS_SOURCES", "s3://allowed/people")
    assert run(["retry", key, "--enqueue", "--json"]) == EXIT_OK
    assert output(capsys)["status"] == "ACCEPTED"


def test_nothing_is_uploaded_beside_an_address_outside_of_the_sources(
    monkeypatch: pytest.MonkeyPatch, sample_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AVATARS_UPLOAD_URL", "s3://uploads/people")  # an upload would find no store
    ensure_sample("consent.mp4", sample_folder)
    consent = str(sample_folder / "consent.mp4")
    fields = {"dataset_video": OUTSIDE[0], "consent_video": consent, "image": ""}
    for command in ("enqueue", "provision"):
        assert run([command, "--name", "Ada", *videos(OUTSIDE[0], consent), "--json"]) == EXIT_USAGE
        assert OUTSIDE[0] in output(capsys)["error"]["message"]
    with pytest.raises(InvalidRequest, match="dataset_video: must be in a bucket and folder"):
        upload_fields(fields, "avatars retrain", Settings.load())
