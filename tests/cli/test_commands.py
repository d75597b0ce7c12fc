"""The `avatars` command as a process: exit codes and one JSON document on stdout."""

from __future__ import annotations

import hashlib
import signal
import uuid
from pathlib import Path

import pytest

from simulator.media_host import MediaHost
from simulator.sample_videos import copy_as_another_recording
from simulator.server import ArgilSimulator
from store.migrate import HEAD_REVISION
from tests.cli_process import CompletedCommand, avatars, provision_args, start
from tests.media.image_files import encode

pytestmark = pytest.mark.system


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
def test_each_outcome_has_its_exit_code_and_document(
    simulated: ArgilSimulator, videos: MediaHost, sample_folder: Path
) -> None:
    copy = uuid.uuid4().hex
    for name in ("dataset.mp4", "consent.mp4"):
        copy_as_another_recording(sample_folder / name, sample_folder / f"{copy}-{name}")
    cases = {
        "READY": (0, provision_args(videos)),
        "REJECTED": (2, provision_args(videos, dataset="dataset-40s.mp4", consent="consent-45s.mp4")),
        "SUBMISSION_FAILED": (4, provision_args(videos, fault="invalid")),
        "TRAINING_FAILED": (10, provision_args(videos, fault="fail")),
        "REFUSED": (
            11,
            provision_args(videos, fault="refuse", dataset=f"{copy}-dataset.mp4", consent=f"{copy}-consent.mp4"),
        ),
        "TIMED_OUT": (12, provision_args(videos, fault="never")),
        "VANISHED": (14, provision_args(videos, fault="vanish")),
    }
    settings = {"TIMED_OUT": {"AVATARS_TRAINING_TIMEOUT_SECONDS": "3"}}
    started = {status: start(*args, "--json", **settings.get(status, {})) for status, (_, args) in cases.items()}
    ran = {status: CompletedCommand(process) for status, process in started.items()}
    assert {status: command.code for status, command in ran.items()} == {
        status: code for status, (code, _) in cases.items()
    }
    for status, command in ran.items():
        assert command.document["status"] == status
        assert set(command.document) == {
            *("id", "reference", "name", "status", "avatar_id", "voice_id", "reasons", "submissions"),
            *("created_at", "updated_at", "flow_run_id", "batch_id", "kind", "voice_source", "erased_at"),
        }
    rejected = ran["REJECTED"].document
    assert [reason["code"] for reason in rejected["reasons"]] == [
        "dataset.duration-too-short",
        "consent.duration-too-long",
    ]
    assert all(set(reason) == {"code", "message", "hint"} for reason in rejected["reasons"])

    provisionings = avatars("list", "--json").document
    assert sorted(item["status"] for item in provisionings) == sorted(cases)
    details = avatars("show", ran["READY"].document["id"], "--json").document
    statuses = ["ACCEPTED", "ACCEPTED", "SUBMITTING", "TRAINING"]
    assert [event["to_status"] for event in details["events"]][:4] == statuses
    assert details["events"][-1]["to_status"] == "READY"
    assert details["media"]["dataset"]["video_codec"]
    released = avatars("release", ran["REFUSED"].document["id"], "--reason", "reviewed by Eve")
    assert released.out.count("released https://") == 2
    refused = avatars("show", ran["REFUSED"].document["id"]).out
    assert "avatars release" not in refused
    assert "with another reference" in refused
    assert "reviewed by Eve" in refused
    evidence = avatars("evidence", ran["REFUSED"].document["id"], "--json").document
    assert [(item["reason"], item["recordings"]) for item in evidence["releases"]] == [("reviewed by Eve", 2)]
    assert "READY" in avatars("list", "--status", "READY").out
    assert "Argil created avatar" in avatars("show", ran["READY"].document["id"]).out


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
def test_same_reference_attaches_other_request_conflicts(simulated: ArgilSimulator, videos: MediaHost) -> None:
    first = avatars(*provision_args(videos), "--reference", "creator-1", "--json")
    second = avatars(*provision_args(videos), "--reference", "creator-1", "--json")
    assert (first.code, second.code) == (0, 0)
    assert second.document == first.document
    other = avatars(*provision_args(videos, name="Grace"), "--reference", "creator-1", "--json")
    assert other.code == 2
    assert other.document["error"]["code"] == "request.reference-conflict"
    assert len(simulated.account.posts) == 1


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
def test_wrong_key_is_one_clear_error_and_resume_continues(simulated: ArgilSimulator, videos: MediaHost) -> None:
    wrong = avatars(*provision_args(videos), "--reference", "r", ARGIL_API_KEY="wrong")
    assert wrong.code == 3
    assert "rejects the API key" in wrong.err
    assert wrong.out == ""
    [stopped] = avatars("list", "--json").document
    assert f"`avatars resume {stopped['id']}`" in wrong.err
    resumed = avatars("resume", "r", "--json")
    assert (resumed.code, resumed.document["status"]) == (0, "READY")


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("has_server", [True, False], ids=["configured-api", "own-server"])
def test_stop_in_training_keeps_progress_for_resume(
    number: signal.Signals, has_server: bool, simulated: ArgilSimulator, videos: MediaHost
) -> None:
    environment = {} if has_server else {"PREFECT_API_URL": ""}
    process = start(*provision_args(videos, fault="never"), "--reference", "r", **environment)
    output = ""
    while "Argil reports" not in output:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line, output
        output += line
    process.send_signal(number)
    stopped = CompletedCommand(process)
    assert stopped.code == 130
    assert "avatars resume" in stopped.err
    assert "Traceback" not in stopped.err
    ran = avatars("resume", "r", "--json", AVATARS_TRAINING_TIMEOUT_SECONDS="0.1")
    assert (ran.code, ran.document["status"]) == (12, "TIMED_OUT")
    assert "another run holds" not in ran.err
    assert len(simulated.account.posts) == 1


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url", "simulated")
def test_unreachable_api_is_one_clear_error(videos: MediaHost) -> None:
    ran = avatars(*provision_args(videos), "--json", ARGIL_API_URL="http://127.0.0.1:9/v1")
    assert ran.code == 3
    assert ran.document["error"]["code"] == "argil.unreachable"
    assert "no connection to Argil at http://127.0.0.1:9/v1" in ran.err


