"""Argil removes the create with videos in the middle of a batch of 200; images under the same references follow."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from simulator.server import ArgilSimulator
from tests.cli_process import CompletedCommand, avatars, start

ROWS = 200
SUBMITTED = 50
TIMEOUT_SECONDS = 300

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(900)]


def write_manifest(path: Path, with_videos: set[str]) -> str:
    """Write 200 rows; those whose reference is in `with_videos` have videos, the others an image."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "dataset_video", "image", "consent_video", "reference"])
        for number in range(ROWS):
            reference, base = f"creator-{number}", f"https://videos.example/{number}"
            recordings = [f"{base}/d.mp4", ""] if reference in with_videos else ["", f"{base}/i.png"]
            writer.writerow([f"Ada {number}", *recordings, f"{base}/c.mp4", reference])
    return str(path)


def listed() -> dict[str, list[dict[str, Any]]]:
    """Return the provisionings of the ledger by their status."""
    by_status: dict[str, list[dict[str, Any]]] = {}
    for provisioning in avatars("list", "--json", "--limit", str(2 * ROWS)).document:
        by_status.setdefault(provisioning["status"], []).append(provisioning)
    return by_status


def counts(by_status: dict[str, list[dict[str, Any]]]) -> dict[str, int]:
    return {status: len(provisionings) for status, provisionings in by_status.items()}


SETTINGS = {
    "AVATARS_MEDIA_CHECK": "off",
    "AVATARS_REQUESTS_PER_SECOND": "1000",
    "AVATARS_POLL_MIN_SECONDS": "1",
    "AVATARS_POLL_MIN_IMAGE_SECONDS": "1",
}


@pytest.mark.usefixtures("prefect_api_url")
def test_removal_in_a_batch_loses_nothing_and_images_follow(simulated: ArgilSimulator, tmp_path: Path) -> None:
    account = simulated.account
    account.removes_video_create_after(SUBMITTED)
    everyone = {f"creator-{number}" for number in range(ROWS)}
    batch = ["batch", write_manifest(tmp_path / "videos.csv", everyone), "--yes", "--json", "--concurrency", "1"]
    stopped = CompletedCommand(start(*batch, **SETTINGS), TIMEOUT_SECONDS)
    assert stopped.code == 3, stopped.err
    ended = listed()
    assert counts(ended) == {"READY": SUBMITTED, "ACCEPTED": ROWS - SUBMITTED}
    codes = Counter(reason["code"] for waiting in ended["ACCEPTED"] for reason in waiting["reasons"])
    assert codes == {"argil.video-create-removed": 1, "pause.video-create": ROWS - SUBMITTED - 1}
    assert len(account.posts) == SUBMITTED + 1

    doctor = avatars("doctor", "--json", **SETTINGS)
    limits = next(result for result in doctor.document if result["check"] == "Limits")
    assert not limits["ok"]
    assert "image" in limits["hint"]

    mixed = write_manifest(tmp_path / "images.csv", {ready["reference"] for ready in ended["READY"]})
    finished = CompletedCommand(start("batch", mixed, "--yes", "--json", **SETTINGS), TIMEOUT_SECONDS)
    assert finished.code == 0, finished.err
    assert counts(listed()) == {"READY": ROWS}
    assert len(account.posts) == ROWS + 1
    kinds: Any = Counter(post.get("type", "videos") for post in account.posts)
    assert kinds == {"videos": SUBMITTED + 1, "IMAGE": ROWS - SUBMITTED}
