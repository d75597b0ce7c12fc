"""`avatars check` reads an object by its URI, and refuses a URI that AVATARS_SOURCES does not list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.check import check
from models.errors import InvalidRequest, StoreUnavailable
from models.media.rules import MediaRole
from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator
from tests.cli_process import avatars
from tests.s3_recordings import BUCKET, DATASET, s3, session_s3  # noqa: F401  # fixtures
from tests.s3_server import S3Server


def test_object_is_checked_by_its_uri(
    s3: S3Server,  # noqa: F811
    videos: MediaHost,
    sample_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    s3.put(BUCKET, "people/ada/dataset.mp4", sample_folder / "dataset.mp4")
    monkeypatch.setenv("AVATARS_SOURCES", f"s3://{BUCKET}")
    assert check(DATASET, role=MediaRole.DATASET) == 0
    assert "X-Amz-" not in "".join(capsys.readouterr())
    assert check(f"s3://{BUCKET}/no.mp4", role=MediaRole.DATASET, json=True) == 2
    document = capsys.readouterr().out
    assert [reason["code"] for reason in json.loads(document)["reasons"]] == ["dataset.not-found"]
    assert "X-Amz-" not in document


def test_object_of_another_source_is_not_read(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("AVATARS_SOURCES", f"s3://{BUCKET}/people")
    for address in (f"s3://{BUCKET}/people-2/a.mp4", "s3://other/people/a.mp4", f"s3://{BUCKET}/people/../a.mp4"):
        with pytest.raises(InvalidRequest) as raised:
            check(address, role=MediaRole.DATASET)
        assert address in raised.value.message
        assert "AVATARS_SOURCES" in raised.value.message or "segment . or .." in raised.value.message
    assert s3.requests == []


def test_store_without_permission_is_operational(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("AVATARS_SOURCES", f"s3://{BUCKET}")
    s3.denied.add(BUCKET)
    with pytest.raises(StoreUnavailable, match="may not read the object"):
        check(DATASET, role=MediaRole.DATASET)


@pytest.mark.system
@pytest.mark.timeout(600)  # several commands with flows
def test_commands_read_no_object_of_another_source(
    simulated: ArgilSimulator,
    s3: S3Server,  # noqa: F811
    prefect_api_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AVATARS_SOURCES", f"s3://{BUCKET}/people/")
    addresses = ("s3://other-bucket/people/a.mp4", f"s3://{BUCKET}/people-2/a.mp4", f"s3://{BUCKET}-2/people/a.mp4")
    outside = f"s3://{BUCKET}/people/../x.mp4"
    for number, address in enumerate(addresses):
        fields = ["--name", "Ada", "--dataset-video", address, "--consent-video", address]
        refused = avatars("provision", *fields, "--reference", f"r-{number}", "--json")
        assert (refused.code, refused.document["status"]) == (2, "REJECTED")
        assert {reason["code"].partition(".")[2] for reason in refused.document["reasons"]} == {
            "source-not-allowed"
        }
    fields = ["--name", "Ada", "--dataset-video", outside, "--consent-video", outside]
    for command in ("provision", "enqueue"):
        refused = avatars(command, *fields, "--json")
        assert (refused.code, refused.document["error"]["code"]) == (2, "request.invalid")
        assert "segment . or .." in refused.document["error"]["message"]
    rows = "".join(f"{n},{address},{address}\n" for n, address in enumerate((*addresses, outside)))
    (tmp_path / "people.csv").write_text(f"name,dataset_video,consent_video\n{rows}")
    batch = avatars("batch", str(tmp_path / "people.csv"), "--allow-shared-recordings", "--json")
    assert batch.document["counts"] == {"REJECTED": 3, "INVALID": 1}
    assert s3.requests == []
    assert simulated.account.posts == []