VALID = {
    "--name": "Ada",
    "--dataset-video": "https://videos.example/d.mp4",
    "--consent-video": "https://videos.example/c.mp4",
}


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"--name": "x" * 300}, "name: must have at most 256 characters"),
        ({"--dataset-video": "http://h/d.mp4?sig=canary-signature"}, "dataset_video: must begin with https://"),
        ({"--extra": "no-pair"}, "must be KEY=VALUE"),
        ({"--extra": "submission_id=1"}, "must not contain 'submission_id'"),
        ({"--no-such-option": "1"}, "no-such-option"),
    ],
)
def test_bad_usage_is_one_clear_error(options: dict[str, str], message: str) -> None:
    ran = avatars("provision", *(arg for pair in {**VALID, **options}.items() for arg in pair))
    assert ran.code == 2
    assert message in ran.err
    assert ran.out == ""


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"ARGIL_API_KEY": ""}, "ARGIL_API_KEY is not set"),
        ({"ARGIL_API_URL": "http://argil.example/v1"}, "ARGIL_API_URL: Value error, must be https"),
        ({"AVATARS_DATABASE_URL": "sqlite+aiosqlite:////no/such/folder/l.db"}, "unable to open database file"),
        ({"AVATARS_DATABASE_URL": "postgresql+asyncpg://a:canary-api-key@127.0.0.1:9/l"}, "the ledger at"),
        ({"PREFECT_API_URL": "http://127.0.0.1:9/api"}, "no Prefect API responds"),
    ],
)
def test_operational_error_is_one_clear_error(environment: dict[str, str], message: str) -> None:
    ran = avatars("provision", *(arg for pair in VALID.items() for arg in pair), **environment)
    assert ran.code == 3
    assert message in ran.err
    assert ran.out == ""


