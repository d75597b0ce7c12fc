"""Image requests on the command line: the options, the rule about consent, the kind in JSON, and credits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from models.exit_codes import EXIT_OK, EXIT_USAGE

IMAGE = ("--image", "https://v.example/i.png")
CONSENT = ("--consent-video", "https://v.example/c.mp4")
VIDEO = ("--dataset-video", "https://v.example/d.mp4")
VOICE = "3f2b8c1e-5d47-4a90-9b6e-0c1d2e3f4a5b"


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.setenv("AVATARS_CREDENTIALS_BLOCK", "")


def output(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def enqueue(*options: str) -> int:
    return run(["enqueue", "--name", "Ada", *options, "--json"])


def test_image_request_is_recorded_with_its_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert enqueue(*IMAGE, *CONSENT, "--voice-id", VOICE, "--reference", "ada") == EXIT_OK
    assert output(capsys)["kind"] == "image"
    assert enqueue(*VIDEO, *CONSENT) == EXIT_OK
    assert output(capsys)["kind"] == "video"
    assert run(["list", "--json"]) == EXIT_OK
    assert sorted(item["kind"] for item in output(capsys)) == ["image", "video"]
    assert run(["show", "ada"]) == EXIT_OK
    assert "kind image" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (IMAGE, "consent_video"),
        ((*IMAGE, *VIDEO, *CONSENT), "image"),
        (CONSENT, "recordings"),
        (VIDEO, "consent_video"),
        ((*VIDEO, *CONSENT, "--voice-id", VOICE), "voice_id"),
        ((*IMAGE, *CONSENT, "--voice-id", "ada"), "voice_id"),
        (("--image", "http://v.example/i.png", *CONSENT), "image"),
    ],
)
def test_invalid_combination_is_a_usage_error(
    options: tuple[str, ...], field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert enqueue(*options) == EXIT_USAGE
    assert field in json.dumps(output(capsys))
    assert run(["list", "--json"]) == EXIT_OK
    assert output(capsys) == []


def test_consent_may_be_optional(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AVATARS_IMAGE_CONSENT", "optional")
    assert enqueue(*IMAGE) == EXIT_OK
    assert output(capsys)["status"] == "ACCEPTED"


def test_large_batch_names_the_credits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"Ada {number},https://v.example/{number}.png,https://v.example/{number}.mp4" for number in range(101)]
    manifest = tmp_path / "images.csv"
    manifest.write_text("\n".join(["name,image,consent_video", *rows]))
    assert run(["batch", str(manifest)]) == EXIT_USAGE
    text = " ".join(capsys.readouterr().err.split())
    assert "the batch would create 101 avatars" in text
    assert "101 from images for 202 credits (2 each)" in text
