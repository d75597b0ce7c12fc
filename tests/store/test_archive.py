"""Archiving on both engines: nothing is lost at any moment, and nothing that may still move is touched."""

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

from models.archive import ARCHIVER, ArchivedEvent
from models.errors import ArchiveFailed, DatabaseError, InvalidRequest
from models.provisioning import SETTLED, Driver, Event, Provisioning, Status, SubmissionState
from models.request import ProvisioningRequest
from models.resolution import Resolution, resolutions
from models.tables import DeliveryRow
from models.webhook import Delivery
from store import archive as module
from store.archive import Archive
from store.archive_file import ArchiveFile
from store.database import Database
from store.deliveries import Deliveries
from store.evidence import evidence
from store.forgetting import forget
from store.provisionings import Ledger
from tests.fakes import FakeClock

DAYS = timedelta(days=90)


class History:
    """A ledger with one provisioning of each kind, changed long ago."""

    def __init__(self, database: Database, clock: FakeClock, request: ProvisioningRequest, driver: Driver) -> None:
        self.ledger = Ledger(database, clock)
        self.archive = Archive(database, clock)
        self.clock = clock
        self.request = request
        self.driver = driver

    async def ended(self, reference: str, end: Status) -> Provisioning:
        opened, _ = await self.ledger.open(self.request, reference, self.driver)
        if end is Status.REJECTED:
            return await self.ledger.record(opened, self.driver, "rules broken", to=end)
        seen, submission = await self.ledger.begin_submission(opened, self.driver, "recorded")
        failed = end is Status.SUBMISSION_FAILED
        seen = await self.ledger.settle_submission(
            seen,
            self.driver,
            "answered",
            submission,
            SubmissionState.NOT_TAKEN if failed else SubmissionState.TAKEN,
            to=end if failed else Status.TRAINING,
            avatar_id=None if failed else f"avatar-{reference}",
        )
        return (
            seen
            if end in {seen.status, Status.TRAINING}
            else await self.ledger.record(seen, self.driver, "it ended", to=end)
        )

    async def events(self) -> dict[str, list[Event]]:
        return {one.reference: await self.ledger.events(one.id) for one in await self.ledger.newest(None, 100)}

    @property
    def before(self) -> datetime:
        return self.clock.now() - DAYS


@pytest.fixture
async def history(
    database: Database, clock: FakeClock, request_of_ada: ProvisioningRequest, driver: Driver
) -> History:
    made = History(database, clock, request_of_ada, driver)
    for end in [*SETTLED, Status.TIMED_OUT, Status.CANCELLED, Status.TRAINING]:
        await made.ended(f"old-{end}", end)
    clock.pass_(timedelta(days=100).total_seconds())
    await made.ended("new-READY", Status.READY)
    return made


def lines(path: Path) -> list[dict[str, Any]]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in raw.decode().splitlines()]


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.jsonl*"))


@pytest.mark.parametrize("name", ["old.jsonl", "old.jsonl.gz"])
async def test_the_events_of_what_ended_for_good_move_whole_and_one_tells_where(
    history: History, tmp_path: Path, name: str
) -> None:
    before = await history.events()
    rows = {one.id: one for one in await history.ledger.newest(None, 100)}
    done = await history.archive.archive(history.before, ArchiveFile(tmp_path / name))
    old = {f"old-{end}" for end in SETTLED}
    kept = lines(tmp_path / name)
    for reference, events in (await history.events()).items():
        if reference not in old:
            assert events == before[reference]
            continue
        [note] = events
        own = [line for line in kept if rows[line["provisioning_id"]].reference == reference]
        assert [Event.model_validate(line, extra="ignore") for line in own] == before[reference]
        assert (note.actor, note.at) == (ARCHIVER, history.clock.now())
        assert note.from_status == note.to_status == reference.removeprefix("old-")
        told = f"{len(own)} events until 2026-11-23 09:00:00 UTC moved to the archive {name}, SHA-256 {done.sha256}"
        assert note.why == told
    assert done.sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert (done.provisionings, done.events, done.file) == (len(SETTLED), len(kept), str(tmp_path / name))
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert written(tmp_path) == [name]
    assert {one.id: one for one in await history.ledger.newest(None, 100)} == rows


