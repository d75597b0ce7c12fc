"""A voice is cloned once per sample, whatever Argil answers and wherever the process crashes."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import pytest
from starlette.responses import JSONResponse

from flows.engine.execution import InlineExecution
from flows.engine.state_machine import run_to_completion
from models.errors import (
    ArgilPaymentRequired,
    ArgilUnreachable,
    AvatarsError,
    DayBudgetUsed,
    InvalidRequest,
    OperationalError,
    PaymentPaused,
    SubmissionUnresolved,
)
from models.image_request import ImageRequest
from models.media.rules import MediaRole
from models.provisioning import LeaseOwner, Provisioning, Status, SubmissionState, VoiceSource
from models.request_kinds import parse_fields
from services.erasure import erase_provisioning
from services.retraining import retrain
from services.voices.voice_cloning import POLLS_PER_GRACE_PERIOD
from simulator import responses
from simulator.scenarios import CreateResponse
from simulator.server import ArgilSimulator
from store.evidence import list_evidence
from tasks.clone_voice import clone_voice
from tests.provisioning_harness import LEASE_SECONDS, ProvisioningHarness, ScriptedClock, SimulatorGateway

SAMPLE = "https://videos.example/ada/voice.mp3?X-Amz-Signature=canary-signature"
OTHER_SAMPLE = "https://videos.example/ada/another.mp3"
CUT_AFTER = CreateResponse(None, creates_avatar=True)
CUT_BEFORE = CreateResponse(None)


class Cloning:
    """Runs image requests with a voice sample, and counts what Argil received."""

    def __init__(
        self, harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock, request: ImageRequest
    ) -> None:
        self.harness, self.argil, self.clock = harness, argil, clock
        self.request = request.model_copy(update={"voice_sample": SAMPLE})
        self.context = harness.context

    async def open(self, reference: str = "ada-1", **changes: Any) -> Provisioning:
        request = self.request.model_copy(update=changes)
        caller = LeaseOwner(actor="test", id=str(uuid4()))
        opened, _ = await self.context.ledger.get_or_create(request, reference, caller)
        return opened

    async def run(self, provisioning: Provisioning, owner: LeaseOwner | None = None) -> Provisioning:
        current = await self.harness.reload(provisioning)
        return await run_to_completion(current, owner or self.harness.owner, None, InlineExecution())

    async def clone(self, provisioning: Provisioning, owner: LeaseOwner) -> Provisioning:
        """Clone the voice only, without heartbeats, whose sleeps would advance the clock by many polls."""
        leased = await self.context.leases.acquire(provisioning.id, owner, self.context.lease_duration)
        return await clone_voice.fn(leased, owner)

    async def states(self, provisioning: Provisioning) -> list[SubmissionState]:
        return [clone.state for clone in await self.context.ledger.list_voice_clones(provisioning.id)]

    @property
    def cloned(self) -> list[str]:
        return [voice["id"] for voice in self.argil.account.voices.cloned]

    @property
    def sent_voices(self) -> list[str | None]:
        return [body.get("voiceId") for body in self.argil.account.posts]


@pytest.fixture
def cloning(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock, image_request: ImageRequest
) -> Cloning:
    return Cloning(harness, argil, clock, image_request)


# The request


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"voice_id": str(uuid4())}, "voice_sample: must not be given with voice_id"),
        ({"consent_video": None}, "voice_sample: requires a consent_video"),
        ({"voice_sample": "http://h.example/v.mp3"}, "must begin with https://"),
        ({"voice_sample": "s"}, "must begin with https://"),
    ],
)
def test_request_with_a_sample_has_rules(
    image_request: ImageRequest, changes: dict[str, Any], problem: str
) -> None:
    fields = {**image_request.model_dump(exclude_none=True), "voice_sample": SAMPLE, **changes}
    with pytest.raises(InvalidRequest) as caught:
        parse_fields({key: value for key, value in fields.items() if value is not None})
    assert problem in str(caught.value)
    assert "canary" not in str(caught.value)


def test_fingerprint_depends_on_the_sample_without_its_signature(image_request: ImageRequest) -> None:
    first = image_request.model_copy(update={"voice_sample": SAMPLE})
    signed_again = image_request.model_copy(update={"voice_sample": SAMPLE.replace("canary", "other")})
    assert first.fingerprint == signed_again.fingerprint != image_request.fingerprint


# One voice


async def test_voice_is_cloned_before_the_create_and_recorded(cloning: Cloning) -> None:
    ready = await cloning.run(await cloning.open())
    (voice_id,) = cloning.cloned
    assert cloning.sent_voices == [voice_id]
    assert (ready.status, ready.voice_id, ready.voice_source) == (Status.READY, voice_id, VoiceSource.GIVEN)
    (clone,) = await cloning.context.ledger.list_voice_clones(ready.id)
    assert clone.name == f"{ready.name} {clone.id}"
    assert cloning.argil.account.voices.cloned[0]["name"] == clone.name
    (received,) = cloning.argil.account.voices.received
    assert received.body == {"name": clone.name, "audioUrl": SAMPLE}
    assert not any("canary" in message for message in await cloning.harness.event_messages(ready))


async def test_failed_training_is_retried_with_the_same_voice(cloning: Cloning) -> None:
    opened = await cloning.open(extras={"simulator": "cut-before-create"})
    ready = await cloning.run(opened)
    assert ready.status is Status.READY
    assert len(cloning.cloned) == 1
    assert set(cloning.sent_voices) == set(cloning.cloned)


async def test_two_people_of_one_name_have_their_own_voices(cloning: Cloning) -> None:
    other = cloning.argil.account.voices
    other.add_clone(
        {"name": cloning.request.name, "audioUrl": "https://h.example/other.mp3"},
        cloning.argil.account.now(),
        creates=True,
        status=201,
    )
    namesake = other.cloned[0]["id"]
    other.clone_faults.append(CUT_AFTER)
    first, second = await cloning.run(await cloning.open("1")), await cloning.run(await cloning.open("2"))
    assert len({first.voice_id, second.voice_id, namesake, None}) == 4
    assert len(cloning.cloned) == 3


@pytest.mark.parametrize(
    ("fault", "posts"),
    [
        (CUT_AFTER, 1),
        (CreateResponse(HTTPStatus.BAD_GATEWAY, creates_avatar=True, form=responses.gateway_page), 1),
        (CreateResponse(HTTPStatus.CREATED, creates_avatar=True, form=responses.not_json), 1),
        (CreateResponse(HTTPStatus.CREATED, creates_avatar=True, form=responses.other_avatar), 1),
        (CreateResponse(HTTPStatus.OK, creates_avatar=True, form=responses.empty), 1),
        (CreateResponse(HTTPStatus.INTERNAL_SERVER_ERROR, creates_avatar=True), 1),
        (CreateResponse(HTTPStatus.TOO_MANY_REQUESTS), 2),
    ],
)
async def test_unknown_outcome_is_looked_up(cloning: Cloning, fault: CreateResponse, posts: int) -> None:
    cloning.argil.account.voices.clone_faults.append(fault)
    ready = await cloning.run(await cloning.open())
    assert (ready.status, [ready.voice_id]) == (Status.READY, cloning.cloned)
    assert len(cloning.argil.account.voices.received) == posts


async def test_lost_request_is_sent_again_only_after_the_grace_period(cloning: Cloning) -> None:
    cloning.argil.account.voices.clone_faults.append(CUT_BEFORE)
    opened = await cloning.open()
    with pytest.raises(ArgilUnreachable):
        await cloning.run(opened)
    current = await cloning.harness.reload(opened)
    assert current.status is Status.ACCEPTED
    assert current.reasons
    ready = await cloning.run(opened)
    assert (ready.status, [ready.voice_id]) == (Status.READY, cloning.cloned)
    assert await cloning.states(ready) == [SubmissionState.LOST, SubmissionState.CREATED]


async def test_voice_that_the_list_shows_within_the_grace_period_is_adopted(
    cloning: Cloning, gateway: SimulatorGateway
) -> None:
    cloning.argil.account.voices.clone_faults.append(CUT_AFTER)
    gateway.canned_responses["GET", "/v1/voices"] = [JSONResponse([]) for _ in range(3)]
    cloned = await cloning.clone(await cloning.open(), cloning.harness.owner)
    assert await cloning.states(cloned) == [SubmissionState.CREATED]
    assert len(cloning.argil.account.voices.received) == 1


async def test_voice_of_a_lost_request_that_appears_later_is_adopted(cloning: Cloning) -> None:
    voices = cloning.argil.account.voices
    voices.clone_faults.append(CUT_BEFORE)
    opened = await cloning.open()
    with pytest.raises(ArgilUnreachable):
        await cloning.run(opened)
    (lost,) = await cloning.context.ledger.list_voice_clones(opened.id)
    voices.add_clone({"name": lost.name, "audioUrl": SAMPLE}, cloning.argil.account.now(), creates=True, status=201)
    ready = await cloning.run(opened)
    assert [ready.voice_id] == cloning.cloned
    assert await cloning.states(ready) == [SubmissionState.CREATED]


async def test_list_that_proves_nothing_stops_with_an_operational_error(cloning: Cloning) -> None:
    voices = cloning.argil.account.voices
    voices.clone_faults.append(CUT_AFTER)
    voices.list_status = HTTPStatus.INTERNAL_SERVER_ERROR
    opened = await cloning.open()
    with pytest.raises(SubmissionUnresolved):
        await cloning.run(opened)
    assert await cloning.states(opened) == [SubmissionState.UNKNOWN]
    voices.list_status = HTTPStatus.OK
    ready = await cloning.run(opened)
    assert [ready.voice_id] == cloning.cloned


async def test_refused_sample_rejects_and_retry_clones_again(cloning: Cloning) -> None:
    cloning.argil.account.voices.clone_faults.append(CreateResponse(HTTPStatus.BAD_REQUEST))
    rejected = await cloning.run(await cloning.open())
    assert (rejected.status, rejected.reasons[0].code) == (Status.REJECTED, "voice-sample.refused")
    assert cloning.argil.account.posts == []
    assert await cloning.states(rejected) == [SubmissionState.NOT_CREATED]


# Spend guard and pauses


@pytest.mark.parametrize("changes", [{"avatars_max_creates_per_day": 1}])
async def test_nothing_is_cloned_beyond_the_budget(cloning: Cloning) -> None:
    await cloning.run(await cloning.open("1"))
    with pytest.raises(DayBudgetUsed):
        await cloning.run(await cloning.open("2"))
    with pytest.raises(DayBudgetUsed):  # used up by others during the check of the recordings
        await cloning.clone(await cloning.open("3"), cloning.harness.owner)
    assert len(cloning.cloned) == 1


async def test_402_pauses_creates_and_clones(cloning: Cloning) -> None:
    cloning.argil.account.voices.clone_faults.append(CreateResponse(HTTPStatus.PAYMENT_REQUIRED))
    with pytest.raises(ArgilPaymentRequired):
        await cloning.run(await cloning.open("1"))
    with pytest.raises(PaymentPaused):
        await cloning.run(await cloning.open("2"))
    assert len(cloning.argil.account.voices.received) == 1
    assert cloning.argil.account.posts == []


# Crashes and races


class Crash(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("when", ["before the post", "after the post", "before the record"])
async def test_crash_around_the_clone_clones_one_voice(
    cloning: Cloning, gateway: SimulatorGateway, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    opened = await cloning.open()
    ledger, client = cloning.context.ledger, cloning.context.argil

    async def crash(*_: Any, **__: Any) -> Any:
        raise Crash

    async def send_then_crash(*args: Any, **named: Any) -> Any:
        await type(client).create_voice(client, *args, **named)
        raise Crash

    with monkeypatch.context() as patch:
        if when == "before the post":
            patch.setattr(client, "create_voice", crash)
        elif when == "after the post":
            patch.setattr(client, "create_voice", send_then_crash)
        else:
            patch.setattr(ledger, "resolve_voice_clone", crash)
        with pytest.raises(Crash):
            await cloning.run(opened)
    assert await cloning.states(opened) == [SubmissionState.PENDING]
    cloning.clock.advance(LEASE_SECONDS + 1)
    other = LeaseOwner(actor="other", id=str(uuid4()))
    # The request may still be in transit, so lists without the voice prove nothing for the duration of a lease.
    lists_per_lease = POLLS_PER_GRACE_PERIOD - 1
    gateway.canned_responses["GET", "/v1/voices"] = [JSONResponse([]) for _ in range(lists_per_lease)]
    started = cloning.clock.monotonic()
    cloned = await cloning.clone(opened, other)
    assert gateway.canned_responses["GET", "/v1/voices"] == []
    assert len(cloning.cloned) == len(cloning.argil.account.voices.received) == 1
    if when == "before the post":
        assert cloning.clock.monotonic() - started >= LEASE_SECONDS
    ready = await cloning.run(cloned, other)
    assert (ready.status, [ready.voice_id]) == (Status.READY, cloning.cloned)


async def test_replaced_request_clones_its_own_sample(cloning: Cloning) -> None:
    cloning.argil.account.voices.clone_faults.append(CreateResponse(HTTPStatus.BAD_REQUEST))
    rejected = await cloning.run(await cloning.open())
    replaced = await cloning.open(voice_sample=OTHER_SAMPLE)
    assert replaced.id == rejected.id
    ready = await cloning.run(replaced)
    assert ready.status is Status.READY
    assert [received.body["audioUrl"] for received in cloning.argil.account.voices.received] == [
        SAMPLE,
        OTHER_SAMPLE,
    ]


# Retrain


async def failed_submission(cloning: Cloning) -> Provisioning:
    """Return a provisioning whose voice was cloned, but whose create Argil rejected."""
    failed = await cloning.run(await cloning.open(extras={"simulator": "invalid"}))
    assert failed.status is Status.SUBMISSION_FAILED
    return failed


async def retrained(cloning: Cloning, provisioning: Provisioning, **changes: str) -> Provisioning:
    """Retrain as a person does, with a caller of its own, and submit again."""
    caller = LeaseOwner(actor="retrain", id=str(uuid4()))
    reopened = await retrain(cloning.context, provisioning, caller, "another try", **changes)
    return await cloning.run(reopened, caller)


async def test_retrain_with_another_image_keeps_the_voice(cloning: Cloning) -> None:
    again = await retrained(cloning, await failed_submission(cloning), image="https://videos.example/ada/b.png")
    (voice_id,) = cloning.cloned
    assert cloning.sent_voices == [voice_id, voice_id]
    assert any("retrained with other recordings" in text for text in await cloning.harness.event_messages(again))


async def test_retrain_with_another_sample_clones_that_one_once(cloning: Cloning) -> None:
    failed = await failed_submission(cloning)
    again = await retrained(cloning, failed, voice_sample=OTHER_SAMPLE)
    assert any("retrained with another voice" in text for text in await cloning.harness.event_messages(again))
    again = await retrained(cloning, again, voice_sample=f"{OTHER_SAMPLE}?X-Amz-Signature=2")
    await retrained(cloning, again, voice_sample=SAMPLE)  # the voice of the first sample is still there
    received = [voice.body["audioUrl"] for voice in cloning.argil.account.voices.received]
    assert received == [SAMPLE, OTHER_SAMPLE]
    first, second = cloning.cloned
    assert cloning.sent_voices == [first, second, second, first]


async def test_retrain_with_a_voice_id_replaces_the_sample(cloning: Cloning) -> None:
    failed = await failed_submission(cloning)
    account = cloning.argil.account
    account.voices.add_clone({"name": "Own", "audioUrl": SAMPLE}, account.now(), creates=True, status=201)
    cloned, own = cloning.cloned
    again = await retrained(cloning, failed, voice_id=own.upper())
    assert MediaRole.VOICE_SAMPLE not in again.request.recordings
    await retrained(cloning, again, voice_sample=SAMPLE)
    assert cloning.sent_voices == [cloned, own, cloned]
    assert cloning.cloned == [cloned, own]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"voice_id": str(uuid4()), "voice_sample": SAMPLE}, "must not be given with voice_id"),
        ({"voice_id": "Ada"}, "must be a UUID"),
        ({"voice_sample": "http://h.example/v.mp3"}, "must begin with https://"),
    ],
)
async def test_retrain_refuses_a_wrong_voice(cloning: Cloning, changes: dict[str, str], problem: str) -> None:
    failed = await failed_submission(cloning)
    with pytest.raises(InvalidRequest, match=problem):
        await retrained(cloning, failed, **changes)
    assert (await cloning.harness.reload(failed)).status is Status.SUBMISSION_FAILED


async def test_retrain_of_videos_takes_no_voice(cloning: Cloning) -> None:
    failed = await cloning.harness.submitted("invalid", reference="video")
    for changes in ({"voice_id": str(uuid4())}, {"voice_sample": SAMPLE}):
        with pytest.raises(InvalidRequest, match="not a field of this request"):
            await retrained(cloning, failed, **changes)


async def test_second_owner_cannot_record_a_second_intent(cloning: Cloning) -> None:
    opened = await cloning.open()
    ledger, owner = cloning.context.ledger, cloning.harness.owner
    current, _ = await ledger.begin_voice_clone(opened, owner, "d" * 64)
    with pytest.raises(AvatarsError):
        await ledger.begin_voice_clone(opened, owner, "d" * 64)  # StaleVersion
    with pytest.raises(OperationalError):
        await ledger.begin_voice_clone(current, owner, "d" * 64)  # the index
    assert await cloning.states(opened) == [SubmissionState.PENDING]


# A recording


async def test_sample_is_checked_and_on_record(cloning: Cloning) -> None:
    ready = await cloning.run(await cloning.open())
    (evidence,) = await list_evidence(cloning.context.ledger.database, ready.id)
    assert set(evidence.recordings) == {MediaRole.IMAGE, MediaRole.CONSENT, MediaRole.VOICE_SAMPLE}


async def test_sample_of_a_refused_avatar_is_quarantined(cloning: Cloning) -> None:
    refused = await cloning.open(extras={"simulator": "refuse"})
    training = await cloning.run(refused) if refused.status.is_terminal else refused
    await cloning.context.quarantine.add(training)
    rejected = await cloning.run(
        await cloning.open("2", image="https://videos.example/b.png", consent_video="https://videos.example/c.mp4")
    )
    assert (rejected.status, rejected.reasons[0].code) == (Status.REJECTED, "voice-sample.quarantined")
    assert cloning.cloned == []


async def test_erasure_removes_the_name_and_reports_the_voice(cloning: Cloning) -> None:
    ready = await cloning.run(await cloning.open())
    cloning.clock.advance(timedelta(hours=1).total_seconds())
    ledger = cloning.context.ledger
    report = await erase_provisioning(ledger, cloning.clock, ready.id, LeaseOwner(actor="erase", id="1"))
    assert report.voice_ids == cloning.cloned
    (clone,) = await ledger.list_voice_clones(ready.id)
    assert (clone.name, clone.voice_id) == (None, None)
