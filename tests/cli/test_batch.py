"""`avatars batch` as a process: exit codes, JSON output, results files, and a kill during the batch."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator
from tests.cli_process import CompletedCommand, avatars, start

pytestmark = pytest.mark.system


SHARED = "--allow-shared-recordings"
"""Most batches here use the same two sample recordings in every row."""


def batch(*args: str, **environment: str) -> CompletedCommand:
    return avatars("batch", SHARED, *args, **environment)


def row(videos: MediaHost, name: str, fault: str = "", dataset: str = "dataset.mp4") -> list[str]:
    signed = "?X-Amz-Signature=canary-signature"
    return [name, videos.url(dataset) + signed, videos.url("consent.mp4") + signed, fault]


def manifest(folder: Path, rows: list[list[str]]) -> Path:
    path = folder / "creators.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "dataset_video", "consent_video", "extras.simulator"])
        writer.writerows(rows)
    return path


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
def test_batch_reports_each_row_and_writes_results_file(
    simulated: ArgilSimulator, videos: MediaHost, tmp_path: Path
) -> None:
    rows = [row(videos, "Ada"), row(videos, ""), row(videos, "Grace"), row(videos, "Joan", "fail")]
    ran = batch(str(manifest(tmp_path, rows)), "--json")
    assert ran.code == 1
    assert ran.document["counts"] == {"READY": 2, "INVALID": 1, "TRAINING_FAILED": 1}
    assert [item["status"] for item in ran.document["rows"]] == ["READY", "INVALID", "READY", "TRAINING_FAILED"]
    assert "line 3, name" in ran.document["rows"][1]["reasons"][0]["message"]
    assert (tmp_path / "creators.results.csv").stat().st_mode & 0o777 == 0o600
    with (tmp_path / "creators.results.csv").open(newline="", encoding="utf-8-sig") as file:
        results = list(csv.DictReader(file))
    assert [(result["name"], result["result_status"], result["result_avatar_id"]) for result in results] == [
        (fields[0], item["status"], item["avatar_id"] or "")
        for fields, item in zip(rows, ran.document["rows"], strict=True)
    ]
    corrected = batch(str(tmp_path / "creators.results.csv"), "--dry-run", "--json")
    assert [item["id"] for item in corrected.document["rows"]] == [item["id"] for item in ran.document["rows"]]
    assert "rows finished" in ran.err
    assert "INFO" not in ran.err

    good_rows = [fields for fields in rows if fields[0] in {"Ada", "Grace"}]
    again = batch(str(manifest(tmp_path, good_rows)), "--results", str(tmp_path / "out.json"))
    assert again.code == 0
    assert "2 rows: 2 READY" in again.out
    documents = json.loads((tmp_path / "out.json").read_text())
    assert [item["id"] for item in documents] == [ran.document["rows"][n]["id"] for n in (0, 2)]
    assert Counter(avatar["name"] for avatar in simulated.account.avatars) == {"Ada": 1, "Grace": 1, "Joan": 1}


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
def test_batch_dry_run_over_https_sends_nothing(
    simulated: ArgilSimulator, videos: MediaHost, sample_folder: Path, tmp_path: Path
) -> None:
    rows = [row(videos, "Ada"), row(videos, "Eve", dataset="dataset-40s.mp4")]
    manifest(sample_folder, rows)
    results = str(tmp_path / "results.csv")
    url = f"{videos.url('creators.csv')}?X-Amz-Signature=canary-signature"
    ran = batch(url, "--dry-run", "--results", results, "--json")
    assert ran.code == 1
    assert [item["status"] for item in ran.document["rows"]] == ["WOULD_CREATE", "WOULD_REJECT"]
    assert [reason["code"] for reason in ran.document["rows"][1]["reasons"]] == ["dataset.duration-too-short"]
    good = batch(str(manifest(tmp_path, rows[:1])), "--dry-run", "--json")
    assert (good.code, good.document["counts"]) == (0, {"WOULD_CREATE": 1})
    assert simulated.account.posts == []


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
def test_batch_with_wrong_key_still_writes_results(
    simulated: ArgilSimulator, videos: MediaHost, tmp_path: Path
) -> None:
    ran = batch(str(manifest(tmp_path, [row(videos, "Ada")])), "--json", ARGIL_API_KEY="wrong")
    assert (ran.code, ran.document["error"]["code"]) == (3, "argil.unauthorized")
    assert "argil.unauthorized" in (tmp_path / "creators.results.csv").read_text()


def test_shared_recordings_are_refused_without_a_terminal(
    simulated: ArgilSimulator, videos: MediaHost, tmp_path: Path
) -> None:
    path = manifest(tmp_path, [row(videos, "Ada"), row(videos, "Eve"), row(videos, "Kim", dataset="other.mp4")])
    for args in ([str(path)], [str(path), "--json"]):
        ran = avatars("batch", *args)
        assert ran.code == 2
        assert f"! lines 2, 3 share the dataset recording {videos.url('dataset.mp4')}\n" in ran.err
        assert f"! lines 2, 3, 4 share the consent recording {videos.url('consent.mp4')}\n" in ran.err
        assert SHARED in ran.err
    assert ran.document["error"]["code"] == "request.shared-recordings"
    assert simulated.account.posts == []
    assert list(tmp_path.glob("*.results.*")) == []


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
def test_dry_run_and_allowed_batch_list_shared_recordings(
    simulated: ArgilSimulator, videos: MediaHost, tmp_path: Path
) -> None:
    path = str(manifest(tmp_path, [row(videos, "Ada"), row(videos, "Eve")]))
    preview = avatars("batch", path, "--dry-run", "--json")
    assert preview.code == 0
    [group] = preview.document["shared_recordings"]
    assert (group["lines"], group["roles"]) == ([2, 3], ["dataset", "consent"])
    assert group["recordings"] == [videos.url("dataset.mp4"), videos.url("consent.mp4")]
    assert simulated.account.posts == []
    allowed = avatars("batch", path, SHARED, "--json")
    assert (allowed.code, len(allowed.document["shared_recordings"])) == (0, 1)
    again = avatars("batch", path, "--json")  # both rows are recorded: they attach
    assert (again.code, again.document["shared_recordings"]) == (0, [])
    assert len(simulated.account.posts) == 2


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
@pytest.mark.parametrize(("reply", "code", "posts"), [(b"n\n", 2, 0), (b"\n", 2, 0), (b"y\n", 0, 2)])
def test_shared_recordings_are_asked_about_on_a_terminal(
    simulated: ArgilSimulator, videos: MediaHost, tmp_path: Path, reply: bytes, code: int, posts: int
) -> None:
    path = manifest(tmp_path, [row(videos, "Ada"), row(videos, "Eve")])
    terminal, child_terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "batch", str(path)],
        stdin=child_terminal,
        stdout=subprocess.DEVNULL,
        stderr=child_terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(child_terminal)
    output = b""
    while b"[y/N]" not in output and (chunk := _read(terminal)):
        output += chunk
    os.write(terminal, reply)
    while chunk := _read(terminal):
        output += chunk
    assert process.wait(100) == code
    assert "share the dataset and consent recordings" in output.decode()
    assert len(simulated.account.posts) == posts


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("none.csv", None, "No such file"),
        ("a.xlsx", "", "is not a spreadsheet"),
        ("a.docx", "", "is .docx, which is not read"),
        ("a.csv", "nmae,dataset_video,consent_video\nx,y,z\n", "did you mean 'nmae'?"),
        ("a.yaml", "- [", "not valid YAML at line"),
        ("a.jsonl", "", "has no rows"),
    ],
)
def test_batch_with_unreadable_manifest_is_bad_usage(
    name: str, text: str | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    ran = batch(str(path))
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert list(tmp_path.glob("*.results.*")) == []


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
def test_batch_on_a_terminal_shows_live_progress(
    simulated: ArgilSimulator, videos: MediaHost, tmp_path: Path
) -> None:
    path = manifest(tmp_path, [row(videos, f"row {number}") for number in range(8)])
    terminal, child_terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "batch", SHARED, str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=child_terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(child_terminal)
    output = b""
    while chunk := _read(terminal):
        output += chunk
    assert process.wait(100) == 0
    text = output.decode()
    assert "TRAINING" in text
    assert "of 8" in text
    assert "rows/s" in text
    assert "canary" not in text


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux raises EIO once the other side is closed
        return b""


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
def test_killed_batch_restarted_creates_one_avatar_per_row(
    simulated: ArgilSimulator, videos: MediaHost, tmp_path: Path
) -> None:
    faults = ["", "", "cut-after-create", "error-after-create", "fail"]
    rows = [row(videos, f"row {number}", faults[number % len(faults)]) for number in range(40)]
    path = str(manifest(tmp_path, rows))
    process = start("batch", SHARED, path, "--concurrency", "5", AVATARS_REQUESTS_PER_SECOND="20")
    deadline = time.monotonic() + 60
    while len(simulated.account.avatars) < 15:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert len(simulated.account.avatars) < 40
    again = batch(path, "--json")
    assert again.code == 1
    assert again.document["counts"] == {"READY": 32, "TRAINING_FAILED": 8}
    counts = Counter(avatar["name"] for avatar in simulated.account.avatars)
    assert counts == {f"row {number}": 1 for number in range(40)}
