"""Local files through the real commands: uploaded, used by URI, and deleted; memory and kills with 1.4 GB."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import run
from models.exit_codes import EXIT_OK, EXIT_USAGE
from simulator.sample_videos import ensure_sample
from simulator.server import ArgilSimulator, run_argil
from tests.cli_process import CompletedCommand, avatars, start
from tests.media.image_files import png
from tests.s3_server import S3Request, S3Server, running_s3_server

MAX_MEMORY_KIB = 150 * 1024


@pytest.fixture
def server() -> Iterator[S3Server]:
    with running_s3_server() as server:
        server.create_bucket("uploads")
        yield server


@pytest.fixture
def folder(
    tmp_path: Path, sample_folder: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    for source, name in (("dataset.mp4", "Ada Lovelace.mov"), ("consent.mp4", "consent.mp4")):
        ensure_sample(source, sample_folder)
        (tmp_path / name).write_bytes((sample_folder / source).read_bytes())
    monkeypatch.chdir(tmp_path)
    with run_argil(api_key="canary-api-key", training_seconds=1.0) as argil:
        for name, value in {
            **server.environment,
            **environment_of(argil),
            "AVATARS_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}",
            "AVATARS_UPLOAD_URL": "s3://uploads/people/",
        }.items():
            monkeypatch.setenv(name, value)
        yield tmp_path


def environment_of(argil: ArgilSimulator) -> dict[str, str]:
    return {"ARGIL_API_URL": argil.api_url, "ARGIL_API_KEY": argil.api_key, "AVATARS_POLL_MIN_SECONDS": "0.2"}


def request_args(command: str, dataset: str = "./Ada Lovelace.mov", consent: str = "consent.mp4") -> list[str]:
    return [command, "--name", "Ada", "--dataset-video", dataset, "--consent-video", consent]


def key_of(path: Path) -> str:
    with path.open("rb") as file:
        return f"people/{hashlib.file_digest(file, 'sha256').hexdigest()}{path.suffix}"


def test_local_file_is_checked_without_a_bucket(
    folder: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AVATARS_UPLOAD_URL")
    assert run(["check", "./Ada Lovelace.mov", "--role", "dataset", "--json"]) == EXIT_OK
    assert json.loads(capsys.readouterr().out)["facts"]["size_bytes"] > 0
    assert run(["check", "consent.mp4", "--role", "dataset"]) == EXIT_USAGE
    assert "record at least 60" in " ".join(capsys.readouterr().out.split())
    assert run(["check", "file:///srv/ada.mov", "--role", "dataset"]) == EXIT_USAGE
    assert "write /srv/ada.mov" in capsys.readouterr().err
    for command in ("provision", "enqueue"):
        assert run([*request_args(command), "--json"]) == EXIT_USAGE
        assert "AVATARS_UPLOAD_URL" in json.loads(capsys.readouterr().out)["error"]["hint"]
    assert server.requests == []


def test_local_image_is_checked_and_needs_consent_before_its_upload(
    folder: Path, server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "ada.png").write_bytes(png())
    assert run(["check", "./ada.png", "--role", "image", "--json"]) == EXIT_OK
    assert json.loads(capsys.readouterr().out)["facts"]["format"] == "png"
    enqueue = ["enqueue", "--name", "Ada", "--image", "./ada.png", "--json"]
    assert run(enqueue) == EXIT_USAGE
    assert "consent_video" in json.loads(capsys.readouterr().out)["error"]["message"]
    assert server.requests == []
    assert run([*enqueue, "--consent-video", "consent.mp4"]) == EXIT_OK
    assert {*server.sizes("uploads")} == {key_of(folder / "ada.png"), key_of(folder / "consent.mp4")}


def test_all_problems_are_reported_before_anything_is_uploaded(
    folder: Path, server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo("pipe.mp4")
    assert run([*request_args("enqueue", "consent.mp4", "pipe.mp4"), "--extra", "submission_id=1"]) == EXIT_USAGE
    printed = capsys.readouterr()
    for problem in ("at least 60 seconds", "it is a named pipe", "extras: must not contain 'submission_id'"):
        assert problem in printed.err
    assert printed.out == ""
    assert server.requests == []


@pytest.mark.parametrize("command", ["enqueue", "provision"])
def test_files_of_an_equal_request_are_not_uploaded_again(
    command: str, folder: Path, server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*request_args("enqueue"), "--reference", "r-1"]) == EXIT_OK
    for name in ("Ada Lovelace.mov", "consent.mp4"):
        server.delete("uploads", key_of(folder / name))
    capsys.readouterr()
    assert run([*request_args(command), "--json"]) == EXIT_USAGE
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "request.on-record"
    assert (server.count("PUT", "uploads"), server.sizes("uploads")) == (2, {})


def test_enqueue_uploads_and_records_the_uris(
    folder: Path, server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*request_args("enqueue"), "--reference", "r-1", "--json"]) == EXIT_OK
    printed = capsys.readouterr()
    assert json.loads(printed.out)["status"] == "ACCEPTED"
    assert "uploaded ./Ada Lovelace.mov" in printed.err
    assert {*server.sizes("uploads")} == {key_of(folder / "Ada Lovelace.mov"), key_of(folder / "consent.mp4")}
    with sqlite3.connect(folder / "ledger.db") as ledger:
        [(request,)] = ledger.execute("SELECT request FROM provisionings")
        [(uses,)] = ledger.execute("SELECT count(*) FROM upload_uses")
    assert json.loads(request)["dataset_video"] == f"s3://uploads/{key_of(folder / 'Ada Lovelace.mov')}"
    assert uses == 2


@pytest.mark.system
@pytest.mark.timeout(600)  # several commands with flows
def test_provision_uses_uploads_and_deletes_them_when_ready(
    folder: Path, server: S3Server, prefect_api_url: str
) -> None:
    first = avatars(*request_args("provision"), "--reference", "r-1", "--json")
    assert (first.code, first.document["status"]) == (0, "READY")
    assert len(server.sizes("uploads")) == 2
    again = avatars(*request_args("provision"), "--reference", "r-1", "--json")
    assert again.document["id"] == first.document["id"]
    assert server.count("PUT") == 2
    assert all("canary-s3" not in text for text in (first.err, first.out, again.err))
    shown = avatars("erase", "r-1", "--json")
    assert len(shown.document["uploads"]) == 2
    server.put("uploads", "people/of-others.mp4", b"x")
    erased = avatars("erase", "r-1", "--json", AVATARS_UPLOAD_DELETE="true")
    assert (len(erased.document["deleted_uploads"]), erased.document["uploads"]) == (2, [])
    assert [*server.sizes("uploads")] == ["people/of-others.mp4"]
    last = avatars(*request_args("provision"), "--reference", "r-2", "--json", AVATARS_UPLOAD_DELETE="true")
    assert last.document["status"] == "READY"
    assert [*server.sizes("uploads")] == ["people/of-others.mp4"]


@pytest.mark.system
@pytest.mark.timeout(600)  # several commands with flows
def test_batch_uploads_each_file_once_and_a_dry_run_none(
    folder: Path, server: S3Server, prefect_api_url: str
) -> None:
    rows = "".join(f"A{number},Ada Lovelace.mov,consent.mp4,r-{number}\n" for number in range(6))
    (folder / "people.csv").write_text(
        f"name,dataset_video,consent_video,reference\n{rows}Bad,consent.mp4,consent.mp4,b\n"
    )
    dry = avatars("batch", "people.csv", "--dry-run", "--json", AVATARS_UPLOAD_URL="")
    assert dry.document["counts"] == {"WOULD_CREATE": 6, "INVALID": 1}
    refused = avatars("batch", "people.csv")
    assert (refused.code, server.requests) == (2, [])  # the rows share recordings, which was not allowed
    batch = avatars("batch", "people.csv", "--allow-shared-recordings", "--json")
    assert batch.document["counts"] == {"READY": 6, "INVALID": 1}
    assert server.count("PUT") == 2


@pytest.mark.system
@pytest.mark.timeout(600)  # the server digests 2 GB
def test_killed_upload_of_1_4_gb_starts_again_in_little_memory(
    folder: Path, sample_folder: Path, server: S3Server
) -> None:
    ensure_sample("dataset-1.4gb.mp4", sample_folder)
    huge = sample_folder / "dataset-1.4gb.mp4"
    key = key_of(huge)
    is_half, may_go_on = threading.Event(), threading.Event()

    def block_at_half(request: S3Request) -> None:
        if request.query.get("partNumber") == "80":
            is_half.set()
            may_go_on.wait(60)

    server.before_request = block_at_half
    process = start(*request_args("enqueue", str(huge)), "--reference", "r-1")
    assert is_half.wait(300)
    os.kill(process.pid, signal.SIGKILL)
    may_go_on.set()
    process.communicate()
    assert key not in server.sizes("uploads")
    assert len(server.sizes("uploads")) == 1  # the consent video, which was complete
    with sqlite3.connect(folder / "ledger.db") as ledger:
        assert [*ledger.execute("SELECT count(*), count(completed_at) FROM uploads")] == [(2, 1)]
        assert [*ledger.execute("SELECT count(*) FROM provisionings")] == [(0,)]

    server.requests.clear()
    peaks: list[int] = []

    def measure(request: S3Request) -> None:
        if request.method == "POST" and "uploadId" in request.query and request.key == key:
            status = Path(f"/proc/{process.pid}/status").read_text()
            peaks.append(int(status.partition("VmHWM:")[2].split()[0]))

    server.before_request = measure
    process = start(*request_args("enqueue", str(huge)), "--reference", "r-1")
    command = CompletedCommand(process, timeout_seconds=300)
    assert command.code == 0, command.err
    assert server.sizes("uploads")[key] == huge.stat().st_size
    assert {request.key for request in server.requests if request.method == "PUT"} == {key}
    assert "consent.mp4 is already at s3://uploads/people/" in command.err
    assert "50%" in command.err
    assert command.out
    [peak] = peaks
    assert peak < MAX_MEMORY_KIB
