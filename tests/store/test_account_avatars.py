"""The avatars of an account list and those of the ledger, on both engines."""

from __future__ import annotations

import uuid

import pytest

from models.provisioning import LeaseOwner, Provisioning, Status, SubmissionState
from models.reports.account_report import LedgerAvatar
from models.request import ProvisioningRequest
from models.submission_ids import new_submission_id
from store import account_avatars
from store.account_avatars import KnownIds, find_known_ids, find_missing, list_duplicates
from store.database import Database
from store.erasure import erase
from store.ledger import Ledger
from store.unknown_avatars import UnknownAvatarRepository
from tests.fakes import FakeClock
from tests.store.test_unknown_avatars import account, item


@pytest.fixture
def ledger(database: Database, clock: FakeClock) -> Ledger:
    return Ledger(database, clock)


async def training(
    ledger: Ledger, request: ProvisioningRequest, owner: LeaseOwner, avatar_id: str
) -> tuple[Provisioning, str]:
    """Return a provisioning in TRAINING with this avatar, and its submission id."""
    opened, _ = await ledger.get_or_create(request, f"reference-of-{avatar_id}", owner)
    submitting, submission = await ledger.begin_submission(opened, owner, "sending")
    current = await ledger.resolve_submission(
        submitting,
        owner,
        "created",
        submission,
        SubmissionState.CREATED,
        new_status=Status.TRAINING,
        avatar_id=avatar_id,
    )
    return current, submission.id


async def test_known_ids_of_every_table_are_found(
    ledger: Ledger,
    database: Database,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    clock: FakeClock,
) -> None:
    first, submission_id = await training(ledger, provisioning_request, owner, "a-1")
    await ledger.record_duplicate(first, owner, submission_id, "a-2", "duplicate")
    unknown = new_submission_id("r", "f")
    repository = UnknownAvatarRepository(database, clock)
    await repository.compare(account(item(unknown, "a-3")))
    await repository.ignore_all("a person")
    listed = {f"a-{number}" for number in range(1200)}
    known = await find_known_ids(database, listed, {submission_id, unknown, str(uuid.uuid4())})
    assert known == KnownIds(*map(frozenset, ({"a-1"}, {submission_id}, {unknown}, {"a-2"})))
    assert await list_duplicates(database, known.duplicate_ids, 10) == [
        LedgerAvatar("a-2", first.id, first.reference, Status.TRAINING)
    ]


async def test_missing_avatars_are_counted_over_all_pages(
    ledger: Ledger,
    database: Database,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(account_avatars, "ROWS_PER_QUERY", 2)
    monkeypatch.setattr(account_avatars, "_AVATAR_QUERY", account_avatars._AVATAR_QUERY.limit(2))
    for number in range(5):
        await training(ledger, provisioning_request, owner, f"a-{number}")
    await ledger.get_or_create(provisioning_request, "without-avatar", owner)
    count, first = await find_missing(database, {"a-1"}, 3)
    assert (count, [missing.avatar_id for missing in first]) == (4, ["a-0", "a-2", "a-3"])
    assert first[0].reference == "reference-of-a-0"


async def test_avatar_of_an_erased_provisioning_is_not_missing(
    ledger: Ledger,
    database: Database,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    clock: FakeClock,
) -> None:
    current, _ = await training(ledger, provisioning_request, owner, "a-1")
    cancelled = await ledger.transition(current, owner, "cancelled", new_status=Status.CANCELLED)
    assert (await find_missing(database, set(), 3))[0] == 1
    await erase(database, clock, cancelled, owner, "erased")
    assert (await find_missing(database, set(), 3))[0] == 0
