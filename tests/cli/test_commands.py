"""The `avatars` command as its users run it: real processes, exit codes, one JSON document on stdout."""

from __future__ import annotations

import shutil
import signal
import uuid
from pathlib import Path

import pytest

from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator
from tests.commands import Ran, avatars, provision_words, start


@pytest.mark.system
@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
def test_each_outcome_has_its_exit_code_and_its_document(
    simulated: ArgilSimulator, videos: MediaHost, sample_folder: Path
) -> None:
    own = uuid.uuid4().hex
    for name in ("dataset.mp4", "consent.mp4"):
        shutil.copyfile(sample_folder / name, sample_folder / f"{own}-{name}")
    cases = {
        "READY": (0, provision_words(videos)),
        "REJECTED": (2, provision_words(videos, dataset="dataset-40s.mp4", consent="consent-45s.mp4")),
        "SUBMISSION_FAILED": (4, provision_words(videos, fault="invalid")),
        "TRAINING_FAILED": (10, provision_words(videos, fault="fail")),
        "REFUSED": (
            11,
            provision_words(videos, fault="refuse", dataset=f"{own}-dataset.mp4", consent=f"{own}-consent.mp4"),
        ),
        "TIMED_OUT": (12, provision_words(videos, fault="never")),
        "VANISHED": (14, provision_words(videos, fault="vanish")),
    }
    hasty = {"TIMED_OUT": {"AVATARS_TRAINING_TIMEOUT_SECONDS": "3"}}
    started = {status: start(*words, "--json", **hasty.get(status, {})) for status, (_, words) in cases.items()}
    ran = {status: Ran(process) for status, process in started.items()}
    assert {status: one.code for status, one in ran.items()} == {
        status: code for status, (code, _) in cases.items()
    }
    for status, one in ran.items():
        assert one.document["status"] == status
        assert set(one.document) == {
            *("id", "reference", "name", "status", "avatar_id", "reasons", "submissions"),
            *("created_at", "updated_at", "flow_run_id"),
        }
    rejected = ran["REJECTED"].document
    assert [reason["code"] for reason in rejected["reasons"]] == ["dataset.too-short", "consent.too-long"]
    assert all(set(reason) == {"code", "message", "hint"} for reason in rejected["reasons"])

    listed = avatars("list", "--json").document
    assert sorted(one["status"] for one in listed) == sorted(cases)
    shown = avatars("show", ran["READY"].document["id"], "--json").document
    statuses = ["ACCEPTED", "ACCEPTED", "SUBMITTING", "TRAINING"]
    assert [event["to_status"] for event in shown["events"]][:4] == statuses
    assert shown["events"][-1]["to_status"] == "READY"
    assert shown["media"]["dataset"]["video_codec"]
    released = avatars("release", ran["REFUSED"].document["id"], "--why", "reviewed by Eve")
    assert released.out.count("released https://") == 2
    assert "READY" in avatars("list", "--status", "READY").out
    assert "Argil created avatar" in avatars("show", ran["READY"].document["id"]).out


@pytest.mark.system
@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
def test_the_same_reference_reports_the_first_outcome_and_another_request_is_a_conflict(
    simulated: ArgilSimulator, videos: MediaHost
) -> None:
    first = avatars(*provision_words(videos), "--reference", "creator-1", "--json")
    second = avatars(*provision_words(videos), "--reference", "creator-1", "--json")
    assert (first.code, second.code) == (0, 0)
    assert second.document == first.document
    other = avatars(*provision_words(videos, name="Grace"), "--reference", "creator-1", "--json")
    assert other.code == 2
    assert other.document["error"]["code"] == "request.reference-conflict"
    assert len(simulated.world.posts) == 1


@pytest.mark.system
@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
def test_a_wrong_key_is_one_clear_message_and_resume_goes_on_once_it_is_mended(
    simulated: ArgilSimulator, videos: MediaHost
) -> None:
    wrong = avatars(*provision_words(videos), "--reference", "r", ARGIL_API_KEY="wrong")
    assert wrong.code == 3
    assert "refuses the API key" in wrong.err
    assert wrong.out == ""
    [stopped] = avatars("list", "--json").document
    assert f"`avatars resume {stopped['id']}`" in wrong.err
    resumed = avatars("resume", "r", "--json")
    assert (resumed.code, resumed.document["status"]) == (0, "READY")


@pytest.mark.system
@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
def test_ctrl_c_in_mid_training_keeps_what_was_recorded_and_resume_goes_on_at_once(
    simulated: ArgilSimulator, videos: MediaHost
) -> None:
    process = start(*provision_words(videos, fault="never"), "--reference", "r")
    told = ""
    while "Argil says" not in told:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line, told
        told += line
    process.send_signal(signal.SIGINT)
    stopped = Ran(process)
    assert stopped.code == 130
    assert "avatars resume" in stopped.err
    ran = avatars("resume", "r", "--json", AVATARS_TRAINING_TIMEOUT_SECONDS="0.1")
    assert (ran.code, ran.document["status"]) == (12, "TIMED_OUT")
    assert "another run drives" not in ran.err
    assert len(simulated.world.posts) == 1


