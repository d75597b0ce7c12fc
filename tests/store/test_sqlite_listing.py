"""A page of a SQLite ledger, read without SQLAlchemy: the same as the ledger's own, or left to the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from models.batch_record import BatchSource
from models.provisioning import LeaseOwner, Provisioning, Status
from models.reason import Reason
from models.request import ProvisioningRequest
from store import migrate, sqlite_listing
from store.batches import BatchRepository
from store.database import Database
from store.latest_page import LatestPage
from store.ledger import Ledger
from tests.fakes import FakeClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger of 2026.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
async def ledger(url: str, clock: FakeClock) -> AsyncIterator[Ledger]:
    database = Database(url)
    await migrate.ensure_schema(database)
    yield Ledger(database, clock)
    await database.close()


@pytest.fixture
async def provisionings(
    ledger: Ledger, provisioning_request: ProvisioningRequest, owner: LeaseOwner, clock: FakeClock
) -> list[Provisioning]:
    """Seven provisionings, newest first, with some of each column: two at one moment, a submission, a rejection."""
    batch = owner.model_copy(update={"batch_id": str(uuid4())})
    await BatchRepository(ledger.database, clock).begin(BatchSource([], "week.csv", "0" * 64, "test"), batch)
    for number in range(7):
        extras = {"team": f"{number % 2}", "city": "berlin"}
        request = provisioning_request.model_copy(update={"name": f"Ada {number % 3}", "extras": extras})
        opened, _ = await ledger.get_or_create(request, f"ref-{number}", batch if number < 5 else owner)
        match number:
            case 2:
                reasons = [Reason(code="input.invalid", message="“no” 🎬", hint="another")]
                await ledger.transition(opened, owner, "no", new_status=Status.REJECTED, reasons=reasons)
            case 3:
                await ledger.transition(opened, owner, "an avatar", avatar_id="a-3")
            case 4:
                await ledger.begin_submission(opened, owner, "recorded")
        if number != 5:
            clock.advance(1.000001)
    return await ledger.list_latest(None, 10)


async def as_listed(ledger: Ledger, page: LatestPage) -> list[sqlite_listing.ListedProvisioning]:
    provisionings = await ledger.list_page(page)
    submissions = await ledger.list_submissions_by_provisioning([item.id for item in provisionings])
    return [(item, submissions[item.id]) for item in provisionings]


def is_selected(page: LatestPage, item: Provisioning) -> bool:
    """Return whether the page has the provisioning unless it is full: the rules of LatestPage, in Python."""
    columns = ("batch_id", "name", "reference", "avatar_id")
    return (
        item.status in (page.statuses or Status)
        and (page.since is None or item.created_at >= page.since)
        and (page.until is None or item.created_at < page.until)
        and all(getattr(page, column) in {None, getattr(item, column)} for column in columns)
        and page.extras.items() <= item.request.extras.items()
    )


@pytest.mark.parametrize(
    "make_page",
    [
        lambda _: LatestPage(10),
        lambda _: LatestPage(3),
        lambda _: LatestPage(10, [Status.REJECTED, Status.SUBMITTING]),
        lambda _: LatestPage(10, [Status.READY]),
        lambda items: LatestPage(10, since=items[3].created_at),
        lambda items: LatestPage(10, since=items[5].created_at, until=items[1].created_at),
        lambda items: LatestPage(10, batch_id=items[6].batch_id),
        lambda items: LatestPage(2, [Status.ACCEPTED, Status.READY], batch_id=items[6].batch_id),
        lambda items: LatestPage(10, name="Ada 1", since=items[5].created_at),
        lambda items: LatestPage(10, reference=items[2].reference),
        lambda items: LatestPage(10, [Status.READY], reference=items[2].reference),
        lambda _: LatestPage(10, avatar_id="a-3"),
        lambda _: LatestPage(10, extras={"team": "1"}),
        lambda items: LatestPage(2, extras={"team": "1", "city": "berlin"}, until=items[0].created_at),
        lambda _: LatestPage(10, [Status.REJECTED, Status.SUBMITTING], extras={"team": "0"}),
        lambda items: LatestPage(10, name="Ada 1", batch_id=items[6].batch_id, extras={"city": "berlin"}),
        lambda items: LatestPage(1, [Status.ACCEPTED], since=items[6].created_at + timedelta(microseconds=1)),
    ],
)
async def test_page_is_that_of_the_ledger(
    ledger: Ledger,
    provisionings: list[Provisioning],
    url: str,
    make_page: Callable[[list[Provisioning]], LatestPage],
) -> None:
    page = make_page(provisionings)
    listed = sqlite_listing.list_latest_page(url, page)
    assert listed == await as_listed(ledger, page)
    assert [item for item, _ in listed] == [item for item in provisionings if is_selected(page, item)][: page.limit]


async def test_page_after_an_id_is_that_of_the_ledger(
    ledger: Ledger, provisionings: list[Provisioning], url: str
) -> None:
    for item in provisionings:
        expected = await as_listed(ledger, LatestPage(3, after=item.sort_key))
        assert sqlite_listing.list_latest_page(url, LatestPage(3), item.id) == expected


async def test_page_may_be_larger_than_the_ledger(
    ledger: Ledger, provisionings: list[Provisioning], url: str
) -> None:
    listed = sqlite_listing.list_latest_page(url, LatestPage(10_001))
    assert listed is not None
    assert [item for item, _ in listed] == provisionings
    assert [len(submissions) for _, submissions in listed].count(1) == 1


@pytest.mark.usefixtures("provisionings")
def test_reference_as_the_previous_row_is_left_to_the_ledger(url: str) -> None:
    assert sqlite_listing.list_latest_page(url, LatestPage(3), "ref-4") is None


@pytest.mark.usefixtures("provisionings")
def test_unknown_batch_is_left_to_the_ledger(url: str) -> None:
    assert sqlite_listing.list_latest_page(url, LatestPage(3, batch_id=str(uuid4()))) is None


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE alembic_version SET version_num = 'recording_identity'",
        "UPDATE alembic_version SET version_num = 'later'",
        "INSERT INTO alembic_version VALUES ('initial')",
        "DROP TABLE alembic_version",
        "UPDATE provisionings SET request = '{'",
        "UPDATE provisionings SET reasons = '5'",
        "UPDATE provisionings SET created_at = 'yesterday'",
        "ALTER TABLE provisionings DROP COLUMN media_facts",
    ],
)
@pytest.mark.usefixtures("provisionings")
def test_unusual_ledger_is_left_to_the_ledger(path: Path, url: str, change: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(change)
    assert sqlite_listing.list_latest_page(url, LatestPage(10)) is None


async def test_stored_time_with_a_zone_is_that_of_the_ledger(
    ledger: Ledger, provisionings: list[Provisioning], path: Path, url: str
) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE provisionings SET updated_at = '2026-11-27 09:00:00+02:00'")
    listed = sqlite_listing.list_latest_page(url, LatestPage(10))
    assert listed is not None
    assert listed == await as_listed(ledger, LatestPage(10))
    assert {item.updated_at.isoformat() for item, _ in listed} == {"2026-11-27T07:00:00+00:00"}


@pytest.mark.usefixtures("provisionings")
def test_file_of_a_ledger_is_made_private_and_reported_once(
    path: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.chmod(0o777)
    assert sqlite_listing.list_latest_page(url, LatestPage(3), "ref-4") is None
    assert caplog.messages == []  # the ledger, to which the page is left, reports it
    path.chmod(0o644)
    assert sqlite_listing.list_latest_page(url, LatestPage(3))
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(caplog.messages) == 2


async def test_locked_ledger_is_left_to_the_ledger(ledger: Ledger, path: Path, url: str) -> None:
    await ledger.database.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        assert sqlite_listing.list_latest_page(url, LatestPage(10)) is None


@pytest.mark.parametrize("kind", ["missing", "folder", "text"])
def test_file_without_a_ledger_is_not_touched(path: Path, url: str, kind: str) -> None:
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("a letter")
    assert sqlite_listing.list_latest_page(url, LatestPage(10)) is None
    assert path.exists() == (kind != "missing")
    assert not list(path.parent.glob("*-wal"))


@pytest.mark.parametrize(
    "url",
    [
        "sqlite+aiosqlite://",
        "sqlite+aiosqlite:///:memory:",
        "sqlite+aiosqlite:///file:a.db?mode=ro&uri=true",
        "sqlite+aiosqlite:///a.db?mode=ro",
        "sqlite:///a.db",
        "sqlite+aiosqlite://host/a.db",
        "sqlite+aiosqlite:///a%20b.db",
        "postgresql+asyncpg://user:password@host/name",
    ],
)
def test_other_urls_are_left_to_the_ledger(url: str) -> None:
    assert sqlite_listing.list_latest_page(url, LatestPage(10)) is None


async def test_no_connection_stays_open(ledger: Ledger, provisionings: list[Provisioning], url: str) -> None:
    assert sqlite_listing.list_latest_page(url, LatestPage(10))
    [stored] = await ledger.list_page(LatestPage(1))
    assert stored == provisionings[0]
