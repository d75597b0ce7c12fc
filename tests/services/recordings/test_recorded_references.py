"""A manifest that switches from HTTPS URLs of a store to URIs, or back, attaches to the same provisionings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.errors import ReferenceConflict
from models.manifest.manifest import parse_rows
from models.manifest.validation import ManifestRow
from models.privacy.data_subject import DataSubject, LedgerTraces, Match
from models.provisioning import LeaseOwner, Status, SubmissionState
from models.recordings.addresses import parse_sources
from models.recordings.endpoint_uris import configure_s3_endpoint
from models.recordings.identity import RecordingIdentity
from models.recordings.object_store_uris import configure_azure_account
from models.request import AvatarRequest
from services.recordings.recorded_references import use_recorded_references
from services.recordings.shared_recordings import find_new_shared_recordings
from services.reopening import open_request
from store.database import Database
from store.ledger import Ledger
from store.quarantine import QuarantineRepository
from tests.fakes import FakeClock

SIGNED = "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=1"
STORES = {
    "endpoint, in the path": ("https://store.example:9000/people/{}" + SIGNED, "s3://people/{}"),
    "endpoint, in the host": ("https://people.store.example:9000/{}" + SIGNED, "s3://people/{}"),
    "aws": ("https://people.s3.eu-west-1.amazonaws.com/{}" + SIGNED, "s3://people/{}"),
    "gcs": ("https://storage.googleapis.com/people/{}?X-Goog-Signature=1", "gs://people/{}"),
    "gcs, in the host": ("https://people.storage.googleapis.com/{}", "gs://people/{}"),
    "azure": (
        "https://account1.blob.core.windows.net/people/{}?sv=2024-11-04&sig=aaaaaaaaaaaaaaaaaaaaaaaa",
        "az://people/{}",
    ),
}


def make_owner(flow_run_id: str) -> LeaseOwner:
    return LeaseOwner(actor="test", id=flow_run_id, flow_run_id=flow_run_id)


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    configure_s3_endpoint("https://store.example:9000")
    configure_azure_account("account1")
    yield
    configure_s3_endpoint(None)
    configure_azure_account("")


@pytest.fixture
def ledger(database: Database, clock: FakeClock) -> Ledger:
    return Ledger(database, clock)


@pytest.fixture
def quarantine(database: Database, clock: FakeClock) -> QuarantineRepository:
    return QuarantineRepository(database, clock)


def rows_with(pattern: str, *, references: bool) -> list[ManifestRow]:
    return parse_rows(
        {
            "name": name,
            "dataset_video": pattern.format(f"{name}/d%20s.mp4"),
            "consent_video": pattern.format(f"{name}/c.mp4"),
            **({"reference": f"ref-{name}"} if references else {}),
        }
        for name in ("ada", "bob")
    )


def requests_of(rows: list[ManifestRow]) -> list[AvatarRequest]:
    requests = [row.request for row in rows if row.request is not None]
    assert len(requests) == 2
    return requests


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("references", [True, False])
@pytest.mark.parametrize("to_uris", [True, False])
async def test_switched_manifest_attaches(
    ledger: Ledger, owner: LeaseOwner, store: str, references: bool, to_uris: bool
) -> None:
    before, after = STORES[store] if to_uris else STORES[store][::-1]
    submitted = {}
    for request in requests_of(rows_with(before, references=references)):
        opened, _ = await ledger.get_or_create(request, request.reference or "", owner)
        leased, submission = await ledger.begin_submission(opened, owner, "sending")
        training = await ledger.resolve_submission(
            leased,
            owner,
            "created",
            submission,
            SubmissionState.CREATED,
            new_status=Status.TRAINING,
            avatar_id=f"avatar-{request.name}",
        )
        submitted[request.name] = training.id
    rows = await use_recorded_references(ledger, rows_with(after, references=references))
    assert await use_recorded_references(ledger, rows) == rows
    for row, request in zip(rows, requests_of(rows), strict=True):
        assert row.reference == request.reference
        attached, is_new = await ledger.get_or_create(request, row.reference, make_owner("later"))
        assert (attached.id, attached.status, is_new) == (submitted[request.name], Status.TRAINING, False)
    assert await find_new_shared_recordings(ledger, [*rows, *rows]) == []


async def test_other_object_at_the_endpoint_is_still_a_conflict(ledger: Ledger, owner: LeaseOwner) -> None:
    before, after = STORES["endpoint, in the path"]
    [ada, _] = requests_of(rows_with(before, references=True))
    opened, _ = await ledger.get_or_create(ada, "ref-ada", owner)
    await ledger.begin_submission(opened, owner, "sending")
    [other, _] = requests_of(rows_with(after.replace("people", "people-2"), references=True))
    with pytest.raises(ReferenceConflict):
        await ledger.get_or_create(other, "ref-ada", make_owner("later"))


async def test_rejected_request_is_reopened_with_the_uris_and_keeps_its_fingerprint(
    ledger: Ledger, quarantine: QuarantineRepository, owner: LeaseOwner
) -> None:
    before, after = STORES["endpoint, in the host"]
    [by_url, _] = requests_of(rows_with(before, references=True))
    [by_uri, _] = requests_of(rows_with(after, references=True))
    opened, _ = await ledger.get_or_create(by_url, "ref-ada", owner)
    rejected = await ledger.transition(opened, owner, "expired", new_status=Status.REJECTED)
    reopened, _ = await open_request(ledger, quarantine, by_uri, "ref-ada", make_owner("later"), ())
    assert reopened.status is Status.REJECTED  # AVATARS_SOURCES lists no bucket
    assert {reason.code for reason in reopened.reasons} == {
        "dataset.source-not-allowed",
        "consent.source-not-allowed",
    }
    sources = parse_sources({"s3://people"})
    reopened, _ = await open_request(ledger, quarantine, by_uri, "ref-ada", make_owner("third"), sources)
    assert (reopened.id, reopened.status) == (rejected.id, Status.ACCEPTED)
    assert reopened.request.recordings == by_uri.recordings
    assert reopened.request_fingerprint == by_url.fingerprint


async def test_quarantine_finds_an_object_by_its_other_addresses(
    ledger: Ledger, quarantine: QuarantineRepository, owner: LeaseOwner
) -> None:
    pattern, uri = STORES["endpoint, in the path"]
    [ada, _] = requests_of(rows_with(pattern, references=True))
    refused, _ = await ledger.get_or_create(ada, "ref-ada", owner)
    await quarantine.add(refused)
    for address in (uri, STORES["endpoint, in the host"][0]):
        identity = RecordingIdentity.from_facts(address.format("ada/d%20s.mp4"))
        assert await quarantine.find_provisioning_for(identity) == refused.id
    other = RecordingIdentity.from_facts(uri.format("eve/d.mp4"))
    assert await quarantine.find_provisioning_for(other) is None


def test_erasure_finds_the_runs_that_name_the_object_by_another_address() -> None:
    pattern, uri = STORES["endpoint, in the path"]
    [by_url, _] = requests_of(rows_with(pattern, references=False))
    [by_uri, _] = (row.request for row in rows_with(uri, references=False))
    assert by_uri is not None
    digests = tuple(RecordingIdentity.from_facts(url).digest for url in by_url.recordings.values())
    for traces in (LedgerTraces(recording_digests=digests), LedgerTraces(request_fingerprint=by_url.fingerprint)):
        subject = DataSubject("id", by_url.reference or "", traces)
        fields = by_uri.model_dump(exclude={"reference"})
        assert subject.trace(fields, None).match_if_unrecorded is Match.OWN


async def test_many_rows_without_an_endpoint_are_not_looked_up(tmp_path: Path) -> None:
    configure_s3_endpoint(None)
    rows = rows_with("s3://people/{}", references=False)
    assert await use_recorded_references(None, rows) == rows  # type: ignore[arg-type]  # it must not be read
