"""The avatars at Argil that a ledger does not know, on both engines."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from sqlalchemy import select

from models.argil.account_list import AccountList
from models.argil.response import ArgilResponse
from models.provisioning import LeaseOwner, Status
from models.request import ProvisioningRequest
from models.tables import unknown_avatar_table
from store.database import Database
from store.erasure import erase
from store.ledger import Ledger
from store.membership import VALUES_PER_QUERY
from store.unknown_avatars import UnknownAvatarRepository
from tests.fakes import FakeClock

PAGED = {"x-total-count": "1000"}


def item(submission_id: str, avatar_id: str = "a-1", name: str = "Grace") -> dict[str, Any]:
    return {"id": avatar_id, "name": name, "status": "IDLE", "extras": {"submission_id": submission_id}}


def account(*items: dict[str, Any], headers: dict[str, str] | None = None) -> AccountList:
    return AccountList(ArgilResponse(200, headers or {}, json.dumps(items).encode(), is_list=True))


def new_id() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def repository(database: Database, clock: FakeClock) -> UnknownAvatarRepository:
    return UnknownAvatarRepository(database, clock)


@pytest.fixture
def next_process(database: Database, clock: FakeClock) -> UnknownAvatarRepository:
    return UnknownAvatarRepository(database, clock)


async def submit(ledger: Ledger, request: ProvisioningRequest, owner: LeaseOwner) -> str:
    opened, _ = await ledger.get_or_create(request, new_id(), owner)
    _, submission = await ledger.begin_submission(opened, owner, "sending")
    return submission.id


async def labels(repository: UnknownAvatarRepository) -> list[str]:
    return [avatar.label for avatar in await repository.list_undecided(100)]


async def test_only_avatars_of_unknown_submissions_are_stored(
    database: Database,
    repository: UnknownAvatarRepository,
    clock: FakeClock,
    owner: LeaseOwner,
    provisioning_request: ProvisioningRequest,
) -> None:
    known = await submit(Ledger(database, clock), provisioning_request, owner)
    unknown = new_id()
    of_other_programs = [item("", "a-3"), item("s-1", "a-4"), item(new_id().upper(), "a-5")]
    listed = account(item(known), item(unknown, "a-2", "Grace https://x.example/?sig=canary"), *of_other_programs)
    [new] = await repository.compare(listed)
    assert (new.submission_id, new.avatar_id, new.first_seen_at) == (unknown, "a-2", clock.now())
    assert new.name.startswith("Grace https://x.example/")
    assert "canary" not in new.name
    clock.advance(60)
    assert await repository.compare(listed) == []
    assert await repository.list_undecided(9) == [new]
    assert await repository.count_undecided() == 1


async def test_avatar_is_new_in_one_process_only(
    repository: UnknownAvatarRepository, next_process: UnknownAvatarRepository
) -> None:
    listed = account(item(new_id()))
    assert len(await repository.compare(listed)) == 1
    assert await next_process.compare(listed) == []


async def test_list_of_any_length_is_compared(repository: UnknownAvatarRepository) -> None:
    listed = account(*(item(new_id(), f"a-{number:04}") for number in range(2 * VALUES_PER_QUERY + 1)))
    assert len(await repository.compare(listed)) == 2 * VALUES_PER_QUERY + 1
    assert await repository.count_undecided() == 2 * VALUES_PER_QUERY + 1
    await repository.compare(account())
    assert await repository.count_undecided() == 0


async def test_avatars_of_an_erased_person_stay_known(
    database: Database,
    repository: UnknownAvatarRepository,
    clock: FakeClock,
    owner: LeaseOwner,
    provisioning_request: ProvisioningRequest,
) -> None:
    ledger = Ledger(database, clock)
    opened, _ = await ledger.get_or_create(provisioning_request, "ada", owner)
    submitting, submission = await ledger.begin_submission(opened, owner, "sending")
    cancelled = await ledger.transition(submitting, owner, "stopped", new_status=Status.CANCELLED)
    await erase(database, clock, cancelled, owner, "erased")
    assert await repository.compare(account(item(submission.id))) == []


async def test_erasure_removes_a_name_that_waits_for_a_decision(
    database: Database,
    repository: UnknownAvatarRepository,
    clock: FakeClock,
    owner: LeaseOwner,
    provisioning_request: ProvisioningRequest,
) -> None:
    """After the right ledger was restored in its place, the rows remain until the next list call."""
    ledger = Ledger(database, clock)
    opened, _ = await ledger.get_or_create(provisioning_request, "ada", owner)
    submitting, submission = await ledger.begin_submission(opened, owner, "sending")
    cancelled = await ledger.transition(submitting, owner, "stopped", new_status=Status.CANCELLED)
    values = {"submission_id": submission.id, "avatar_id": "a-1", "name": "Ada", "first_seen_at": clock.now()}
    await database.write(lambda connection: connection.execute(unknown_avatar_table.insert(), values))
    await erase(database, clock, cancelled, owner, "erased")
    assert await repository.count_undecided() == 0


async def test_avatar_no_longer_counts_once_it_is_gone_from_a_complete_list(
    repository: UnknownAvatarRepository,
) -> None:
    kept, gone = item(new_id(), "a-1"), item(new_id(), "a-2")
    await repository.compare(account(kept, gone))
    await repository.compare(account(kept, headers=PAGED))
    assert sorted(await labels(repository)) == ["a-1", "a-2"]
    await repository.compare(account(kept))
    assert await labels(repository) == ["a-1"]


async def test_avatar_that_a_list_omits_once_counts_again(repository: UnknownAvatarRepository) -> None:
    listed = account(item(new_id()))
    for _ in range(2):
        assert len(await repository.compare(listed)) == 1
        await repository.compare(account())
    await repository.compare(listed)
    assert await labels(repository) == ["a-1"]


async def test_avatar_no_longer_counts_once_its_submission_is_known(
    database: Database,
    repository: UnknownAvatarRepository,
    next_process: UnknownAvatarRepository,
    clock: FakeClock,
    owner: LeaseOwner,
    provisioning_request: ProvisioningRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    submission_id = uuid.uuid4()
    await repository.compare(account(item(str(submission_id))))
    ledger = Ledger(database, clock)
    opened, _ = await ledger.get_or_create(provisioning_request, "ada", owner)
    monkeypatch.setattr("store.submissions.new_submission_id", lambda *_: str(submission_id))
    await ledger.begin_submission(opened, owner, "sending")
    await next_process.compare(account(headers=PAGED))
    assert await repository.count_undecided() == 0


async def test_decision_applies_to_the_avatars_of_its_time(
    database: Database, repository: UnknownAvatarRepository, clock: FakeClock
) -> None:
    first, second = item(new_id(), "a-1", "Ada"), item(new_id(), "a-2")
    await repository.compare(account(first))
    assert await repository.ignore_all("ada@host") == 1
    decided_at = clock.now()
    clock.advance(60)
    await repository.compare(account(first, second))
    assert await labels(repository) == ["a-2"]
    assert await repository.count_ignored() == 1
    await repository.compare(account(second))
    await repository.compare(account(first, second))
    assert await labels(repository) == ["a-2"]
    latest = await repository.latest_ignored()
    assert latest is not None
    assert (latest.avatar_id, latest.ignored_by, latest.ignored_at) == ("a-1", "ada@host", decided_at)
    names = await database.read(lambda connection: set(connection.scalars(select(unknown_avatar_table.c.name))))
    assert names == {"", "Grace"}