@pytest.mark.system
@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url", "simulated")
def test_an_api_that_is_nowhere_is_one_clear_message(videos: MediaHost) -> None:
    ran = avatars(*provision_words(videos), "--json", ARGIL_API_URL="http://127.0.0.1:9/v1")
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
    ("options", "told"),
    [
        ({"--name": "x" * 300}, "name: String should have at most 256 characters"),
        ({"--dataset-video": "http://h/d.mp4?sig=canary-signature"}, "dataset_video: must begin with https://"),
        ({"--extra": "no-pair"}, "must be KEY=VALUE"),
        ({"--extra": "submission_id=1"}, "must not hold 'submission_id'"),
        ({"--no-such-option": "1"}, "no-such-option"),
    ],
)
def test_bad_usage_is_one_clear_message(options: dict[str, str], told: str) -> None:
    ran = avatars("provision", *(word for pair in {**VALID, **options}.items() for word in pair))
    assert ran.code == 2
    assert told in ran.err
    assert ran.out == ""


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"ARGIL_API_KEY": ""}, "ARGIL_API_KEY is not set"),
        ({"ARGIL_API_URL": "http://argil.example/v1"}, "ARGIL_API_URL: Value error, must be https"),
        ({"AVATARS_DATABASE_URL": "sqlite+aiosqlite:////no/such/folder/l.db"}, "unable to open database file"),
        ({"AVATARS_DATABASE_URL": "postgresql+asyncpg://a:canary-api-key@127.0.0.1:9/l"}, "the ledger at"),
        ({"PREFECT_API_URL": "http://127.0.0.1:9/api"}, "no Prefect API answers"),
    ],
)
def test_what_the_operator_must_mend_is_one_clear_message(environment: dict[str, str], told: str) -> None:
    ran = avatars("provision", *(word for pair in VALID.items() for word in pair), **environment)
    assert ran.code == 3
    assert told in ran.err
    assert ran.out == ""


def test_every_problem_of_a_request_is_told_at_once(simulated: ArgilSimulator) -> None:
    ran = avatars(
        "provision", "--name", "", "--dataset-video", "ftp://a/b", "--consent-video", "https://", "--json"
    )
    assert ran.code == 2
    for field in ("name", "dataset_video", "consent_video"):
        assert f"{field}: " in ran.document["error"]["message"]


@pytest.mark.usefixtures("simulated")
def test_check_reads_a_huge_file_with_its_index_at_the_end_for_a_few_requests(videos: MediaHost) -> None:
    before = len(videos.requests)
    ran = avatars("check", videos.url("dataset-1.4gb.mp4"), "--role", "dataset", "--json")
    assert ran.code == 0
    assert len(videos.requests) - before == ran.document["requests"] <= 4
    assert ran.document["bytes_fetched"] <= 600_000
    facts = ran.document["facts"]
    assert (facts["width"], facts["height"], facts["size_bytes"]) == (1280, 720, 1_400_000_000)
    told = avatars("check", videos.url("dataset-1.4gb.mp4"), "--role", "dataset").out
    for fact in ("1,400,000,000 bytes", "container mp4", "codec", "1280x720", "duration 75.00 s", "pass"):
        assert fact in told


@pytest.mark.usefixtures("simulated")
def test_check_tells_what_breaks_a_rule(videos: MediaHost) -> None:
    ran = avatars("check", f"{videos.url('consent-45s.mp4')}?sig=canary-signature", "--role", "consent")
    assert ran.code == 2
    assert "fail" in ran.out
    assert "at most 30 seconds" in ran.out


def test_a_private_address_is_not_read(videos: MediaHost, clean_environment: Path) -> None:
    before = len(videos.requests)
    ran = avatars("check", videos.url("dataset.mp4"), "--role", "dataset", "--json")
    assert ran.code == 2
    assert [reason["code"] for reason in ran.document["reasons"]] == ["dataset.address-not-public"]
    assert len(videos.requests) == before


@pytest.mark.system
def test_doctor_finds_all_well_or_says_what_is_not(
    simulated: ArgilSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    well = avatars("doctor", "--json")
    assert well.code == 0, well.out
    assert all(finding["well"] for finding in well.document)
    ill = avatars(
        "doctor", "--json", ARGIL_API_KEY="wrong", AVATARS_DATABASE_URL="sqlite+aiosqlite:////no/such/l.db"
    )
    assert ill.code == 3
    bad = {finding["subject"]: finding["hint"] for finding in ill.document if not finding["well"]}
    assert set(bad) == {f"Argil at {simulated.api_url}", "Ledger"}
    assert all(bad.values())


def test_an_unknown_provisioning_is_a_clear_error(simulated: ArgilSimulator) -> None:
    for command in ("show", "resume"):
        ran = avatars(command, "nobody", "--json")
        assert (ran.code, ran.document["error"]["code"]) == (2, "request.unknown-provisioning")


def test_db_upgrade_says_where_the_ledger_stands(simulated: ArgilSimulator) -> None:
    assert "revision 0005" in avatars("db", "upgrade").out