@pytest.mark.parametrize(
    ("args", "setting"),
    [
        (["provision", *(arg for pair in VALID.items() for arg in pair)], "PREFECT_SERVER_API_AUTH_STRING"),
        (["up", "--port", "0"], "PREFECT_SERVER_API_AUTH_STRING"),
        (["doctor", "--json"], "PREFECT_API_AUTH_STRING"),
    ],
    ids=["provision", "up", "doctor"],
)
def test_unusable_password_is_one_clear_error(
    simulated: ArgilSimulator, monkeypatch: pytest.MonkeyPatch, args: list[str], setting: str
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    ran = avatars(*args, **{setting: "reader:canary-signature-é"})
    assert ran.code == 3
    assert f"{setting} must be user:password in printable ASCII" in " ".join((ran.out + ran.err).split())


def test_all_problems_of_a_request_are_reported(simulated: ArgilSimulator) -> None:
    ran = avatars(
        "provision", "--name", "", "--dataset-video", "ftp://a/b", "--consent-video", "https://", "--json"
    )
    assert ran.code == 2
    for field in ("name", "dataset_video", "consent_video"):
        assert f"{field}: " in ran.document["error"]["message"]


@pytest.mark.usefixtures("simulated")
def test_check_reads_1_4_gb_file_with_few_requests(videos: MediaHost) -> None:
    before = len(videos.requests)
    ran = avatars("check", videos.url("dataset-1.4gb.mp4"), "--role", "dataset", "--json")
    assert ran.code == 0
    assert len(videos.requests) - before == ran.document["requests"] <= 4
    assert ran.document["bytes_fetched"] <= 600_000
    facts = ran.document["facts"]
    assert (facts["width"], facts["height"], facts["size_bytes"]) == (1280, 720, 1_400_000_000)
    text = avatars("check", videos.url("dataset-1.4gb.mp4"), "--role", "dataset").out
    for fact in ("1,400,000,000 bytes", "container mp4", "codec", "1280x720", "duration 75.00 s", "pass"):
        assert fact in text


@pytest.mark.usefixtures("simulated")
def test_check_reports_broken_rules(videos: MediaHost) -> None:
    ran = avatars("check", f"{videos.url('consent-45s.mp4')}?sig=canary-signature", "--role", "consent")
    assert ran.code == 2
    assert "fail" in ran.out
    assert "at most 30 seconds" in ran.out


@pytest.mark.usefixtures("simulated")
def test_check_of_an_image_names_the_crop(videos: MediaHost, sample_folder: Path) -> None:
    data = encode("JPEG", 1920, 1104)
    (sample_folder / "portrait.jpg").write_bytes(data)
    url = f"{videos.url('portrait.jpg')}?sig=canary-signature"
    ran = avatars("check", url, "--role", "image", "--json")
    assert ran.code == 2
    assert [reason["code"] for reason in ran.document["reasons"]] == ["image.wrong-aspect-ratio"]
    assert ran.document["reasons"][0]["hint"].startswith("crop it to 1920x1080 (remove 12 rows at the top")
    assert ran.document["facts"]["sha256"] == hashlib.sha256(data).hexdigest()
    text = avatars("check", url, "--role", "image").out
    for fact in ("format JPEG", "resolution 1920x1104", f"{len(data):,} bytes", "fail", "remove 12 rows"):
        assert fact in text


def test_check_does_not_connect_to_private_address(videos: MediaHost, clean_environment: Path) -> None:
    before = len(videos.requests)
    ran = avatars("check", videos.url("dataset.mp4"), "--role", "dataset", "--json")
    assert ran.code == 2
    assert [reason["code"] for reason in ran.document["reasons"]] == ["dataset.address-not-public"]
    assert len(videos.requests) == before


def test_doctor_reports_each_check(simulated: ArgilSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    healthy = avatars("doctor", "--json")
    assert healthy.code == 0, healthy.out
    assert all(result["ok"] for result in healthy.document)
    broken = avatars(
        "doctor", "--json", ARGIL_API_KEY="wrong", AVATARS_DATABASE_URL="sqlite+aiosqlite:////no/such/l.db"
    )
    assert broken.code == 3
    hints = {result["check"]: result["hint"] for result in broken.document if not result["ok"]}
    assert set(hints) == {f"Argil at {simulated.api_url}", "Ledger"}
    assert all(hints.values())


def test_doctor_tells_a_url_without_an_api(simulated: ArgilSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    without_version = simulated.api_url.removesuffix("/v1")
    ran = avatars("doctor", "--json", ARGIL_API_URL=without_version)
    assert ran.code == 3
    [result] = [result for result in ran.document if result["check"] == f"Argil at {without_version}"]
    assert "has no API for avatars" in result["detail"]
    assert "https://api.argil.ai/v1" in result["hint"]


def test_unknown_provisioning_is_one_clear_error(simulated: ArgilSimulator) -> None:
    for command in ("show", "resume"):
        ran = avatars(command, "missing", "--json")
        assert (ran.code, ran.document["error"]["code"]) == (2, "request.unknown-provisioning")


def test_db_upgrade_prints_the_revision(simulated: ArgilSimulator) -> None:
    assert f"revision {HEAD_REVISION}" in avatars("db", "upgrade").out


def test_backup_can_be_listed_as_a_ledger(tmp_path: Path) -> None:
    ledger, backup = (f"sqlite+aiosqlite:///{tmp_path / name}" for name in ("ledger.db", "backup.db"))
    assert avatars("db", "upgrade", AVATARS_DATABASE_URL=ledger).code == 0
    copied = avatars("db", "backup", str(tmp_path / "backup.db"), AVATARS_DATABASE_URL=ledger)
    assert (copied.code, copied.err) == (0, "")
    assert f"was copied to {tmp_path / 'backup.db'} (" in copied.out
    assert avatars("list", "--json", AVATARS_DATABASE_URL=f"{backup}?mode=ro").document == []
    again = avatars("db", "backup", str(tmp_path / "backup.db"), AVATARS_DATABASE_URL=ledger)
    assert again.code == 2
    assert "already exists" in again.err
