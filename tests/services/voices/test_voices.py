"""Voices of READY avatars: named by deliveries, matched by name, and what is never recorded."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from http import HTTPStatus
from uuid import uuid4

import pytest
from starlette.responses import JSONResponse

from models.argil.webhook import WebhookDelivery
from models.provisioning import LeaseOwner, Provisioning, Status, Submission, SubmissionState, VoiceSource
from services.account.adoption import RequestedAdoption, adopt
from services.context import AppContext
from services.erasure import erase_provisioning
from services.submissions import build_create_request
from services.voices.voices import (
    CONCURRENT_LOOKUPS,
    LOOKUP_SECONDS,
    MAX_DUE,
    MAX_FAILURES,
    find_delivered_voice,
    look_up_voices,
)
from simulator.server import ArgilSimulator
from tasks.await_training import await_training
from tasks.record_outcome import record_outcome
from tests.provisioning_harness import (
    TRAINING_SECONDS,
    ProvisioningHarness,
    ScriptedClock,
    SimulatorGateway,
)

LIST = "GET /voices"
GET = "GET /voices/{id}"
MAX_LOOKUPS = 20


class Voices:
    """Trains avatars, delivers webhooks for them as the simulator would, and looks their voices up."""

    def __init__(self, harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock) -> None:
        self.harness, self.argil, self.clock = harness, argil, clock
        self.context: AppContext = harness.context

    async def ready(self, scenario: str = "", **changes: str) -> Provisioning:
        return await self.finish(await self.harness.submitted(scenario, **changes))

    async def finish(self, training: Provisioning) -> Provisioning:
        current, _ = await await_training.fn(training, self.harness.owner, None)
        return await record_outcome.fn(current, Status.READY, self.harness.owner)

    async def ready_without_requests(self, count: int) -> list[Provisioning]:
        """Record provisionings that were submitted now and became READY after a training, without the simulator."""
        ledger, owner, started_at = self.context.ledger, self.harness.owner, self.clock.now()

        async def submit(number: int) -> tuple[Provisioning, Submission]:
            request = self.harness.request.model_copy(update={"name": f"Name {number}"})
            opened, _ = await ledger.get_or_create(request, f"r-{number}", owner)
            return await ledger.begin_submission(opened, owner, "recorded")

        async def end(provisioning: Provisioning, submission: Submission) -> Provisioning:
            training = await ledger.resolve_submission(
                *(provisioning, owner, "created", submission, SubmissionState.CREATED),
                new_status=Status.TRAINING,
                avatar_id=f"a-{provisioning.reference}",
                training_started_at=started_at,
            )
            due_at = self.clock.now()
            return await ledger.transition(training, owner, "ready", new_status=Status.READY, voice_due_at=due_at)

        submitted = await asyncio.gather(*map(submit, range(count)))  # at once, so that they share transactions
        self.clock.advance(TRAINING_SECONDS)
        return await asyncio.gather(*(end(*item) for item in submitted))

    async def deliver(self, provisioning: Provisioning, voice_id: str | None = None) -> str | None:
        """Store the delivery for an avatar, with another voice if one is given."""
        assert provisioning.avatar_id is not None
        voice_id = voice_id or self.argil.account.delivered_voice_id(provisioning.avatar_id)
        delivery = WebhookDelivery("AVATAR_TRAINING_SUCCESS", provisioning.avatar_id, uuid4().hex, "{}", voice_id)
        await self.context.deliveries.add(delivery)
        return voice_id

    async def tick(self) -> list[Provisioning]:
        return await look_up_voices(self.context, self.harness.owner)

    async def after_all_lookups(self, provisioning: Provisioning) -> Provisioning:
        """Run a tick before and at each time when its voice is due, and return the provisioning."""
        for _ in range(MAX_LOOKUPS):
            current = await self.harness.reload(provisioning)
            if current.voice_due_at is None or current.voice_id is not None:
                return current
            self.clock.advance(max((current.voice_due_at - self.clock.now()).total_seconds() - 1, 0))
            await self.tick()
            self.clock.advance(1)
            await self.tick()
        pytest.fail(f"its voice is still due after {MAX_LOOKUPS} lookups")

    def count(self, route: str) -> int:
        return self.argil.account.count(route)


@pytest.fixture
def voices(harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock) -> Voices:
    return Voices(harness, argil, clock)


# Deliveries


async def test_delivered_voice_is_recorded_with_ready(voices: Voices) -> None:
    ready = await voices.ready()
    voice_id = await voices.deliver(ready)
    found = await find_delivered_voice(voices.context, ready, voices.harness.owner)
    assert (found.voice_id, found.voice_source, found.voice_due_at) == (voice_id, VoiceSource.WEBHOOK, None)
    assert await voices.tick() == []
    assert voices.count(LIST) == 0
    assert (await voices.harness.event_messages(ready))[-1] == (
        f"voice {voice_id} is recorded: a webhook delivery named it"
    )


@pytest.mark.parametrize(
    "scenario", ["voice-unknown", "voice-older", "voice-of-another", "voice-not-delivered", "voice-none"]
)
async def test_wrong_delivery_records_no_voice_with_ready(voices: Voices, scenario: str) -> None:
    other = await voices.ready(reference="other", name="Bob")
    await voices.deliver(other)
    other = await find_delivered_voice(voices.context, other, voices.harness.owner)
    ready = await voices.ready(scenario)
    await voices.deliver(ready)
    found = await find_delivered_voice(voices.context, ready, voices.harness.owner)
    assert other.voice_id is not None
    assert found == ready


@pytest.mark.parametrize("scenario", ["voice-unknown", "voice-older", "voice-none"])
async def test_wrong_voice_is_never_recorded(voices: Voices, scenario: str) -> None:
    ready = await voices.ready(scenario)
    if scenario == "voice-unknown":  # without a voice of this name, too
        voices.argil.account.voices.list_status = HTTPStatus.INTERNAL_SERVER_ERROR
    await voices.deliver(ready)
    assert (await voices.after_all_lookups(ready)).voice_id is None


async def test_voice_named_for_two_avatars_is_recorded_for_neither(voices: Voices) -> None:
    first, second = await voices.ready(reference="1"), await voices.ready(reference="2", name="Bob")
    voice_id = await voices.deliver(first)
    await voices.deliver(second, voice_id)
    for ready in (first, second):
        assert (await find_delivered_voice(voices.context, ready, voices.harness.owner)).voice_id is None


async def test_two_valid_voices_of_one_avatar_are_recorded_neither(voices: Voices) -> None:
    first, second = await voices.ready(reference="1"), await voices.ready(reference="2", name="Bob")
    await voices.deliver(first)
    assert second.avatar_id is not None
    await voices.deliver(first, voices.argil.account.delivered_voice_id(second.avatar_id))
    assert (await find_delivered_voice(voices.context, first, voices.harness.owner)).voice_id is None


@pytest.mark.parametrize("status", [500, 401, 429])
async def test_failed_lookup_leaves_ready_as_it_is(voices: Voices, status: int) -> None:
    ready = await voices.ready()
    await voices.deliver(ready)
    voices.argil.account.voices.get_status = HTTPStatus(status)
    assert await find_delivered_voice(voices.context, ready, voices.harness.owner) == ready
    assert await voices.tick() == []
    assert (await voices.harness.reload(ready)).status is Status.READY
    voices.argil.account.voices.get_status = HTTPStatus.OK
    voices.clock.advance(120)
    (found,) = await voices.tick()
    assert found.voice_source is VoiceSource.WEBHOOK


async def test_answer_with_another_voice_is_not_the_voice(voices: Voices, gateway: SimulatorGateway) -> None:
    ready = await voices.ready()
    voice_id = await voices.deliver(ready)
    path = ("GET", f"/v1/voices/{voice_id}")
    gateway.canned_responses[path] = [JSONResponse({"id": "other"}), JSONResponse({"code": 1, "message": "no"})]
    for _ in range(2):
        assert await find_delivered_voice(voices.context, ready, voices.harness.owner) == ready


async def test_no_request_without_a_delivered_voice(voices: Voices) -> None:
    ready = await voices.ready("voice-not-delivered")
    await voices.deliver(ready)
    await find_delivered_voice(voices.context, ready, voices.harness.owner)
    assert voices.count(GET) == voices.count(LIST) == 0


# Matching


async def test_voice_of_the_name_and_the_training_is_matched(voices: Voices) -> None:
    ready = await voices.ready()
    (found,) = await voices.tick()
    assert found.avatar_id is not None
    assert found.voice_id == voices.argil.account.delivered_voice_id(found.avatar_id)
    assert (found.id, found.voice_source) == (ready.id, VoiceSource.MATCHED)
    assert (voices.count(LIST), voices.count(GET)) == (1, 1)
    assert [item.id for item in await voices.tick()] == [ready.id]  # until it is announced
    assert voices.count(LIST) == 1


async def test_two_people_of_one_name_in_training_are_not_matched(voices: Voices) -> None:
    first = await voices.harness.submitted("voice-none", reference="1")
    second = await voices.harness.submitted(reference="2")
    first, second = await voices.finish(first), await voices.finish(second)
    assert await voices.tick() == []  # one voice of this name exists
    for ready in (first, second):
        assert (await voices.after_all_lookups(ready)).voice_id is None


async def test_namesake_that_was_erased_meanwhile_prevents_a_match(voices: Voices) -> None:
    first = await voices.harness.submitted(reference="1")
    second = await voices.finish(await voices.harness.submitted("voice-none", reference="2"))
    first = await voices.finish(first)
    owner = LeaseOwner(actor="erase", id="1")
    await erase_provisioning(voices.context.ledger, voices.clock, first.id, owner)
    assert await voices.tick() == []
    assert (await voices.harness.reload(second)).voice_id is None


async def test_namesake_of_an_earlier_training_does_not_matter(voices: Voices) -> None:
    earlier = await voices.ready(reference="1")
    (found,) = await voices.tick()
    voices.clock.advance(1)
    later = await voices.ready(reference="2")
    await voices.context.ledger.set_voice_due({earlier.id: None}, has_voice=True)
    (second,) = await voices.tick()
    assert second.id == later.id
    assert second.voice_id not in {None, found.voice_id}


async def test_voice_of_a_paged_list_is_not_matched(voices: Voices, gateway: SimulatorGateway) -> None:
    ready = await voices.ready()
    page = JSONResponse(voices.argil.account.list_voices(), headers={"x-total-count": "9000"})
    gateway.canned_responses["GET", "/v1/voices"] = [page]
    assert await voices.tick() == []
    assert (await voices.harness.reload(ready)).voice_id is None


# Load and bounds


@pytest.mark.parametrize("count", [50, pytest.param(1000, marks=pytest.mark.system)])
async def test_many_ready_avatars_cost_one_list_per_tick(voices: Voices, clock: ScriptedClock, count: int) -> None:
    """Without deliveries. A tenth has a voice; each is recorded after one GET by its id."""
    with_voice, ticks = count // 10, math.ceil(count / MAX_DUE)
    ready = await voices.ready_without_requests(count)
    created_at = clock.now() - timedelta(seconds=TRAINING_SECONDS / 2)
    for item in ready[-with_voice:]:
        voices.argil.account.voices.add_clone(
            {"name": item.name, "audioUrl": "https://h.example/a.mp3"}, created_at, creates=True, status=201
        )
    found: list[str] = []
    for tick in range(1, ticks + 1):
        found += [item.id for item in await voices.tick()]
        assert voices.count(LIST) == tick
        await voices.context.ledger.set_voice_due(dict.fromkeys(found), has_voice=True)
    assert sorted(found) == sorted(item.id for item in ready[-with_voice:])
    assert voices.count(GET) == with_voice
    assert await voices.tick() == []  # none is due
    assert voices.count(LIST) == ticks


async def test_voice_that_argil_cannot_answer_hides_no_other(voices: Voices, gateway: SimulatorGateway) -> None:
    poisoned, ready = await voices.ready(reference="1", name="Bob"), await voices.ready(reference="2")
    for voice_id in ("undefined", "0"):
        await voices.deliver(poisoned, voice_id)
        gateway.canned_responses["GET", f"/v1/voices/{voice_id}"] = [
            JSONResponse({"code": 1, "message": "not a uuid"}, HTTPStatus.BAD_REQUEST) for _ in range(9)
        ]
    await voices.deliver(ready)
    (found,) = await voices.tick()
    assert (found.id, found.voice_source) == (ready.id, VoiceSource.WEBHOOK)


async def test_failed_list_prevents_no_delivered_voice(voices: Voices) -> None:
    silent = [await voices.ready(reference=f"r-{number}", name=f"Name {number}") for number in range(4)]
    ready = await voices.ready(reference="2")
    await voices.deliver(ready)
    voices.argil.account.voices.list_status = HTTPStatus.INTERNAL_SERVER_ERROR
    (found,) = await voices.tick()
    assert (found.id, voices.count(LIST)) == (ready.id, 1)
    assert [(await voices.harness.reload(item)).voice_id for item in silent] == [None] * len(silent)


async def test_one_pass_finds_more_voices_than_it_looks_up_at_a_time(voices: Voices) -> None:
    ready = [
        await voices.ready(reference=f"r-{number}", name=f"Name {number}")
        for number in range(2 * CONCURRENT_LOOKUPS + 3)
    ]
    delivered = {item.id: await voices.deliver(item) for item in ready}
    assert {item.id: item.voice_id for item in await voices.tick()} == delivered
    assert voices.count(GET) == len(ready)


async def test_pass_ends_when_argil_is_away_and_the_others_stay_due(voices: Voices) -> None:
    ready = [await voices.ready(reference=f"r-{number}", name=f"Name {number}") for number in range(5)]
    for item in ready:
        await voices.deliver(item)
    voices.argil.account.voices.get_status = HTTPStatus.BAD_GATEWAY
    assert await voices.tick() == []
    assert voices.count(GET) == MAX_FAILURES
    voices.argil.account.voices.get_status = HTTPStatus.OK
    assert len(await voices.tick()) == len(ready) - MAX_FAILURES


async def test_no_voice_is_looked_up_while_requests_pause(voices: Voices, gateway: SimulatorGateway) -> None:
    ready = [await voices.ready(reference=f"r-{number}", name=f"Name {number}") for number in range(2)]
    for item in ready:
        voice_id = await voices.deliver(item)
        gateway.canned_responses["GET", f"/v1/voices/{voice_id}"] = [
            JSONResponse({}, HTTPStatus.TOO_MANY_REQUESTS, headers={"retry-after": "600"})
        ]
    started = voices.clock.monotonic()
    for _ in range(2):
        assert await voices.tick() == []
    assert voices.count(GET) == 0  # one canned response was served; the simulator was not asked
    assert sum(map(len, gateway.canned_responses.values())) == 1
    assert voices.clock.monotonic() - started < LOOKUP_SECONDS


# Adopted avatars


async def test_adopted_avatar_gets_the_voice_of_an_earlier_delivery(voices: Voices) -> None:
    argil = voices.argil
    body = build_create_request(voices.harness.request, "", voices.harness.request.recordings)
    for name in ("Mary", "Rosa", "Old"):
        extras = {"simulator": "voice-older"} if name == "Old" else {}
        await voices.context.argil.create_avatar(body.model_copy(update={"name": name, "extras": extras}))
    voices.clock.advance(2 * TRAINING_SECONDS)
    ids = {avatar["name"]: avatar["id"] for avatar in argil.account.avatars}
    for name in ("Mary", "Old"):
        voice_id = argil.account.delivered_voice_id(ids[name])
        await voices.context.deliveries.add(
            WebhookDelivery("AVATAR_TRAINING_SUCCESS", ids[name], name, "{}", voice_id)
        )
    requested = [RequestedAdoption(name, avatar_id, name) for name, avatar_id in ids.items()]
    await adopt(voices.context.ledger, voices.context.argil, requested, voices.harness.owner)
    (found,) = await voices.tick()
    assert (found.reference, found.voice_source) == ("Mary", VoiceSource.WEBHOOK)
    assert (voices.count(LIST), voices.count(GET)) == (0, 2)  # the voice of "Old" is older than the avatar


async def test_provisioning_without_a_voice_is_not_looked_up_forever(voices: Voices) -> None:
    ready = await voices.ready("voice-none")
    last = await voices.after_all_lookups(ready)
    assert last.voice_due_at is None
    assert 5 < voices.count(LIST) < 15
    assert last.updated_at == ready.updated_at


async def test_failing_list_is_not_called_forever(voices: Voices) -> None:
    ready = await voices.ready()
    voices.argil.account.voices.list_status = HTTPStatus.INTERNAL_SERVER_ERROR
    last = await voices.after_all_lookups(ready)
    assert (last.status, last.voice_due_at) == (Status.READY, None)
    assert voices.count(LIST) < 15


@pytest.mark.parametrize("changes", [{"avatars_requests_per_second": 1.0}])
async def test_lookups_beyond_the_budget_are_left_to_the_next_tick(voices: Voices) -> None:
    accepted = [
        await voices.harness.submitted(reference=f"r-{number}", name=f"Name {number}") for number in range(40)
    ]
    ready = [await voices.finish(training) for training in accepted]
    found = await voices.tick()
    assert 0 < len(found) < len(ready)
    await voices.context.ledger.set_voice_due({item.id: None for item in found}, has_voice=True)
    lists, ticks = voices.count(LIST), 1
    while more := await voices.tick():
        await voices.context.ledger.set_voice_due({item.id: None for item in more}, has_voice=True)
        found += more
        ticks += 1
    assert {item.id for item in found} == {item.id for item in ready}
    assert voices.count(LIST) <= lists + ticks
