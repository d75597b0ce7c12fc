"""The event archive on both engines: a crash loses no event, and only final provisionings are archived."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from models.archive import ARCHIVABLE_STATUSES, ARCHIVE_ACTOR, ArchivedEvent
from models.argil.webhook import WebhookDelivery
from models.errors import ArchiveError, DatabaseError, InvalidRequest
from models.provisioning import LeaseOwner, Provisioning, ProvisioningEvent, Status, SubmissionState
from models.request import ProvisioningRequest
from models.submission_resolution import Resolution, resolve_submissions
from models.tables import webhook_delivery_table
from store import event_archive as module
from store.archive_file import ArchiveFile
from store.database import Database
from store.erasure import erase
from store.event_archive import EventArchive
from store.evidence import list_evidence
from store.ledger import Ledger
from store.webhook_deliveries import WebhookDeliveryRepository
from tests.fakes import FakeClock

MIN_AGE = timedelta(days=90)


class History:
    """A ledger with one old provisioning per final status and some that are not final."""

    def __init__(
        self, database: Database, clock: FakeClock, request: ProvisioningRequest, owner: LeaseOwner
    ) -> None:
        self.ledger = Ledger(database, clock)
        self.archive = EventArchive(database, clock)
        self.clock = clock
        self.request = request
        self.owner = owner

    async def create(self, reference: str, status: Status) -> Provisioning:
        opened, _ = await self.ledger.get_or_create(self.request, reference, self.owner)
        if status is Status.REJECTED:
            return await self.ledger.transition(opened, self.owner, "rules broken", new_status=status)
        provisioning, submission = await self.ledger.begin_submission(opened, self.owner, "recorded")
        has_failed = status is Status.SUBMISSION_FAILED
        provisioning = await self.ledger.resolve_submission(
            provisioning,
            self.owner,
            "resolved",
            submission,
            SubmissionState.NOT_CREATED if has_failed else SubmissionState.CREATED,
            new_status=status if has_failed else Status.TRAINING,
            avatar_id=None if has_failed else f"avatar-{reference}",
        )
        return (
            provisioning
            if status in {provisioning.status, Status.TRAINING}
            else await self.ledger.transition(provisioning, self.owner, "terminal", new_status=status)
        )

    async def events(self) -> dict[str, list[ProvisioningEvent]]:
        return {
            provisioning.reference: await self.ledger.list_events(provisioning.id)
            for provisioning in await self.ledger.list_latest(None, 100)
        }

    @property
    def before(self) -> datetime:
        return self.clock.now() - MIN_AGE


@pytest.fixture
async def history(
    database: Database, clock: FakeClock, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> History:
    history = History(database, clock, provisioning_request, owner)
    for status in [*ARCHIVABLE_STATUSES, Status.TIMED_OUT, Status.CANCELLED, Status.TRAINING]:
        await history.create(f"old-{status}", status)
    clock.advance(timedelta(days=100).total_seconds())
    await history.create("new-READY", Status.READY)
    return history


def read_lines(path: Path) -> list[dict[str, Any]]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in raw.decode().splitlines()]


def archive_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.jsonl*"))


@pytest.mark.parametrize("name", ["old.jsonl", "old.jsonl.gz"])
async def test_archive_moves_all_events_of_final_provisionings(history: History, tmp_path: Path, name: str) -> None:
    before = await history.events()
    rows = {row.id: row for row in await history.ledger.list_latest(None, 100)}
    result = await history.archive.archive(history.before, ArchiveFile(tmp_path / name))
    final = {f"old-{status}" for status in ARCHIVABLE_STATUSES}
    archived = read_lines(tmp_path / name)
    for reference, events in (await history.events()).items():
        if reference not in final:
            assert events == before[reference]
            continue
        [archive_event] = events
        own_lines = [line for line in archived if rows[line["provisioning_id"]].reference == reference]
        assert [ProvisioningEvent.model_validate(line, extra="ignore") for line in own_lines] == before[reference]
        assert (archive_event.actor, archive_event.occurred_at) == (ARCHIVE_ACTOR, history.clock.now())
        assert archive_event.from_status == archive_event.to_status == reference.removeprefix("old-")
        assert archive_event.message == (
            f"{len(own_lines)} events until 2026-11-23 09:00:00 UTC moved to the archive {tmp_path / name}, "
            f"SHA-256 {result.sha256}"
        )
    assert result.sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert (result.provisionings, result.events, result.file) == (
        len(ARCHIVABLE_STATUSES),
        len(archived),
        str(tmp_path / name),
    )
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert archive_names(tmp_path) == [name]
    assert {row.id: row for row in await history.ledger.list_latest(None, 100)} == rows


async def test_archive_keeps_provisioning_submissions_evidence(history: History, tmp_path: Path) -> None:
    provisioning = await history.ledger.get("old-READY")
    submissions = await history.ledger.list_submissions(provisioning.id)
    records = await list_evidence(history.ledger.database, provisioning.id)
    await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))
    assert await history.ledger.get("old-READY") == provisioning
    assert await history.ledger.list_submissions(provisioning.id) == submissions
    assert await list_evidence(history.ledger.database, provisioning.id) == records != []
    [resolved] = resolve_submissions(submissions, await history.ledger.list_events(provisioning.id), []).values()
    assert (resolved.kind, resolved.description) == (
        Resolution.CREATED,
        "Argil created its avatar; its history was archived",
    )


async def test_preview_equals_the_result_and_changes_nothing(history: History, tmp_path: Path) -> None:
    before = await history.events()
    preview = await history.archive.preview(history.before)
    assert await history.events() == before
    result = await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))
    assert preview == result.model_copy(update={"file": None, "sha256": None})


async def test_second_archive_finds_nothing_and_writes_no_file(history: History, tmp_path: Path) -> None:
    await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))
    history.clock.advance(MIN_AGE.total_seconds() / 2)
    after = await history.events()
    result = await history.archive.archive(history.before, ArchiveFile(tmp_path / "again.jsonl"))
    assert (result.events, result.file, result.sha256) == (0, None, None)
    assert archive_names(tmp_path) == ["old.jsonl"]
    assert await history.events() == after


async def test_later_events_go_to_another_archive(history: History, tmp_path: Path) -> None:
    await history.archive.archive(history.before, ArchiveFile(tmp_path / "first.jsonl"))
    provisioning = await history.ledger.get("old-READY")
    await history.ledger.record_duplicate(provisioning, history.owner, "s-1", "avatar-2", "a duplicate")
    await history.archive.archive(history.before, ArchiveFile(tmp_path / "second.jsonl"))
    assert [line["message"] for line in read_lines(tmp_path / "second.jsonl")] == ["a duplicate"]
    messages = [event.message for event in await history.ledger.list_events(provisioning.id)]
    assert ["first.jsonl" in messages[0], "1 event until" in messages[1], "second.jsonl" in messages[1]] == [
        True
    ] * 3
    ids = [line["id"] for name in ("first", "second") for line in read_lines(tmp_path / f"{name}.jsonl")]
    assert len(set(ids)) == len(ids), "event ids must be unique across archives"


async def test_archive_reads_and_deletes_in_pages(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await history.create(f"more-{number}", Status.READY)
    history.clock.advance(MIN_AGE.total_seconds() + 1)
    monkeypatch.setattr(module, "PAGE_SIZE", 2)
    monkeypatch.setattr(module, "DELETE_BATCH_SIZE", 3)
    result = await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))
    assert result.provisionings == len(ARCHIVABLE_STATUSES) + 6
    assert {len(events) for reference, events in (await history.events()).items() if "READY" in reference} == {1}
    assert len(read_lines(tmp_path / "old.jsonl")) == result.events


class Killed(BaseException):
    """Stands for SIGKILL: a BaseException, so that no handler of the code runs."""


async def test_kill_while_writing_the_file_deletes_nothing(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await history.events()
    monkeypatch.setattr(os, "link", _raise_killed)
    monkeypatch.setattr(Path, "unlink", _raise_killed)
    with pytest.raises(Killed):
        await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))
    monkeypatch.undo()
    assert await history.events() == before
    with pytest.raises(InvalidRequest, match="in progress or was interrupted") as caught:
        ArchiveFile(tmp_path / "old.jsonl")
    assert "its events are still in the ledger" in caught.value.hint
    (tmp_path / "old.jsonl.part").unlink()
    await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))


@pytest.mark.parametrize(
    ("name", "cause"), [("old.jsonl", "already exists"), ("old.jsonl.part", "in progress or was interrupted")]
)
def test_link_at_a_name_of_the_archive_is_refused(tmp_path: Path, name: str, cause: str) -> None:
    (tmp_path / name).symlink_to(tmp_path / "victim")
    with pytest.raises(InvalidRequest, match=cause):
        ArchiveFile(tmp_path / "old.jsonl")
    assert not (tmp_path / "victim").exists()


def _raise_killed(*_: object, **__: object) -> None:
    raise Killed


@pytest.mark.parametrize("after", range(4))
async def test_kill_while_deleting_events_loses_none(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    before = {event.id for event in await _archivable_events(history)}
    monkeypatch.setattr(module, "DELETE_BATCH_SIZE", 1)
    delete: Callable[..., Any] = history.archive._delete
    remaining = after

    async def delete_until_killed(*args: Any) -> list[str]:
        nonlocal remaining
        if remaining == 0:
            raise Killed
        remaining -= 1
        result: list[str] = await delete(*args)
        return result

    monkeypatch.setattr(history.archive, "_delete", delete_until_killed)
    with pytest.raises(Killed):
        await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))
    monkeypatch.undo()
    in_file = {line["id"] for line in read_lines(tmp_path / "old.jsonl")}
    assert in_file == before
    with pytest.raises(InvalidRequest, match="never overwritten"):
        ArchiveFile(tmp_path / "old.jsonl")
    await history.archive.archive(history.before, ArchiveFile(tmp_path / "rest.jsonl"))
    rest = {line["id"] for line in read_lines(tmp_path / "rest.jsonl")}
    assert rest < in_file if after else rest == in_file
    assert await _archivable_events(history) == []


async def _archivable_events(history: History) -> list[ArchivedEvent]:
    """Return the events that an archive run would move."""
    pages = [await history.archive._events(ids) async for ids in history.archive._iter_final_ids(history.before)]
    return [event for page in pages for event in page]


async def test_full_disk_fails_and_leaves_no_file(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await history.events()

    def fail_with_enospc(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail_with_enospc)
    with pytest.raises(ArchiveError, match="No space left on device"):
        await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl.gz"))
    assert archive_names(tmp_path) == []
    assert await history.events() == before


async def test_file_created_in_between_is_not_overwritten(history: History, tmp_path: Path) -> None:
    file = ArchiveFile(tmp_path / "old.jsonl")
    (tmp_path / "old.jsonl").write_text("other content")
    before = await history.events()
    with pytest.raises(ArchiveError, match="exists"):
        await history.archive.archive(history.before, file)
    assert (tmp_path / "old.jsonl").read_text() == "other content"
    assert await history.events() == before


async def test_database_failure_leaves_no_file(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.EventArchive, "_iter_final_ids", _raise_database_error)
    with pytest.raises(DatabaseError):
        await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))
    assert archive_names(tmp_path) == []


async def _raise_database_error(*_: object) -> Any:
    raise DatabaseError("it failed")
    yield


async def test_later_erasure_reports_the_archive(history: History, tmp_path: Path) -> None:
    await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))
    provisioning = await history.ledger.get("old-READY")
    report = await erase(history.ledger.database, history.clock, provisioning, history.owner, "a person asked")
    assert len(report.archives) == 1
    assert any("old.jsonl" in step and "--archive FILE" in step for step in report.remaining_steps("1"))
    assert "old.jsonl" in (await history.ledger.list_events(provisioning.id))[0].message
    again = await erase(
        history.ledger.database,
        history.clock,
        await history.ledger.get(provisioning.id),
        history.owner,
        "asked again",
    )
    assert again.archives == report.archives


async def test_erasure_while_archiving_is_reported(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provisioning = await history.ledger.get("old-READY")
    delete: Callable[..., Any] = history.archive._delete

    async def erase_then_delete(*args: Any) -> list[str]:
        current = await history.ledger.get(provisioning.id)
        if current.erased_at is None:
            await erase(history.ledger.database, history.clock, current, history.owner, "a person asked")
        result: list[str] = await delete(*args)
        return result

    monkeypatch.setattr(history.archive, "_delete", erase_then_delete)
    result = await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))
    assert result.erased_provisioning_ids == [provisioning.id]
    assert [event.actor for event in await history.ledger.list_events(provisioning.id)] == ["test", ARCHIVE_ACTOR]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("old.txt", "does not end in .jsonl or .jsonl.gz"),
        ("missing/old.jsonl", "the folder .* does not exist"),
        ("existing.jsonl", "already exists"),
    ],
)
def test_invalid_archive_name_is_rejected_first(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "existing.jsonl").touch()
    with pytest.raises(InvalidRequest, match=message) as caught:
        ArchiveFile(tmp_path / name)
    assert caught.value.hint


async def test_old_deliveries_except_the_newest_are_deleted(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DELETE_BATCH_SIZE", 2)
    deliveries = WebhookDeliveryRepository(history.ledger.database, history.clock)

    async def add(number: int) -> None:
        delivery = WebhookDelivery.parse(
            json.dumps({"event": "AVATAR_TRAINING_SUCCESS", "data": {"avatarId": f"a-{number}"}}).encode()
        )
        assert delivery is not None
        assert await deliveries.add(delivery)

    for number in range(7):
        await add(number)
    newest = await deliveries.latest_id()
    history.clock.advance(MIN_AGE.total_seconds() + 1)
    assert (await history.archive.preview(history.before)).deliveries == 6
    assert (await history.archive.archive(history.before, ArchiveFile(tmp_path / "a.jsonl"))).deliveries == 6
    assert await deliveries.latest_id() == newest
    await add(8)
    assert [avatar_id for _, avatar_id in await deliveries.list_after(newest)] == ["a-8"]
    query = select(webhook_delivery_table.c.avatar_id)
    assert await history.ledger.database.read(lambda connection: connection.scalars(query).all()) == ["a-8"]
