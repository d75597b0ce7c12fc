"""The same request again: one command must not create a second avatar unnoticed."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from media.manifest_loader import load_manifest
from models.clock import SystemClock
from models.exit_codes import EXIT_OK, EXIT_OPERATIONAL_ERROR, EXIT_USAGE
from models.manifest.shared_recordings import SharedRecordingGroup
from models.provisioning import Status
from models.settings import Settings
from services.recordings.shared_recordings import find_new_shared_recordings
from services.store import open_store

ADA = ("--name", "Ada")
VIDEO = ("--dataset-video", "https://v.example/d.mp4", "--consent-video", "https://v.example/c.mp4")
IMAGE = ("--image", "https://v.example/i.png", "--consent-video", "https://v.example/c.mp4")
ALLOWED = {Status.REJECTED, Status.CANCELLED, Status.REFUSED}
"""After these, a person sends a request again on purpose, unless a cancelled one was submitted."""

Document = Callable[[], Any]


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARGIL_API_KEY", "canary-api-key")
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    return tmp_path / "ledger.db"


@pytest.fixture
def document(ledger: Path, capsys: pytest.CaptureFixture[str]) -> Document:
    return lambda: json.loads(capsys.readouterr().out)


def enqueue(*options: str) -> int:
    return run(["enqueue", *options, "--json"])


def references(document: Document) -> list[str]:
    assert run(["list", "--json"]) == EXIT_OK
    return [item["reference"] for item in document()]


@pytest.mark.parametrize("recordings", [VIDEO, IMAGE])
@pytest.mark.parametrize("command", ["enqueue", "provision"])
@pytest.mark.parametrize("reference", [(), ("--reference", "ada-2")])
def test_same_request_again_creates_nothing(
    recordings: tuple[str, ...], command: str, reference: tuple[str, ...], document: Document
) -> None:
    assert enqueue(*ADA, *recordings, "--reference", "ada lovelace") == EXIT_OK
    recorded = document()
    assert run([command, *ADA, *recordings, *reference, "--json"]) == EXIT_USAGE
    error = document()["error"]
    assert error["code"] == "request.on-record"
    assert recorded["id"] in error["message"]
    assert "ACCEPTED" in error["message"]
    assert "`'--reference=ada lovelace'` attaches to it" in error["hint"]
    assert f"`avatars cancel {recorded['id']}` withdraws it" in error["hint"]
    assert "`--another`" in error["hint"]
    assert references(document) == ["ada lovelace"]


def test_another_avatar_is_created_if_a_person_asks_for_it(document: Document) -> None:
    assert enqueue(*ADA, *VIDEO) == EXIT_OK
    document()
    assert enqueue(*ADA, *VIDEO, "--another") == EXIT_OK
    document()
    assert len(references(document)) == 2


@pytest.mark.parametrize("another", [("--name", "Ada L"), (*ADA, "--extra", "team=b")])
def test_request_that_differs_is_recorded(another: tuple[str, ...], document: Document) -> None:
    assert enqueue(*ADA, *VIDEO) == EXIT_OK
    document()
    assert enqueue(*another, *VIDEO) == EXIT_OK
    document()
    assert enqueue(*ADA, *IMAGE) == EXIT_OK
    document()
    assert len(references(document)) == 3


def test_reference_on_record_attaches(document: Document) -> None:
    assert enqueue(*ADA, *VIDEO, "--reference", "ada-1") == EXIT_OK
    document()
    assert enqueue(*ADA, *VIDEO, "--reference", "ada-2", "--another") == EXIT_OK
    document()
    assert enqueue(*ADA, *VIDEO, "--reference", "ada-1") == EXIT_OK
    assert document()["reference"] == "ada-1"
    assert sorted(references(document)) == ["ada-1", "ada-2"]


def set_columns(ledger: Path, reference: str | None = None, **values: object) -> None:
    columns = ", ".join(f"{name} = ?" for name in values)
    where = "" if reference is None else " WHERE reference = ?"
    parameters = [*values.values(), *([] if reference is None else [reference])]
    with sqlite3.connect(ledger) as connection:
        connection.execute(f"UPDATE provisionings SET {columns}{where}", parameters)  # noqa: S608  # constants
    connection.close()


@pytest.mark.parametrize("submissions", [0, 1])
@pytest.mark.parametrize("status", list(Status))
def test_status_decides_whether_the_same_request_is_allowed(
    status: Status, submissions: int, ledger: Path, document: Document
) -> None:
    assert enqueue(*ADA, *VIDEO) == EXIT_OK
    document()
    set_columns(ledger, status=status.value, submission_count=submissions)
    is_allowed = status in ALLOWED and not (status is Status.CANCELLED and submissions)
    assert enqueue(*ADA, *VIDEO) == (EXIT_OK if is_allowed else EXIT_USAGE)
    document()
    assert len(references(document)) == (2 if is_allowed else 1)


def test_request_that_replaces_another_is_compared(document: Document) -> None:
    other = [*VIDEO[:1], "https://v.example/other.mp4", *VIDEO[2:]]
    for recordings, reference in ((VIDEO, "ada-1"), (other, "ada-2")):
        assert enqueue(*ADA, *recordings, "--reference", reference) == EXIT_OK
        document()
    assert enqueue(*ADA, *VIDEO, "--reference", "ada-2") == EXIT_USAGE
    assert document()["error"]["code"] == "request.on-record"
    assert enqueue(*ADA, *VIDEO, "--reference", "ada-2", "--another") == EXIT_OK


def test_rejected_request_that_is_opened_again_is_compared(ledger: Path, document: Document) -> None:
    for reference in ("ada-1", "ada-2"):
        assert enqueue(*ADA, *VIDEO, "--reference", reference, "--another") == EXIT_OK
        document()
    set_columns(ledger, "ada-2", status=Status.REJECTED.value)
    assert enqueue(*ADA, *VIDEO, "--reference", "ada-2") == EXIT_USAGE
    assert "'ada-1'" in document()["error"]["message"]
    set_columns(ledger, "ada-1", status=Status.REJECTED.value)
    assert enqueue(*ADA, *VIDEO, "--reference", "ada-2") == EXIT_OK
    assert document()["status"] == "ACCEPTED"


def test_missing_key_is_named_before_a_ledger_is_created(
    ledger: Path, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ARGIL_API_KEY")
    monkeypatch.setenv("AVATARS_CREDENTIALS_BLOCK", "")
    assert run(["provision", *ADA, *VIDEO, "--json"]) == EXIT_OPERATIONAL_ERROR
    assert "ARGIL_API_KEY" in document()["error"]["message"]
    assert not ledger.exists()


@pytest.mark.parametrize(("answer", "count"), [("y", 2), ("n", 1)])
def test_person_on_a_terminal_is_asked(
    answer: str, count: int, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []

    def confirm(question: str) -> bool:
        questions.append(question)
        return answer == "y"

    assert enqueue(*ADA, *VIDEO) == EXIT_OK
    recorded = document()
    monkeypatch.setattr("cli.provision.confirm", confirm)
    assert enqueue(*ADA, *VIDEO) == (EXIT_OK if answer == "y" else EXIT_USAGE)
    document()
    assert [recorded["id"] in question for question in questions] == [True]
    assert len(references(document)) == count


def manifest(tmp_path: Path, reference: str, *, name: str = "Ada") -> Path:
    path = tmp_path / "creators.csv"
    row = f"{name},https://v.example/d.mp4,https://v.example/c.mp4?X-Amz-Signature=canary-signature,{reference}"
    path.write_text(f"name,dataset_video,consent_video,reference\n{row}\n")
    return path


def test_batch_with_a_request_on_record_is_refused(tmp_path: Path, document: Document) -> None:
    assert enqueue(*ADA, *VIDEO, "--reference", "ada-1") == EXIT_OK
    recorded = document()
    assert run(["batch", str(manifest(tmp_path, "ada-2")), "--json"]) == EXIT_USAGE
    error = document()["error"]
    assert error["code"] == "request.shared-recordings"
    assert (
        f"line 2 ('ada-2') has the same name, recordings and extras as provisioning {recorded['id']}"
        in (error["message"])
    )
    assert "canary" not in str(error)
    assert "--allow-shared-recordings" in error["hint"]
    assert references(document) == ["ada-1"]


@pytest.mark.parametrize(
    ("reference", "name", "lines"),
    [("ada-1", "Ada", []), ("ada-2", "Ada", [(2,)]), ("", "Ada", [(2,)]), ("ada-2", "Ada L", [])],
)
def test_row_on_record_is_a_group_unless_it_attaches(
    reference: str, name: str, lines: list[tuple[int, ...]], tmp_path: Path, document: Document
) -> None:
    assert enqueue(*ADA, *VIDEO, "--reference", "ada-1") == EXIT_OK
    document()
    rows = load_manifest(str(manifest(tmp_path, reference, name=name))).rows

    async def find() -> list[SharedRecordingGroup]:
        async with open_store(Settings.load(), SystemClock()) as store:
            return await find_new_shared_recordings(store.ledger, rows)

    groups = asyncio.run(find())
    assert [group.lines for group in groups] == lines
    assert all("reference 'ada-1', ACCEPTED" in group.provisioning for group in groups)