async def test_provisioning_submissions_and_evidence_stay_and_the_create_is_told_as_taken(
    history: History, tmp_path: Path
) -> None:
    one = await history.ledger.get("old-READY")
    submissions = await history.ledger.submissions(one.id)
    records = await evidence(history.ledger.database, one.id)
    await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))
    assert await history.ledger.get("old-READY") == one
    assert await history.ledger.submissions(one.id) == submissions
    assert await evidence(history.ledger.database, one.id) == records != []
    [became] = resolutions(submissions, await history.ledger.events(one.id), []).values()
    assert (became.kind, became.told) == (Resolution.TAKEN, "Argil made its avatar; its history was archived")


async def test_a_dry_run_tells_the_same_and_changes_nothing(history: History, tmp_path: Path) -> None:
    before = await history.events()
    told = await history.archive.count(history.before)
    assert await history.events() == before
    done = await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))
    assert told == done.model_copy(update={"file": None, "sha256": None})


async def test_once_more_finds_nothing_and_writes_no_file(history: History, tmp_path: Path) -> None:
    await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))
    history.clock.pass_(DAYS.total_seconds() / 2)
    after = await history.events()
    done = await history.archive.archive(history.before, ArchiveFile(tmp_path / "again.jsonl"))
    assert (done.events, done.file, done.sha256) == (0, None, None)
    assert written(tmp_path) == ["old.jsonl"]
    assert await history.events() == after


async def test_what_comes_later_goes_to_another_archive_and_the_first_note_stays(
    history: History, tmp_path: Path
) -> None:
    await history.archive.archive(history.before, ArchiveFile(tmp_path / "first.jsonl"))
    one = await history.ledger.get("old-READY")
    await history.ledger.note_duplicate(one, history.driver, "s-1", "avatar-2", "a duplicate")
    await history.archive.archive(history.before, ArchiveFile(tmp_path / "second.jsonl"))
    assert [line["why"] for line in lines(tmp_path / "second.jsonl")] == ["a duplicate"]
    whys = [event.why for event in await history.ledger.events(one.id)]
    assert ["first.jsonl" in whys[0], "1 event until" in whys[1], "second.jsonl" in whys[1]] == [True] * 3
    ids = [line["id"] for name in ("first", "second") for line in lines(tmp_path / f"{name}.jsonl")]
    assert len(set(ids)) == len(ids), "no id may be given twice, or archives cannot be told apart"


async def test_many_are_read_and_deleted_a_page_at_a_time(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await history.ended(f"more-{number}", Status.READY)
    history.clock.pass_(DAYS.total_seconds() + 1)
    monkeypatch.setattr(module, "PAGE", 2)
    monkeypatch.setattr(module, "DELETED_AT_ONCE", 3)
    done = await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))
    assert done.provisionings == len(SETTLED) + 6
    assert {len(events) for reference, events in (await history.events()).items() if "READY" in reference} == {1}
    assert len(lines(tmp_path / "old.jsonl")) == done.events


class Killed(BaseException):
    """What a kill is to the code: nothing of it runs any more."""


async def test_killed_while_the_file_is_written_nothing_has_left_the_ledger(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await history.events()
    monkeypatch.setattr(os, "link", _kills)
    monkeypatch.setattr(Path, "unlink", _kills)
    with pytest.raises(Killed):
        await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))
    monkeypatch.undo()
    assert await history.events() == before
    with pytest.raises(InvalidRequest, match="one was killed meanwhile") as caught:
        ArchiveFile(tmp_path / "old.jsonl")
    assert "nothing of it has left the ledger" in caught.value.hint
    (tmp_path / "old.jsonl.part").unlink()
    await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))


def _kills(*_: object, **__: object) -> None:
    raise Killed


@pytest.mark.parametrize("after", range(4))
async def test_killed_while_events_are_deleted_each_is_in_the_file_and_the_rest_goes_to_another(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    before = {one.id for events in [await _ids(history)] for one in events}
    monkeypatch.setattr(module, "DELETED_AT_ONCE", 1)
    delete: Callable[..., Any] = history.archive._delete
    left = after

    async def until_killed(*words: Any) -> list[str]:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        result: list[str] = await delete(*words)
        return result

    monkeypatch.setattr(history.archive, "_delete", until_killed)
    with pytest.raises(Killed):
        await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))
    monkeypatch.undo()
    in_file = {line["id"] for line in lines(tmp_path / "old.jsonl")}
    assert in_file == before
    with pytest.raises(InvalidRequest, match="never written over"):
        ArchiveFile(tmp_path / "old.jsonl")
    await history.archive.archive(history.before, ArchiveFile(tmp_path / "rest.jsonl"))
    rest = {line["id"] for line in lines(tmp_path / "rest.jsonl")}
    assert rest < in_file if after else rest == in_file
    assert await _ids(history) == []


