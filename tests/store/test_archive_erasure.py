"""Erasure from archive files: only one person's messages change, and the ledger knows the new SHA-256."""

from __future__ import annotations

import gzip
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from models.archive import ARCHIVE_ACTOR, ArchiveRecord
from models.errors import ArchiveError, InvalidRequest
from models.privacy.erasure import ERASED_PLACEHOLDER
from models.provisioning import LeaseOwner, Provisioning, Status
from models.request import ProvisioningRequest
from services.erasure import erase_provisioning
from store.archive_file import ArchiveFile, file_sha256
from store.database import Database
from store.event_archive import EventArchive
from store.ledger import Ledger
from tests.fakes import FakeClock


class ArchivedLedger:
    """A ledger with two rejected provisionings, `ada` and `bob`, whose events are in an archive."""

    def __init__(self, database: Database, clock: FakeClock, owner: LeaseOwner) -> None:
        self.ledger = Ledger(database, clock)
        self.clock = clock
        self.owner = owner

    async def create(self, reference: str, request: ProvisioningRequest) -> Provisioning:
        opened, _ = await self.ledger.get_or_create(request, reference, self.owner)
        return await self.ledger.transition(
            opened, self.owner, f"{reference} was rejected", new_status=Status.REJECTED
        )

    async def archive(self, file: Path) -> None:
        archive = EventArchive(self.ledger.database, self.clock)
        await archive.archive(self.clock.now() - timedelta(days=1), ArchiveFile(file))

    async def erase(self, reference: str, *archives: Path) -> Any:
        return await erase_provisioning(self.ledger, self.clock, reference, self.owner, archives)

    async def record(self, reference: str) -> ArchiveRecord:
        """Return what the ledger records about the archive."""
        events = await self.ledger.list_events((await self.ledger.get(reference)).id)
        [record] = [ArchiveRecord.parse(event.message) for event in events if event.actor == ARCHIVE_ACTOR]
        assert record is not None
        return record


@pytest.fixture
async def archived(
    database: Database, clock: FakeClock, owner: LeaseOwner, provisioning_request: ProvisioningRequest
) -> ArchivedLedger:
    archived = ArchivedLedger(database, clock, owner)
    await archived.create("ada", provisioning_request)
    await archived.create("bob", provisioning_request)
    clock.advance(timedelta(days=2).total_seconds())
    return archived


def lines(file: Path) -> list[dict[str, Any]]:
    raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return [json.loads(line) for line in raw.decode().splitlines()]


def archive_names(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*.jsonl*")]


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


@pytest.mark.parametrize("name", ["old.jsonl", "old.jsonl.gz"])
async def test_only_the_messages_of_the_person_change(archived: ArchivedLedger, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    await archived.archive(file)
    ada, before = await archived.ledger.get("ada"), lines(file)
    report = await archived.erase("ada")
    assert (report.erased_archives, report.archives) == ([str(file)], [])
    assert lines(file) == [
        {**line, "message": ERASED_PLACEHOLDER} if line["provisioning_id"] == ada.id else line for line in before
    ]
    assert archive_names(tmp_path) == [name]
    assert mode(file) == 0o600
    digest = file_sha256(file)
    assert {(await archived.record(key)).sha256 for key in ("ada", "bob")} == {digest}
    await archived.erase("ada")
    assert file_sha256(file) == digest


async def test_moved_archive_is_erased_if_it_is_given(archived: ArchivedLedger, tmp_path: Path) -> None:
    await archived.archive(tmp_path / "old.jsonl")
    moved = tmp_path / "moved" / "old.jsonl"
    moved.parent.mkdir()
    (tmp_path / "old.jsonl").rename(moved)
    report = await archived.erase("ada")
    assert report.erased_archives == []
    assert "old.jsonl" in report.archives[0]
    assert any("--archive FILE" in step for step in report.remaining_steps("1"))
    assert (await archived.erase("ada", moved)).archives == []
    assert "ada was rejected" not in moved.read_text()


async def test_unknown_archive_changes_nothing(archived: ArchivedLedger, tmp_path: Path) -> None:
    await archived.archive(tmp_path / "old.jsonl")
    with pytest.raises(InvalidRequest, match=r"records no archive other\.jsonl"):
        await archived.erase("ada", tmp_path / "other.jsonl")
    assert (await archived.ledger.get("ada")).erased_at is None


async def test_changed_archive_is_left_unchanged(archived: ArchivedLedger, tmp_path: Path) -> None:
    file = tmp_path / "old.jsonl"
    await archived.archive(file)
    changed = file.read_text().replace("bob was rejected", "bob was not rejected")
    content = changed.encode()
    file.write_bytes(content)
    report = await archived.erase("ada")
    assert "the ledger records" in report.archives[0]
    with pytest.raises(ArchiveError, match="the ledger records"):
        await archived.erase("ada", file)
    assert file.read_bytes() == content


async def test_interrupted_archive_erasure_continues(
    archived: ArchivedLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "old.jsonl"
    await archived.archive(file)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            await archived.erase("ada")
    assert "ada was rejected" in file.read_text()
    (tmp_path / "old.jsonl.part").write_text("of a process that was killed")
    await archived.erase("ada")
    assert "ada was rejected" not in file.read_text()
    assert (await archived.record("bob")).sha256 == file_sha256(file)
    assert not (tmp_path / "old.jsonl.part").exists()


def test_archive_message_of_an_earlier_version_has_a_name() -> None:
    message = f"2 events until 2026-11-23 09:00:00 UTC moved to the archive a, b.gz, SHA-256 {'0' * 64}"
    assert ArchiveRecord.parse(message) == ArchiveRecord(file=Path("a, b.gz"), sha256="0" * 64)
    assert ArchiveRecord.parse("the request was recorded") is None


async def test_erasure_changes_the_file_behind_a_link(archived: ArchivedLedger, tmp_path: Path) -> None:
    link, file = tmp_path / "events.jsonl.gz", tmp_path / "volume"
    await archived.archive(link)
    link.rename(file)
    link.symlink_to(file)
    report = await archived.erase("ada")
    assert report.erased_archives == [str(link)]
    assert link.is_symlink()
    assert b"ada was rejected" not in gzip.decompress(file.read_bytes())
    assert b"bob was rejected" in gzip.decompress(file.read_bytes())


async def test_archive_with_a_hard_link_is_reported(archived: ArchivedLedger, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    await archived.archive(file)
    (tmp_path / "events.jsonl.part").hardlink_to(file)  # of an archive run that was interrupted; it is removed
    (tmp_path / "second").hardlink_to(file)
    report = await archived.erase("ada")
    assert report.erased_archives == []
    assert "hard links" in report.archives[0]
    (tmp_path / "second").unlink()
    assert (await archived.erase("ada")).erased_archives == [str(file)]
    assert archive_names(tmp_path) == ["events.jsonl"]


async def test_archive_that_is_a_named_pipe_is_refused(archived: ArchivedLedger, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    await archived.archive(file)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ArchiveError, match="named pipe"):
        await archived.erase("ada", file)
