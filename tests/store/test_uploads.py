"""The records of uploads, on both engines: which provisionings name them, and when they are no longer needed."""

from __future__ import annotations

import pytest

from models.provisioning import LeaseOwner, Provisioning, Status, SubmissionState
from models.recordings.uploads import may_be_upload
from models.reopening import CallerAction
from models.request import ProvisioningRequest
from store.database import Database
from store.erasure import erase
from store.ledger import Ledger
from store.uploads import UNUSED_AFTER, UploadRepository
from tests.fakes import FakeClock

DIGEST = "5" * 64
DATASET, CONSENT = f"s3://uploads/folder/{DIGEST}.mov", f"s3://uploads/folder/{'c' * 64}.mp4"
REQUEST = ProvisioningRequest(name="Ada", dataset_video=DATASET, consent_video=CONSENT)
OTHER = REQUEST.model_copy(update={"dataset_video": f"s3://uploads/folder/{'6' * 64}.mov"})


@pytest.fixture
def uploads(database: Database, clock: FakeClock) -> UploadRepository:
    return UploadRepository(database, clock)


@pytest.fixture
def ledger(database: Database, clock: FakeClock) -> Ledger:
    return Ledger(database, clock)


async def record(uploads: UploadRepository, *uris: str) -> None:
    for uri in uris or (DATASET, CONSENT):
        await uploads.begin(uri, DIGEST, 9, "avatars provision (ada)")
        await uploads.complete(uri)


async def open_new(ledger: Ledger, owner: LeaseOwner, reference: str = "r-1") -> Provisioning:
    provisioning, _ = await ledger.get_or_create(REQUEST, reference, owner)
    return provisioning


async def finish(ledger: Ledger, provisioning: Provisioning, owner: LeaseOwner, status: Status) -> Provisioning:
    submitted, submission = await ledger.begin_submission(provisioning, owner, "sending")
    trained = await ledger.resolve_submission(
        submitted,
        owner,
        "created",
        submission,
        SubmissionState.CREATED,
        new_status=Status.TRAINING,
        avatar_id=f"avatar-{provisioning.reference}",
    )
    return await ledger.transition(trained, owner, "ended", new_status=status)


async def uris_of_finished(uploads: UploadRepository) -> list[str]:
    return [upload.uri for upload in await uploads.finished_uploads(9)]


async def unused(uploads: UploadRepository) -> list[str]:
    return [upload.uri for upload in await uploads.unused_uploads(9)]


async def test_upload_is_unused_until_a_request_names_it(
    uploads: UploadRepository, ledger: Ledger, owner: LeaseOwner
) -> None:
    await record(uploads)
    assert await unused(uploads) == [DATASET, CONSENT]
    assert await uploads.count_unused() == 2
    assert await uris_of_finished(uploads) == []  # a command may be about to name it
    provisioning = await open_new(ledger, owner)
    assert await unused(uploads) == []
    assert [upload.uri for upload in await uploads.uploads_of(provisioning.id)] == [DATASET, CONSENT]


async def test_address_without_a_record_is_not_an_upload(
    uploads: UploadRepository, ledger: Ledger, owner: LeaseOwner
) -> None:
    provisioning = await open_new(ledger, owner)
    assert await uploads.uploads_of(provisioning.id) == []
    assert not may_be_upload("s3://uploads/ada.mov")
    assert not may_be_upload(f"https://h.example/{DIGEST}.mov")


@pytest.mark.parametrize("status", [Status.READY, Status.REFUSED, Status.TRAINING_FAILED])
async def test_upload_is_finished_once_all_its_provisionings_are(
    status: Status, uploads: UploadRepository, ledger: Ledger, owner: LeaseOwner
) -> None:
    await record(uploads)
    first, second = await open_new(ledger, owner, "r-1"), await open_new(ledger, owner, "r-2")
    await finish(ledger, first, owner, status)
    assert await uris_of_finished(uploads) == []
    await finish(ledger, second, owner, Status.READY)
    assert await uris_of_finished(uploads) == ([] if status is Status.TRAINING_FAILED else [DATASET, CONSENT])


async def test_erased_provisioning_needs_no_upload(
    database: Database, uploads: UploadRepository, ledger: Ledger, owner: LeaseOwner, clock: FakeClock
) -> None:
    await record(uploads)
    provisioning = await finish(ledger, await open_new(ledger, owner), owner, Status.TRAINING_FAILED)
    assert await uris_of_finished(uploads) == []
    await erase(database, clock, provisioning, owner, "erased")
    assert await uris_of_finished(uploads) == [DATASET, CONSENT]
    assert len(await uploads.uploads_of(provisioning.id)) == 2


async def test_upload_that_a_command_needs_again_is_kept_for_a_day(
    uploads: UploadRepository, ledger: Ledger, owner: LeaseOwner, clock: FakeClock
) -> None:
    await record(uploads)
    await finish(ledger, await open_new(ledger, owner), owner, Status.READY)
    [read, _] = await uploads.finished_uploads(9)
    clock.advance(1)
    await uploads.begin(DATASET, DIGEST, 9, "avatars batch (ada)")
    assert await uris_of_finished(uploads) == [CONSENT]
    assert not await uploads.is_finished(read)
    assert not await uploads.remove(read)
    clock.advance(UNUSED_AFTER.total_seconds() + 1)
    assert await uris_of_finished(uploads) == [DATASET, CONSENT]


async def test_removed_upload_belongs_to_no_provisioning(
    uploads: UploadRepository, ledger: Ledger, owner: LeaseOwner
) -> None:
    await record(uploads)
    provisioning = await finish(ledger, await open_new(ledger, owner), owner, Status.READY)
    for upload in await uploads.finished_uploads(9):
        assert await uploads.is_finished(upload)
        assert await uploads.remove(upload)
        assert not await uploads.remove(upload)
    assert await uploads.uploads_of(provisioning.id) == []
    assert not await uploads.is_recorded(DATASET)


async def test_replaced_and_retrained_requests_name_their_new_uploads(
    uploads: UploadRepository, ledger: Ledger, owner: LeaseOwner
) -> None:
    await record(uploads, DATASET, CONSENT, OTHER.dataset_video)
    first = await open_new(ledger, owner)
    replaced, _ = await ledger.get_or_create(OTHER, "r-1", LeaseOwner(actor="test", id="another"))
    assert replaced.id == first.id
    assert len(await uploads.uploads_of(first.id)) == 3
    failed = await finish(ledger, await open_new(ledger, owner, "r-2"), owner, Status.TRAINING_FAILED)
    assert len(await uploads.uploads_of(failed.id)) == 2
    await ledger.reopen(failed, owner, CallerAction.RETRAIN, "again", Status.ACCEPTED, request=OTHER)
    assert len(await uploads.uploads_of(failed.id)) == 3


async def test_finished_uploads_begin_at_a_share_and_continue_after_the_last(
    uploads: UploadRepository, ledger: Ledger, owner: LeaseOwner
) -> None:
    await record(uploads)
    await finish(ledger, await open_new(ledger, owner), owner, Status.READY)
    in_order = [DATASET, CONSENT]
    for start, expected in ((0.0, in_order), (0.4, in_order), (0.5, in_order[::-1]), (0.99, in_order[::-1])):
        assert [upload.uri for upload in await uploads.finished_uploads(9, start)] == expected
    assert [upload.uri for upload in await uploads.finished_uploads(1, 0.9)] == [CONSENT]
