"""A recording in a store is submitted by a signed URL that exists in memory only, and never unseen."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.engine.execution import InlineExecution
from flows.engine.state_machine import MAX_CHECKS, run_to_completion
from models.errors import RecordingsChange, StoreUnavailable
from models.media.rules import MediaRole
from models.provisioning import Provisioning, Status, SubmissionState
from services.recordings import recording_links
from services.retraining import retrain
from simulator.server import ArgilSimulator
from tests.provisioning_harness import (
    VALID_FACTS,
    FakeMedia,
    ProvisioningHarness,
    SimulatorGateway,
)
from tests.s3_recordings import BUCKET, CONSENT, DATASET, s3, session_s3  # noqa: F401  # fixtures
from tests.s3_server import S3Server

pytestmark = pytest.mark.system  # the server and its signatures take over 5 seconds in all

RECORDINGS = {"dataset_video": DATASET, "consent_video": CONSENT}
DATASET_KEY = DATASET.removeprefix(f"s3://{BUCKET}/")


@pytest.fixture
def changes(s3: S3Server) -> dict[str, Any]:  # noqa: F811
    return {
        "avatars_media_check": "strict",
        "avatars_sources": f"s3://{BUCKET}/people/",
        "avatars_s3_endpoint": s3.endpoint,
    }


@pytest.fixture(autouse=True)
def checked_media(media: FakeMedia, s3: S3Server) -> FakeMedia:  # noqa: F811
    """The facts of the media check are those of the objects on the server."""
    for role, uri, seconds in ((MediaRole.DATASET, DATASET, 61.0), (MediaRole.CONSENT, CONSENT, 20.0)):
        etag = etag_of(s3, uri.removeprefix(f"s3://{BUCKET}/"))
        media.results[role] = VALID_FACTS.model_copy(
            update={"etag": etag, "size_bytes": len(uri), "duration_seconds": seconds}
        )
    return media


async def run(harness: ProvisioningHarness, provisioning: Provisioning) -> Provisioning:
    """Advance a provisioning until Argil has created its avatar."""
    await harness.context.leases.release(provisioning.id, harness.owner)
    return await run_to_completion(provisioning, harness.owner, 0, InlineExecution())


async def accepted(harness: ProvisioningHarness, scenario: str = "") -> Provisioning:
    return await harness.accepted(scenario, **RECORDINGS)


def sent_urls(argil: ArgilSimulator) -> list[dict[str, str]]:
    return [{name: body[name]["url"] for name in ("datasetVideo", "consentVideo")} for body in argil.account.posts]


def download(server: S3Server, url: str) -> httpx.Response:
    """Download a recording as Argil does."""
    return httpx.get(url)  # SSL_CERT_FILE names the authority of the server


async def test_argil_receives_signed_urls(
    harness: ProvisioningHarness,
    argil: ArgilSimulator,
    s3: S3Server,  # noqa: F811
    ledger_file: Path,
) -> None:
    training = await run(harness, await accepted(harness))
    assert training.status is Status.TRAINING
    [urls] = sent_urls(argil)
    assert download(s3, urls["datasetVideo"]).content == DATASET.encode()
    assert download(s3, urls["consentVideo"]).content == CONSENT.encode()
    assert "X-Amz-Expires=86400&" in urls["datasetVideo"]
    assert training.request.recordings == {MediaRole.DATASET: DATASET, MediaRole.CONSENT: CONSENT}
    for file in ledger_file.parent.glob("ledger.db*"):
        assert b"X-Amz" not in file.read_bytes()


async def test_media_check_reads_a_signed_url_of_its_own(
    harness: ProvisioningHarness,
    argil: ArgilSimulator,
    media: FakeMedia,
    s3: S3Server,  # noqa: F811
) -> None:
    await run(harness, await accepted(harness))
    checked = {role: signed for signed, role in media.checked}
    url = checked[MediaRole.DATASET].url  # type: ignore[attr-defined]  # FakeMedia has the type of the URL
    assert "X-Amz-Expires=3600&" in url
    assert url not in {url for urls in sent_urls(argil) for url in urls.values()}
    heads = [(request.key, bool(request.if_match)) for request in s3.requests]
    assert sorted(heads) == sorted(
        (uri.removeprefix(f"s3://{BUCKET}/"), is_again) for uri in (DATASET, CONSENT) for is_again in (False, True)
    )


@pytest.mark.parametrize(
    "address",
    [
        "s3://recordings-2/people/ada/dataset.mp4",
        "s3://recordings/people-2/dataset.mp4",
        "s3://Recordings/people/ada/dataset.mp4",
        "gs://recordings/people/ada/dataset.mp4",
    ],
)
async def test_source_that_is_not_listed_is_rejected_unread(
    harness: ProvisioningHarness,
    address: str,
    media: FakeMedia,
    s3: S3Server,  # noqa: F811
) -> None:
    rejected = await run(harness, await harness.accepted(dataset_video=address, consent_video=CONSENT))
    assert rejected.status is Status.REJECTED
    [reason] = rejected.reasons
    assert reason.code == "dataset.source-not-allowed"
    assert "that AVATARS_SOURCES lists" in reason.message
    assert address in reason.message
    assert not [role for _, role in media.checked if role is MediaRole.DATASET]
    assert {request.key for request in s3.requests} == {CONSENT.removeprefix(f"s3://{BUCKET}/")}


async def test_source_is_checked_without_a_media_check(
    harness: ProvisioningHarness,
    s3: S3Server,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accepted_ = await harness.accepted(dataset_video="s3://other/a.mp4", consent_video="s3://other/b.mp4")
    harness.context.settings.__dict__["avatars_media_check"] = "off"
    rejected = await run(harness, accepted_)
    assert rejected.status is Status.REJECTED
    assert s3.requests == []


async def test_changed_object_is_checked_again(
    harness: ProvisioningHarness,
    argil: ArgilSimulator,
    media: FakeMedia,
    s3: S3Server,  # noqa: F811
) -> None:
    real_check = media.check

    async def replace_after_check(url: Any, role: MediaRole) -> Any:
        report = await real_check(url, role)
        if role is MediaRole.DATASET and len([each for _, each in media.checked if each is role]) == 1:
            s3.put(BUCKET, DATASET_KEY, b"other bytes")
            media.results[role] = VALID_FACTS.model_copy(
                update={"etag": etag_of(s3, DATASET_KEY), "size_bytes": 11}
            )
        return report

    media.check = replace_after_check  # type: ignore[method-assign]
    training = await run(harness, await accepted(harness))
    assert training.status is Status.TRAINING
    assert [role for _, role in media.checked].count(MediaRole.DATASET) == 2
    messages = await harness.event_messages(training)
    assert "the dataset recording changed after it was checked; it is checked again" in messages
    assert len(argil.account.posts) == 1
    assert training.media_facts is not None
    assert training.media_facts["dataset"]["etag"] == etag_of(s3, DATASET_KEY)


async def test_object_that_keeps_changing_is_never_submitted(
    harness: ProvisioningHarness, argil: ArgilSimulator, media: FakeMedia
) -> None:
    media.results[MediaRole.DATASET] = VALID_FACTS.model_copy(update={"etag": '"another"'})
    with pytest.raises(RecordingsChange) as raised:
        await run(harness, waiting := await accepted(harness))
    assert f"{MAX_CHECKS} checks" in raised.value.message
    assert [role for _, role in media.checked].count(MediaRole.DATASET) == MAX_CHECKS
    current = await harness.reload(waiting)
    assert (current.status, current.submission_count) == (Status.ACCEPTED, 0)
    assert [reason.code for reason in current.reasons] == ["media.changes"]
    assert argil.account.posts == []


async def test_object_deleted_after_the_check_is_rejected(
    harness: ProvisioningHarness,
    argil: ArgilSimulator,
    media: FakeMedia,
    s3: S3Server,  # noqa: F811
) -> None:
    real_check = media.check

    async def delete_after_check(url: Any, role: MediaRole) -> Any:
        s3.delete(BUCKET, DATASET_KEY) if role is MediaRole.DATASET else None
        return await real_check(url, role)

    media.check = delete_after_check  # type: ignore[method-assign]
    rejected = await run(harness, await accepted(harness))
    assert rejected.status is Status.REJECTED
    assert [reason.code for reason in rejected.reasons] == ["dataset.not-found"]
    assert argil.account.posts == []


@pytest.mark.parametrize("level", ["strict", "off"])
async def test_failed_signing_records_no_submission(
    harness: ProvisioningHarness,
    argil: ArgilSimulator,
    level: str,
    s3: S3Server,  # noqa: F811
) -> None:
    harness.context.settings.__dict__["avatars_media_check"] = level
    s3.credentials = {}
    waiting = await accepted(harness)
    with pytest.raises(StoreUnavailable) as raised:
        await run(harness, waiting)
    assert "does not accept the credentials" in raised.value.message
    current = await harness.reload(waiting)
    assert (current.status, current.submission_count) == (Status.ACCEPTED, 0)
    assert [reason.code for reason in current.reasons] == ["media.store"]
    assert await harness.submissions(waiting) == []
    assert argil.account.posts == []


async def test_resend_signs_again(
    harness: ProvisioningHarness,
    argil: ArgilSimulator,
    s3: S3Server,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The clock is scripted, and every renewal of the lease moves it while the store answers in real time.
    monkeypatch.setattr("clients.argil.CREATE_RETRY_BUDGET_SECONDS", math.inf)
    training = await run(harness, await accepted(harness, "rate-limited"))
    assert training.status is Status.TRAINING
    urls = [urls["datasetVideo"] for urls in sent_urls(argil)]
    assert len(urls) == 3
    # Two signatures within one second are equal, so the requests count: for the check and for each attempt.
    assert [request.key for request in s3.requests].count(DATASET_KEY) == 1 + len(urls)


async def test_resend_of_a_changed_object_is_not_sent(
    harness: ProvisioningHarness,
    gateway: SimulatorGateway,
    media: FakeMedia,
    s3: S3Server,  # noqa: F811
) -> None:
    def replace(method: str, _: str) -> None:
        if method != "POST":
            return
        gateway.on_request = None
        s3.put(BUCKET, DATASET_KEY, b"other bytes")
        changed = {"etag": etag_of(s3, DATASET_KEY), "size_bytes": 11}
        media.results[MediaRole.DATASET] = VALID_FACTS.model_copy(update=changed)

    gateway.on_request = replace
    training = await run(harness, await accepted(harness, "rate-limited"))
    assert training.status is Status.TRAINING
    first, second = await harness.submissions(training)
    assert (first.state, second.state) == (SubmissionState.NOT_CREATED, SubmissionState.CREATED)
    assert [role for _, role in media.checked].count(MediaRole.DATASET) == 2


async def test_failed_signing_of_a_resend_creates_nothing(
    harness: ProvisioningHarness,
    argil: ArgilSimulator,
    gateway: SimulatorGateway,
    s3: S3Server,  # noqa: F811
) -> None:
    def revoke(method: str, _: str) -> None:
        if method == "POST":
            s3.denied.add(BUCKET)

    gateway.on_request = revoke
    waiting = await accepted(harness, "rate-limited")
    with pytest.raises(StoreUnavailable):
        await run(harness, waiting)
    current = await harness.reload(waiting)
    assert current.status is Status.ACCEPTED
    assert await harness.states(waiting) == [SubmissionState.NOT_CREATED]
    assert len(argil.account.posts) == 1


async def test_retrain_signs_after_the_first_signature_expired(
    harness: ProvisioningHarness,
    argil: ArgilSimulator,
    s3: S3Server,  # noqa: F811
) -> None:
    failed = await run(harness, await accepted(harness, "invalid"))
    assert failed.status is Status.SUBMISSION_FAILED
    [first] = sent_urls(argil)
    s3.expired_before = datetime.now(UTC).replace(year=2100)
    assert download(s3, first["datasetVideo"]).status_code == 403
    s3.expired_before = datetime.min.replace(tzinfo=UTC)
    reopened = await retrain(harness.context, failed, harness.owner, "the signature had expired")
    await run(harness, reopened)
    assert len(sent_urls(argil)) == 2
    assert download(s3, sent_urls(argil)[1]["datasetVideo"]).status_code == 200


async def test_retrain_of_a_failed_training_sends_a_url_that_is_valid(
    harness: ProvisioningHarness,
    argil: ArgilSimulator,
    s3: S3Server,  # noqa: F811
) -> None:
    training = await run(harness, await accepted(harness, "fail"))
    harness.context.clock.advance(3600)  # type: ignore[attr-defined]  # the clock of the tests
    leased = await harness.context.leases.acquire(training.id, harness.owner, harness.context.lease_duration)
    failed = await harness.context.ledger.transition(
        leased, harness.owner, "ended", new_status=Status.TRAINING_FAILED
    )
    [first] = sent_urls(argil)
    lifetime = timedelta(seconds=harness.context.settings.avatars_signed_url_seconds)
    s3.clock_offset = lifetime + timedelta(minutes=1)
    assert {download(s3, url).status_code for url in first.values()} == {403}
    s3.clock_offset = timedelta(0)
    s3.expired_before = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    while datetime.now(UTC) < s3.expired_before:  # noqa: ASYNC110  # time has no event; signatures have seconds
        await asyncio.sleep(0.01)
    reopened = await retrain(harness.context, failed, harness.owner, "the first signature has expired")
    await run(harness, reopened)
    _, second = sent_urls(argil)
    assert {download(s3, url).status_code for url in first.values()} == {403}
    assert {download(s3, url).status_code for url in second.values()} == {200}


async def test_signature_that_argil_repeats_is_redacted(
    harness: ProvisioningHarness,
    argil: ArgilSimulator,
    gateway: SimulatorGateway,
    ledger_file: Path,
) -> None:
    from starlette.responses import JSONResponse, Response
    from starlette.types import Receive, Scope, Send

    class Echo(Response):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            body = (await receive())["body"].decode()
            query = body.partition("dataset.mp4?")[2].partition('"')[0]
            signature = query.partition("X-Amz-Signature=")[2]
            message = f"cannot read /people/ada/dataset.mp4: {signature}"
            echoed.append(signature)
            await JSONResponse({"code": 422, "message": message}, 422)(scope, receive, send)

    echoed: list[str] = []
    gateway.canned_responses[("POST", "/v1/avatars")] = [Echo()]
    failed = await run(harness, await accepted(harness))
    assert failed.status is Status.SUBMISSION_FAILED
    [signature] = echoed
    assert len(signature) == 64
    [reason] = failed.reasons
    assert "cannot read" in reason.message
    for file in ledger_file.parent.glob("ledger.db*"):
        assert signature.encode() not in file.read_bytes()


async def test_session_of_unknown_end_is_logged_once(
    harness: ProvisioningHarness,
    s3: S3Server,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from tests.s3_server import KEY_ID, SECRET_KEY
    from tests.s3_signatures import Credential

    monkeypatch.setenv("AWS_SESSION_TOKEN", "canary-session-token")
    s3.credentials = {KEY_ID: Credential(SECRET_KEY, "canary-session-token")}
    recording_links._warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        await run(harness, await accepted(harness))
    warnings = [record.getMessage() for record in caplog.records if "whose end is unknown" in record.getMessage()]
    assert len(warnings) == 1
    assert "canary" not in caplog.text


def etag_of(server: S3Server, key: str) -> str:
    return f'"{hashlib.md5(server.read(BUCKET, key)).hexdigest()}"'  # noqa: S324  # the ETag of S3
