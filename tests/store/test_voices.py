"""Voices in the ledger, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from models.argil.voice import TrainingPeriod
from models.argil.webhook import WebhookDelivery
from models.errors import DatabaseError, ProvisioningErased, StaleVersion, VoiceTaken
from models.image_request import ImageRequest
from models.provisioning import LeaseOwner, Provisioning, Status, SubmissionState, VoiceSource
from models.request import AvatarRequest, ProvisioningRequest
from store.database import Database
from store.erasure import erase
from store.ledger import Ledger
from store.webhook_deliveries import WebhookDeliveryRepository
from tests.fakes import FakeClock

MESSAGE = "a test recorded it"


@pytest.fixture
def ledger(database: Database, clock: FakeClock) -> Ledger:
    return Ledger(database, clock)


class Avatars:
    """Creates provisionings in the statuses of a training."""

    def __init__(self, ledger: Ledger, clock: FakeClock, owner: LeaseOwner, request: AvatarRequest) -> None:
        self.ledger, self.clock, self.owner, self.request = ledger, clock, owner, request

    async def training(self, reference: str, name: str = "Ada") -> Provisioning:
        request = self.request.model_copy(update={"name": name})
        opened, _ = await self.ledger.get_or_create(request, reference, self.owner)
        submitting, submission = await self.ledger.begin_submission(opened, self.owner, MESSAGE)
        return await self.ledger.resolve_submission(
            submitting,
            self.owner,
            MESSAGE,
            submission,
            SubmissionState.CREATED,
            new_status=Status.TRAINING,
            avatar_id=f"a-{reference}",
            training_started_at=self.clock.now(),
        )

    async def ended(self, reference: str, status: Status = Status.READY, name: str = "Ada") -> Provisioning:
        started = await self.training(reference, name)
        self.clock.advance(600)
        due = self.clock.now() if status is Status.READY else None
        return await self.ledger.transition(started, self.owner, MESSAGE, new_status=status, voice_due_at=due)

    async def give(self, provisioning: Provisioning, voice_id: str = "v-1") -> Provisioning:
        return await self.ledger.record_voice(provisioning, self.owner, voice_id, VoiceSource.GIVEN, MESSAGE)


@pytest.fixture
def avatars(
    ledger: Ledger, clock: FakeClock, owner: LeaseOwner, provisioning_request: ProvisioningRequest
) -> Avatars:
    return Avatars(ledger, clock, owner, provisioning_request)


async def test_voice_is_recorded_with_an_event(avatars: Avatars) -> None:
    ready = await avatars.ended("1")
    given = await avatars.give(ready)
    assert (given.voice_id, given.voice_source, given.voice_due_at) == ("v-1", VoiceSource.GIVEN, None)
    assert (given.status, given.version) == (Status.READY, ready.version + 1)
    event = (await avatars.ledger.list_events(ready.id))[-1]
    assert (event.message, event.from_status, event.to_status) == (MESSAGE, Status.READY, Status.READY)
    with pytest.raises(StaleVersion):
        await avatars.give(ready)


async def test_voice_belongs_to_one_provisioning(avatars: Avatars) -> None:
    first, second = await avatars.ended("1"), await avatars.ended("2")
    first = await avatars.give(first)
    with pytest.raises(VoiceTaken) as caught:
        await avatars.give(second)
    assert caught.value.provisioning_id == first.id
    assert (await avatars.ledger.get(second.id)) == second
    removed = await avatars.ledger.remove_voice(first, avatars.owner, MESSAGE)
    assert (removed.voice_id, removed.voice_source) == (None, None)
    assert (await avatars.give(second)).voice_id == "v-1"


async def test_database_refuses_a_second_owner_of_a_voice(avatars: Avatars, database: Database) -> None:
    first, second = await avatars.ended("1"), await avatars.ended("2")
    await avatars.give(first)
    statement = text("UPDATE provisionings SET voice_id = 'v-1' WHERE id = :id")
    with pytest.raises(DatabaseError):
        await database.write(lambda connection: connection.execute(statement, {"id": second.id}))


async def test_image_requests_share_the_voice_that_they_name(avatars: Avatars, image_request: ImageRequest) -> None:
    avatars.request = image_request
    first, second, third = [await avatars.ended(reference) for reference in "123"]
    for image in (first, second):
        named = await avatars.ledger.record_requested_voice(image, avatars.owner, "v-1")
        assert (named.voice_id, named.voice_source, named.voice_due_at) == ("v-1", VoiceSource.GIVEN, None)
    assert await avatars.ledger.find_foreign_voices("a-1", ["v-1"]) == {"v-1"}
    with pytest.raises(VoiceTaken):  # a person, a delivery or a match
        await avatars.give(third)


async def test_race_for_a_voice_is_reported_as_taken(avatars: Avatars, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = await avatars.ended("1"), await avatars.ended("2")
    await avatars.give(first)
    # Another transaction committed between the query and the update.
    monkeypatch.setattr(Ledger, "_refuse_taken", lambda *_: None)
    with pytest.raises(VoiceTaken):
        await avatars.give(second)
    assert (await avatars.ledger.get(second.id)).version == second.version


async def test_two_processes_that_give_one_voice_at_once_give_it_once(
    avatars: Avatars, database: Database, database_url: str, clock: FakeClock, owner: LeaseOwner
) -> None:
    other = Database(database_url)
    for number in range(20):
        first, second = await avatars.ended(f"{number}-a"), await avatars.ended(f"{number}-b")
        voice = f"v-{number}"
        results = await asyncio.gather(
            *(
                Ledger(each, clock).record_voice(provisioning, owner, voice, VoiceSource.GIVEN, MESSAGE)
                for each, provisioning in ((database, first), (other, second))
            ),
            return_exceptions=True,
        )
        [refused] = [result for result in results if isinstance(result, BaseException)]
        assert isinstance(refused, VoiceTaken)
        stored = [(await avatars.ledger.get(item.id)).voice_id for item in (first, second)]
        assert sorted(stored, key=str) == [None, voice]
    await other.close()


async def test_due_voices_are_listed_until_they_are_not(avatars: Avatars, clock: FakeClock) -> None:
    first, second = await avatars.ended("1"), await avatars.ended("2")
    await avatars.ended("3", Status.TRAINING_FAILED)
    ledger = avatars.ledger
    assert [item.id for item in await ledger.list_voice_due(limit=9)] == [first.id, second.id]
    assert [item.id for item in await ledger.list_voice_due(limit=1)] == [first.id]
    await ledger.set_voice_due({first.id: clock.now() + timedelta(seconds=60), second.id: None})
    assert await ledger.list_voice_due(limit=9) == []
    clock.advance(60)
    (due,) = await ledger.list_voice_due(limit=9)
    assert (due.id, due.version, due.updated_at) == (first.id, first.version, first.updated_at)
    given = await avatars.give(due)
    await ledger.set_voice_due({first.id: clock.now()})  # it has a voice now
    assert await ledger.list_voice_due(limit=9) == []
    await ledger.set_voice_due({first.id: clock.now()}, has_voice=True)
    assert [item.id for item in await ledger.list_voice_due(limit=9)] == [given.id]


async def test_delivered_voices_exclude_those_of_other_avatars(
    avatars: Avatars, database: Database, clock: FakeClock
) -> None:
    deliveries = WebhookDeliveryRepository(database, clock)
    for number, (avatar_id, voice_id) in enumerate(
        [("a-1", "v-2"), ("a-1", None), ("a-1", "v-1"), ("a-1", "v-1"), ("a-2", "v-2"), ("a-1", "v-3")]
    ):
        await deliveries.add(WebhookDelivery("AVATAR_TRAINING_SUCCESS", avatar_id, str(number), "{}", voice_id))
    assert await avatars.ledger.list_delivered_voices("a-1") == ["v-1", "v-3"]
    other = await avatars.ended("other")
    await avatars.give(other, "v-3")
    assert await avatars.ledger.list_delivered_voices("a-1") == ["v-1"]
    assert await avatars.ledger.list_delivered_voices("a-9") == []
    assert await avatars.ledger.find_foreign_voices("a-1", ["v-1", "v-2", "v-3", "v-9"]) == {"v-2", "v-3"}


async def test_late_delivery_makes_the_voice_due(avatars: Avatars, database: Database, clock: FakeClock) -> None:
    ready = await avatars.ended("1")
    await avatars.ledger.set_voice_due({ready.id: None})
    assert ready.avatar_id is not None
    await avatars.ledger.expect_delivered_voice(ready.avatar_id)
    assert await avatars.ledger.list_voice_due(limit=9) == []
    delivery = WebhookDelivery("AVATAR_TRAINING_SUCCESS", ready.avatar_id, "0", "{}", "v-1")
    await WebhookDeliveryRepository(database, clock).add(delivery)
    await avatars.ledger.expect_delivered_voice(ready.avatar_id)
    assert [item.id for item in await avatars.ledger.list_voice_due(limit=9)] == [ready.id]


@pytest.mark.parametrize(
    ("status", "hours_between", "is_namesake"),
    [
        (None, 0, True),
        (Status.READY, 0, True),
        (Status.READY, 1, False),
        (Status.REFUSED, 1, False),
        (Status.CANCELLED, 1, True),
        (Status.TIMED_OUT, 1, True),
        (Status.CANCELLED, 30, False),
    ],
)
async def test_namesake_in_training_is_found(
    avatars: Avatars, clock: FakeClock, status: Status | None, hours_between: int, is_namesake: bool
) -> None:
    await (avatars.training("other") if status is None else avatars.ended("other", status))
    clock.advance(hours_between * 3600 - (1 if hours_between == 0 else 0))
    start = clock.now()
    ready = await avatars.ended("1")
    assert await avatars.ledger.has_namesake_in_training(ready, TrainingPeriod(start, clock.now())) is is_namesake


async def test_others_are_not_namesakes(avatars: Avatars, clock: FakeClock) -> None:
    start = clock.now()
    await avatars.training("bob", "Bob")
    request = avatars.request.model_copy(update={"name": "Ada"})
    await avatars.ledger.get_or_create(request, "not sent", avatars.owner)
    ready = await avatars.ended("1")
    period = TrainingPeriod(start, clock.now())
    clock.advance(1)
    await avatars.training("later")
    assert not await avatars.ledger.has_namesake_in_training(ready, period)


async def test_submission_in_progress_is_a_namesake(avatars: Avatars, clock: FakeClock) -> None:
    start = clock.now()
    ready = await avatars.ended("1")
    request = avatars.request.model_copy(update={"name": "Ada"})
    opened, _ = await avatars.ledger.get_or_create(request, "2", avatars.owner)
    await avatars.ledger.begin_submission(opened, avatars.owner, MESSAGE)
    assert await avatars.ledger.has_namesake_in_training(ready, TrainingPeriod(start, clock.now()))


async def test_erasure_removes_the_voice_and_reports_it(
    avatars: Avatars, database: Database, clock: FakeClock
) -> None:
    start = clock.now()
    other = await avatars.training("1")
    ready = await avatars.give(await avatars.ended("2"))
    delivery = WebhookDelivery("AVATAR_TRAINING_SUCCESS", ready.avatar_id or "", "0", "{}", "v-1")
    deliveries = WebhookDeliveryRepository(database, clock)
    await deliveries.add(delivery)
    report = await erase(database, clock, ready, avatars.owner, MESSAGE)
    await deliveries.add(replace(delivery, digest="1"))
    assert report.voice_ids == ["v-1"]
    assert any("v-1" in step for step in report.remaining_steps(ready.id))
    erased = await avatars.ledger.get(ready.id)
    assert (erased.voice_id, erased.voice_source, erased.voice_due_at) == (None, None, None)
    assert await avatars.ledger.list_delivered_voices(ready.avatar_id or "") == []
    with pytest.raises(ProvisioningErased):
        await avatars.give(erased)
    # Its name is unknown now, so it may have been that of the other avatar.
    assert await avatars.ledger.has_namesake_in_training(other, TrainingPeriod(start, clock.now()))