async def _ids(history: History) -> list[ArchivedEvent]:
    """Return the events that are to be archived."""
    pages = [await history.archive._events(ids) async for ids in history.archive._settled(history.before)]
    return [event for page in pages for event in page]


async def test_a_disk_that_is_full_is_one_clear_error_and_leaves_no_file(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await history.events()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArchiveFailed, match="No space left on device"):
        await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl.gz"))
    assert written(tmp_path) == []
    assert await history.events() == before


async def test_a_file_that_came_meanwhile_is_not_written_over(history: History, tmp_path: Path) -> None:
    file = ArchiveFile(tmp_path / "old.jsonl")
    (tmp_path / "old.jsonl").write_text("somebody's")
    before = await history.events()
    with pytest.raises(ArchiveFailed, match="exists"):
        await history.archive.archive(history.before, file)
    assert (tmp_path / "old.jsonl").read_text() == "somebody's"
    assert await history.events() == before


async def test_a_database_that_fails_leaves_no_file(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.Archive, "_settled", _fails)
    with pytest.raises(DatabaseError):
        await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))
    assert written(tmp_path) == []


async def _fails(*_: object) -> Any:
    raise DatabaseError("it failed")
    yield


async def test_who_is_forgotten_later_is_told_where_their_words_are(history: History, tmp_path: Path) -> None:
    await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))
    one = await history.ledger.get("old-READY")
    remains = await forget(history.ledger.database, history.clock, one, history.driver, "a person asked")
    assert len(remains.archives) == 1
    assert any("old.jsonl" in step and "lines with its id" in step for step in remains.steps)
    assert "old.jsonl" in (await history.ledger.events(one.id))[0].why
    again = await forget(
        history.ledger.database, history.clock, await history.ledger.get(one.id), history.driver, "asked again"
    )
    assert again.archives == remains.archives


async def test_who_is_forgotten_while_the_file_is_written_is_told(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await history.ledger.get("old-READY")
    delete: Callable[..., Any] = history.archive._delete

    async def forgets_first(*words: Any) -> list[str]:
        seen = await history.ledger.get(one.id)
        if seen.forgotten_at is None:
            await forget(history.ledger.database, history.clock, seen, history.driver, "a person asked")
        result: list[str] = await delete(*words)
        return result

    monkeypatch.setattr(history.archive, "_delete", forgets_first)
    done = await history.archive.archive(history.before, ArchiveFile(tmp_path / "old.jsonl"))
    assert done.forgotten == [one.id]
    assert [event.actor for event in await history.ledger.events(one.id)] == ["test", ARCHIVER]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("old.txt", "ends in neither .jsonl nor .jsonl.gz"),
        ("nowhere/old.jsonl", "there is no folder"),
        ("there.jsonl", "is there already"),
    ],
)
def test_a_name_that_cannot_be_written_to_is_told_before_anything(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "there.jsonl").touch()
    with pytest.raises(InvalidRequest, match=message) as caught:
        ArchiveFile(tmp_path / name)
    assert caught.value.hint


async def test_old_deliveries_are_deleted_but_for_the_newest_so_that_none_is_passed_over(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DELETED_AT_ONCE", 2)
    deliveries = Deliveries(history.ledger.database, history.clock)

    async def add(number: int) -> None:
        delivery = Delivery.read(
            json.dumps({"event": "AVATAR_TRAINING_SUCCESS", "data": {"avatarId": f"a-{number}"}}).encode()
        )
        assert delivery is not None
        assert await deliveries.add(delivery)

    for number in range(7):
        await add(number)
    newest = await deliveries.newest_id()
    history.clock.pass_(DAYS.total_seconds() + 1)
    assert (await history.archive.count(history.before)).deliveries == 6
    assert (await history.archive.archive(history.before, ArchiveFile(tmp_path / "a.jsonl"))).deliveries == 6
    assert await deliveries.newest_id() == newest
    await add(8)
    assert [avatar_id for _, avatar_id in await deliveries.since(newest)] == ["a-8"]
    assert (await history.archive.archive(history.before, ArchiveFile(tmp_path / "b.jsonl"))).deliveries == 1
    async with history.ledger.database.reading() as connection:
        assert list(await connection.scalars(select(DeliveryRow.avatar_id))) == ["a-8"]
